"""From a model's raw outputs to the three moods and anger, for our own heads and for imported classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from schemas.bundle import BundleError, Manifest, Sentiment
from stream_app.scoring.scorer import Scores, ScoringError

SENTIMENTS: tuple[Sentiment, ...] = get_args(Sentiment)
Logits = NDArray[np.float32]

_KNOWN_NAMES: dict[str, Sentiment] = {
    "negative": "negative", "neg": "negative", "very negative": "negative",
    "neutral": "neutral", "neu": "neutral",
    "positive": "positive", "pos": "positive", "very positive": "positive",
    "1 star": "negative", "2 stars": "negative", "3 stars": "neutral", "4 stars": "positive", "5 stars": "positive",
}  # fmt: skip


def recognise(names: Mapping[int, str]) -> dict[str, Sentiment] | None:
    """A label map for outputs whose names leave no doubt, or None: LABEL_0 could be anything."""
    known = [_KNOWN_NAMES.get(name.lower().replace("_", " ")) for name in names.values()]
    return (
        {str(number): mood for number, mood in zip(names, known, strict=True) if mood} if all(known) and known else None
    )


class Outputs:
    """Reads logits under a manifest's label map and temperatures."""

    def __init__(self, manifest: Manifest, names: Mapping[int, str]) -> None:
        """`names`: output number -> name, from config.json. Raises BundleError for a map that does not fit them."""
        self._temperatures = manifest.temperatures
        self._anger = manifest.anger_output
        numbers = {name: number for number, name in names.items()}
        groups: dict[Sentiment, list[int]] = {mood: [] for mood in SENTIMENTS}
        for label, mood in manifest.labels.items():
            number = numbers.get(label, int(label) if label.isdigit() else -1)
            if number not in names:
                raise BundleError(_misfit(manifest, f"has no output {label!r}", names))
            groups[mood].append(number)
        mapped = {number for group in groups.values() for number in group}
        if self._anger is not None and (self._anger not in names or self._anger in mapped):
            raise BundleError(_misfit(manifest, f"has no free output {self._anger} for anger", names))
        if missing := set(names) - mapped - {self._anger}:
            raise BundleError(_misfit(manifest, f"leaves output {min(missing)} unmapped", names))
        self._columns = [number for group in groups.values() for number in group]
        starts = np.cumsum([0, *(len(group) for group in groups.values())]).tolist()
        self._groups = [slice(start, end) for start, end in pairwise(starts)]

    def scores(self, logits: Logits) -> list[Scores]:
        """Calibrated probabilities of each row; logits (B, outputs). Raises ScoringError when one is no number."""
        if not np.isfinite(logits).all():
            raise ScoringError("The model gave a result that is not a number: its weights or its hardware are damaged.")
        wide = logits.astype(np.float64)
        sentiment = wide[:, self._columns] / self._temperatures.sentiment
        sentiment = np.exp(sentiment - sentiment.max(axis=1, keepdims=True))
        sentiment /= sentiment.sum(axis=1, keepdims=True)
        moods = [sentiment[:, group].sum(axis=1) for group in self._groups]
        anger = np.zeros(len(wide))
        if self._anger is not None:
            anger = 1.0 / (1.0 + np.exp(-wide[:, self._anger] / self._temperatures.anger))
        found = np.stack([*moods, anger], axis=1)
        if not np.isfinite(found).all():
            raise ScoringError("The model's temperatures make its results no numbers: correct bundle.json.")
        return [Scores(*row) for row in found.tolist()]


def _misfit(manifest: Manifest, what: str, names: Mapping[int, str]) -> str:
    listed = ", ".join(f"{number} {name!r}" for number, name in names.items())
    return f"The label map of bundle {manifest.name} {what}; the model's outputs are {listed}: correct bundle.json."
