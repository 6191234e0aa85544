"""Two models on the same rows: is the difference more than luck?

Every test counts a unit once: rows that a chain of customers, conversations and product days joins are no independent
witnesses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm, rankdata

from trainer.rows import Row
from trainer.split import components

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_AT_ONCE = 2_000_000  # weights of a bootstrap held at a time: 16 MB


class Signs(NamedTuple):
    """Units on which the candidate did better or worse than the champion, and how probable that or more is by luck."""

    better: int
    worse: int
    p_better: float
    p_worse: float


class Areas(NamedTuple):
    """Areas under the ROC curve, and the one-sided p of their difference."""

    champion: float
    candidate: float
    p_better: float
    p_worse: float


def units_of(rows: Sequence[Row]) -> Ints:
    """(N,): the number of each row's unit, from 0. Rows that share any part of their groups are one, through others,
    too: a customer with many conversations is one unit. A row without group stands alone."""
    return components(rows)


def sign_test(change: Ints, units: Ints) -> Signs:
    """`change` (N,): +1 where only the candidate is right, -1 where only the champion is, else 0.

    The exact binomial test over units with more of one than of the other; with units of one row it is McNemar's.
    """
    sums = _per_unit(change.astype(float), units)
    better, worse = int((sums > 0).sum()), int((sums < 0).sum())
    both = better + worse
    return Signs(better, worse, float(binom.sf(better - 1, both, 0.5)), float(binom.sf(worse - 1, both, 0.5)))


def delong(angry: Bools, champion: Floats, candidate: Floats, units: Ints) -> Areas:
    """The test of DeLong et al. 1988 in its form for clustered rows (Obuchowski 1997); all arguments are (N,)."""
    areas, influence = [], []
    for scores in (champion, candidate):
        ranks = rankdata(scores)
        above = (ranks[angry] - rankdata(scores[angry])) / (~angry).sum()  # share of calm rows below each angry one
        below = 1 - (ranks[~angry] - rankdata(scores[~angry])) / angry.sum()
        area = above.mean()
        pull = np.empty(len(scores))
        pull[angry] = (above - area) / angry.sum()
        pull[~angry] = (below - area) / (~angry).sum()
        areas.append(float(area))
        influence.append(pull)
    clustered = _per_unit(influence[1] - influence[0], units)
    spread = float(np.sqrt((clustered**2).sum() * len(clustered) / max(1, len(clustered) - 1)))
    difference = areas[1] - areas[0]
    if spread < 1e-12:  # the same ranking: nothing is proven, either way
        return Areas(areas[0], areas[1], 1.0, 1.0)
    return Areas(areas[0], areas[1], float(norm.sf(difference / spread)), float(norm.cdf(difference / spread)))


def bootstrap_f1(
    moods: Ints, champion: Ints, candidate: Ints, units: Ints, *, resamples: int = 2_000, seed: int = 13
) -> tuple[float, float, float]:
    """Macro F1 of champion and candidate, and the share of resamples in which the candidate is not worse.

    Moods as numbers 0 to 2, all (N,). Units are drawn with replacement, the same ones for both.
    """
    counts = []
    for called in (champion, candidate):
        cells = np.zeros((units.max() + 1, 9))
        np.add.at(cells, (units, moods * 3 + called), 1.0)
        counts.append(cells)
    known = np.unique(moods)
    whole = [_macro_f1(cells.sum(axis=0, keepdims=True), known)[0] for cells in counts]
    not_worse = 0
    for weights in _resamples(len(counts[0]), resamples, seed):
        drawn = [_macro_f1(weights @ cells, known) for cells in counts]
        not_worse += int((drawn[1] >= drawn[0]).sum())
    return float(whole[0]), float(whole[1]), not_worse / resamples


def holm(probabilities: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given: below 0.05, one in twenty families holds a false one (Holm 1979)."""
    adjusted = [0.0] * len(probabilities)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(probabilities)), key=lambda i: probabilities[i])):
        largest = max(largest, min(1.0, (len(probabilities) - rank) * probabilities[place]))
        adjusted[place] = largest
    return adjusted


def _per_unit(values: Floats, units: Ints) -> Floats:
    found: Floats = np.bincount(np.unique(units, return_inverse=True)[1], weights=values).astype(np.float64)
    return found


def _macro_f1(cells: Floats, known: Ints) -> Floats:
    """(R,) from (R, 9): counts of label and call. Only moods that some label names count."""
    counts = cells.reshape(-1, 3, 3)
    hits = counts.diagonal(axis1=1, axis2=2)
    f1 = 2 * hits / np.maximum(counts.sum(axis=2) + counts.sum(axis=1), 1e-12)
    found: Floats = f1[:, known].mean(axis=1)
    return found


def _resamples(units: int, resamples: int, seed: int) -> Iterator[Floats]:
    """(r, units): how often each unit was drawn, a slab of resamples at a time."""
    rng = np.random.default_rng(seed)
    slab = max(1, _AT_ONCE // units)
    for start in range(0, resamples, slab):
        drawn = rng.integers(units, size=(min(slab, resamples - start), units))
        yield np.array([np.bincount(each, minlength=units) for each in drawn], dtype=float)
