"""From the setting `model` to a loaded `Scorer`."""

from __future__ import annotations

from stream_app.scoring.quick import QuickScorer
from stream_app.scoring.scorer import Scorer


def load_scorer(model: str, *, threads: int = 2, token_budget: int = 1024, remember: int = 1000) -> Scorer:
    """The scorer that `model` names: "default", "quick", or the path of a bundle or Hugging Face classifier folder."""
    if model == "quick":
        return QuickScorer()
    raise NotImplementedError
