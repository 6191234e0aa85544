"""Sampling weights that let moods, languages and sources count alike, however many rows each has."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.rows import Row

FACTORS: tuple[Callable[[Row], Hashable | None], ...] = (
    lambda row: row.source,
    lambda row: row.language or None,
    lambda row: row.sentiment,
)
ROUNDS = 30
AT_MOST = 20.0
"""A row drawn twenty times an epoch is learnt by heart."""


def balance(rows: Sequence[Row], factors: Sequence[Callable[[Row], Hashable | None]] = FACTORS) -> NDArray[np.float64]:
    """(N,), mean 1: how often to draw each row.

    Raked: each factor's values get equal sums in turn, until all have. Rows for which a factor is None keep their share
    of it. Where factors contradict each other (one source is all there is of a language), the last one wins.
    """
    weights = np.ones(len(rows))
    places = [_places([factor(row) for row in rows]) for factor in factors]
    for _ in range(ROUNDS):
        for place in places:
            known = place >= 0
            if known.any():
                sums = np.bincount(place[known], weights[known])
                weights[known] *= (sums.sum() / len(sums) / sums)[place[known]]
        weights = np.clip(weights / weights.mean(), 0, AT_MOST) if len(weights) else weights
    return weights / weights.mean() if len(weights) else weights


def _places(values: Sequence[Hashable | None]) -> NDArray[np.int64]:
    """Each value's number, from 0; -1 for None."""
    numbers: dict[Hashable, int] = {}
    return np.array(
        [-1 if value is None else numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int64
    )
