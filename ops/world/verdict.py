"""What the judge found, and whether it is good enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from ops.world.settings import Settings
from ops.world.truth import Incident, Kind
from schemas.events import AlertRaised

PRECISION = RECALL = 0.95
HELD: tuple[Kind, ...] = ("single", "souring", "repeat", "unanswered")
"""The kinds whose precision and recall must hold; grave words and bought reviews are counted and not held."""
SURGE_MINUTES, SURGE_SHARE, FALSE_SURGES = 15.0, 0.95, 1.0
"""So large a share of the planted surges is found within so many minutes of event time after they began, with at most
so many false surges in 1,000 product-days."""


class Score(Struct, frozen=True, kw_only=True):
    """Incidents (planted, found, optional) and alerts (the rest) of one kind; `judge.py` says what is what."""

    planted: int
    found: int
    optional: int = 0
    extra: int = 0
    duplicates: int = 0
    escalations: int = 0
    beside: int = 0

    @property
    def missed(self) -> int:
        return self.planted - self.found

    @property
    def precision(self) -> float | None:
        """None where nothing was raised."""
        raised = self.found + self.optional + self.extra
        return (self.found + self.optional) / raised if raised else None

    @property
    def recall(self) -> float | None:
        """None where nothing was planted."""
        return self.found / self.planted if self.planted else None


class Timing(Struct, frozen=True, kw_only=True):
    """Minutes of event time from a surge's start to its alert, and from the moment it was decidable; None: none found.

    `in_time` is the share of the planted surges found within 15 minutes. A rule may be earlier than `decidable_at`,
    which asks for odds of 10,000 : 1.
    """

    median: float | None
    p95: float | None
    in_time: float | None
    median_after_decidable: float | None
    p95_after_decidable: float | None


def timing(planted: int, minutes: Sequence[float], after_decidable: Sequence[float]) -> Timing:
    """Of so many planted surges; the sequences hold those that were found."""
    return Timing(
        median=_quantile(minutes, 0.5),
        p95=_quantile(minutes, 0.95),
        in_time=sum(value <= SURGE_MINUTES for value in minutes) / planted if planted else None,
        median_after_decidable=_quantile(after_decidable, 0.5),
        p95_after_decidable=_quantile(after_decidable, 0.95),
    )


class Verdict(Struct, frozen=True, kw_only=True):
    """`missed` and `extra` are the incidents and alerts themselves, for whoever mends the rules."""

    settings: Settings
    scores: dict[Kind, Score]
    surges: Timing
    false_surges: float  # in 1,000 product-days
    unknown_rules: dict[str, int]
    missed: list[Incident]
    extra: list[AlertRaised]

    @property
    def unmet(self) -> list[str]:
        """A sentence for every bar that does not hold; where nothing was planted, only precision is asked."""
        return list(self._unmet())

    def _unmet(self) -> Iterator[str]:
        for kind, score in self.scores.items():
            if score.duplicates:
                yield f"{kind}: {score.duplicates} alerts for incidents that had an open one"
            if kind not in HELD:
                continue
            if score.precision is not None and score.precision < PRECISION:
                yield f"{kind}: precision {score.precision:.3f} is below {PRECISION}"
            if score.recall is not None and score.recall < RECALL:
                yield f"{kind}: recall {score.recall:.3f} is below {RECALL}"
        if "surge" in self.scores:
            if self.surges.in_time is not None and self.surges.in_time < SURGE_SHARE:
                yield f"surge: {self.surges.in_time:.3f} found within {SURGE_MINUTES:.0f} minutes, below {SURGE_SHARE}"
            if self.false_surges > FALSE_SURGES:
                yield f"surge: {self.false_surges:.2f} false in 1,000 product-days, above {FALSE_SURGES:.0f}"

    def figures(self) -> dict[str, Any]:
        """For programs."""
        return {
            "settings": self.settings,
            "kinds": {
                kind: {
                    "planted": score.planted,
                    "found": score.found,
                    "missed": score.missed,
                    "optional": score.optional,
                    "extra": score.extra,
                    "duplicates": score.duplicates,
                    "escalations": score.escalations,
                    "beside": score.beside,
                    "precision": _rounded(score.precision),
                    "recall": _rounded(score.recall),
                }
                for kind, score in self.scores.items()
            },
            "surge_minutes": self.surges,
            "false_surges_per_1000_product_days": round(self.false_surges, 4),
            "unknown_rules": self.unknown_rules,
            "unmet": self.unmet,
            "passed": not self.unmet,
        }


def _quantile(values: Sequence[float], at: float) -> float | None:
    return round(float(np.quantile(values, at)), 2) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
