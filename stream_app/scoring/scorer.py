"""What every model looks like from outside. Stage, trainer, shadow scoring and benchmarks know only this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from schemas.bundle import Decisions
from stream_app.text.model_input import ModelInput


class Scores(NamedTuple):
    """Calibrated probabilities. The first three sum to 1; anger is a question of its own."""

    negative: float
    neutral: float
    positive: float
    anger: float


class ScoringError(Exception):
    """The model could not score these inputs. One text's fault or the model's? `Scorer.check_canary` tells."""


class CanaryFailed(ScoringError):
    """The model no longer gives its recorded scores for its own canary texts: do not trust any score it gives."""


class Scorer(Protocol):
    """A loaded model.

    Thread-safe: any number of threads may call `score` at once. A text's scores do not depend on the batch it comes in
    (within 1e-5), so a replay that cuts batches elsewhere gives the same events.
    """

    @property
    def name(self) -> str:
        """The bundle's name, e.g. "zhen-2"; goes into every event this model scores."""

    @property
    def text_version(self) -> int:
        """The version of text preparation (`stream_app.text.model_input.TEXT_VERSION`) that it was trained on."""

    @property
    def decisions(self) -> Decisions:
        """The thresholds that belong to this model's probabilities; see `decisions.judge`."""

    def score(self, inputs: Sequence[ModelInput]) -> list[Scores]:
        """One `Scores` per input, in the inputs' order. Blocks while computing; any length, also none.

        Raises ScoringError when the batch cannot be scored; then no input of it has a score.
        """

    def check_canary(self) -> None:
        """Score the bundle's canary texts, past every cache. Raises CanaryFailed when one is off by more than 1e-3."""


class LoadedScorer(Scorer, Protocol):
    """A scorer with the one who loaded it: whoever has it closes it."""

    def close(self) -> None:
        """Let go of threads and memory; no `score` is under way, and none comes after."""
