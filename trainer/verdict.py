"""What the gate is given and what it answers: two models over the same rows, the limits, the criteria of a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from trainer.paired import Bools, Floats, Ints, units_of
from trainer.rows import Row

SENTIMENT_NAMES = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class Limits:
    """How much worse is too much. Shares from 0 to 1; what is a difference says so."""

    significance: float = 0.05
    slice_loss: float = 0.01
    """Difference of accuracy; so that a large slice does not veto a certain loss of 0.2 points."""
    f1_loss: float = 0.005
    auc_loss: float = 0.005
    recall_loss: float = 0.02
    calibration_loss: float = 0.02
    behaviour_loss: float = 0.02
    false_alarms: float = 0.005
    """Share of calm service turns flagged angry: the budget that thresholds are chosen for."""
    neutral_called_negative: float = 0.05
    slower: float = 1.25  # times the champion's time
    larger: float = 1.25  # times the champion's size
    rows_of_a_language: int = 50
    rows_of_a_slice: int = 30
    rows_for_calibration: int = 200
    rows_of_a_kind: int = 20  # angry and calm ones, before an area under a curve means anything


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a bundle besides its scores."""

    model: str
    text_version: int | None
    labels: dict[str, str]
    """Output -> mood, as in the manifest."""
    knows_anger: bool
    anger_threshold: float
    max_tokens: int
    size_mb: float
    canary_ok: bool
    seconds_per_1000: float
    """CPU time to score 1,000 of the held-back texts, measured for both models in turns."""
    behaviour: dict[str, float] = {}
    """Kind of behaviour case -> share passed."""
    renewed: tuple[str, ...] = ("zh", "en")
    """Languages whose weights are not the champion's."""


class Side(NamedTuple):
    """One of the two models."""

    facts: Facts
    scores: Floats  # (N, 4): negative, neutral, positive, anger

    @property
    def called(self) -> Ints:
        found: Ints = self.scores[:, :3].argmax(axis=1)
        return found

    @property
    def alarm(self) -> Bools:
        found: Bools = self.scores[:, 3] >= self.facts.anger_threshold
        return found


class Criterion(msgspec.Struct, frozen=True):
    """One question to the candidate. `test` says what was compared on how much, with the p value where there is one."""

    name: str
    passed: bool
    champion: float | None
    value: float | None
    limit: float | None
    test: str


class Verdict(msgspec.Struct, frozen=True):
    champion: str
    candidate: str
    rows: int
    passed: bool
    criteria: list[Criterion]

    @property
    def refused_for(self) -> list[str]:
        return [each.name for each in self.criteria if not each.passed]


class Case(NamedTuple):
    """Both sides over the same rows, in an order that only their content decides."""

    rows: list[Row]
    units: Ints
    champion: Side
    candidate: Side
    told: Bools  # the row has a sentiment
    moods: Ints  # -1 where it has none
    sure: Bools  # the row is angry or calm, and not in between
    angry: Bools

    def change(self, where: Bools) -> Ints:
        """(M,): +1 where only the candidate names the right mood, -1 where only the champion does."""
        moods = self.moods[where]
        found: Ints = (self.candidate.called[where] == moods) * 1 - (self.champion.called[where] == moods) * 1
        return found

    def accuracies(self, where: Bools) -> tuple[float, float]:
        moods = self.moods[where]
        right = (self.champion.called[where] == moods), (self.candidate.called[where] == moods)
        return float(right[0].mean()), float(right[1].mean())


def in_order(rows: Sequence[Row], champion: Side, candidate: Side) -> Case:
    """Sums of floats and bootstrap draws depend on the order; a verdict must not."""

    def content(place: int) -> tuple[object, ...]:
        row = rows[place]
        labels = (-1 if row.sentiment is None else row.sentiment, -1.0 if row.anger is None else row.anger)
        scores = (*champion.scores[place].tolist(), *candidate.scores[place].tolist())
        facts = (row.source, row.key, row.group, row.role, row.channel, row.language)
        return (*facts, row.input.text, row.input.context or "", labels, scores)

    order = sorted(range(len(rows)), key=content)
    sorted_rows = [rows[place] for place in order]
    moods = np.array([-1 if row.sentiment is None else row.sentiment for row in sorted_rows], dtype=np.int64)
    return Case(
        sorted_rows,
        units_of(sorted_rows),
        champion._replace(scores=champion.scores[order]),
        candidate._replace(scores=candidate.scores[order]),
        told=moods >= 0,
        moods=moods,
        sure=np.array([row.anger in (0.0, 1.0) for row in sorted_rows], dtype=bool),
        angry=np.array([row.anger == 1.0 for row in sorted_rows], dtype=bool),
    )


def short(value: float) -> float:
    return round(float(value), 4)
