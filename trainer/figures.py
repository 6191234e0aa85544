"""The figures of a set of scored rows, each with a bootstrap interval.

Every figure but AUC is made of sums over the rows, and a resample is weights: how often each row counts. The first
resample counts every row once and gives the value; the others give the interval. So there is one formula for both, and
a thousand resamples of 20,000 rows are a matrix product, (R, N) times (N, columns): two seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.bundle import Decisions
from trainer.paired import units_of
from trainer.rows import Row

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

MOODS = ("negative", "neutral", "positive")
BINS = 15
RESAMPLES = 1_000
CONFIDENCE = 0.95
_AT_ONCE = 2_000_000  # weights held at a time: 8 MB


class Figure(msgspec.Struct, frozen=True):
    """A value and its percentile interval; without resamples the interval is the value."""

    value: float
    low: float
    high: float


def figures(
    rows: Sequence[Row], scores: Floats, decisions: Decisions, *, resamples: int = 0, seed: int = 13
) -> dict[str, Figure]:
    """Name -> figure; only those that the rows and their labels allow, so none for no rows. `scores`: (N, 4).

    Rows of one unit (`paired.units_of`: a customer, a conversation) are drawn together: they are no independent
    witnesses.
    """
    if not rows:
        return {}
    columns = _columns(rows, scores, decisions)
    matrix = np.concatenate(list(columns.values()), axis=1)  # (N, all columns)
    edges = np.cumsum([each.shape[1] for each in columns.values()])[:-1]
    sure = np.array([row.anger in (0.0, 1.0) for row in rows])
    angry = np.array([row.anger == 1.0 for row in rows])[sure]
    measured: dict[str, list[Floats]] = defaultdict(list)
    for weights in _resamples(rows, resamples, np.random.default_rng(seed)):
        sums = np.split(weights @ matrix.astype(weights.dtype), edges, axis=1)
        found = _from_sums(dict(zip(columns, sums, strict=True)))
        if angry.any() and not angry.all():
            found["anger_auc"] = auc(angry, scores[sure, 3], weights[:, sure])
        for name, values in found.items():
            measured[name].append(values)
    counts = {"texts": len(rows), "labelled": sum(r.sentiment is not None for r in rows), "anger_labelled": len(angry)}
    known = {name: Figure(count, count, count) for name, count in counts.items() if count}
    return known | {name: fig for name, values in measured.items() if (fig := _summed_up(np.concatenate(values)))}


def reliability(confidence: Floats, right: Bools) -> tuple[Floats, Floats, Floats]:
    """(BINS,) each: texts, sum of confidences, sum of hits, over bins of equal width."""
    inside = _bin(confidence)
    return inside.sum(axis=0), confidence @ inside, right @ inside


def confusion(moods: NDArray[np.int64], called: NDArray[np.int64]) -> NDArray[np.int64]:
    """(3, 3): label, what the model called it."""
    return np.bincount(moods * 3 + called, minlength=9).reshape(3, 3)


def auc(angry: Bools, scores: Floats, weights: Floats | None = None) -> Floats:
    """(R,): how probably an angry row scores above another one; ties count half. nan where one kind is missing."""
    if weights is None:
        weights = np.ones((1, len(angry)))
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # of each run of equal scores
    positive = np.add.reduceat(weights[:, order] * angry[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * ~angry[order], starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    return _share((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


def _resamples(rows: Sequence[Row], resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Weights (R, N), a slab at a time; the first row of the first slab is all ones."""
    yield np.ones((1, len(rows)))
    unit_of = units_of(rows)
    units = int(unit_of.max()) + 1
    slab = max(1, _AT_ONCE // len(rows))
    for start in range(0, resamples, slab):
        drawn = rng.integers(units, size=(min(slab, resamples - start), units))
        # float32: half the memory to move, and still four digits of every figure
        counts = np.array([np.bincount(each, minlength=units) for each in drawn], dtype=np.float32)
        yield counts if units == len(rows) else counts[:, unit_of]


def _columns(rows: Sequence[Row], scores: Floats, decisions: Decisions) -> dict[str, Floats]:
    """(N, k) each: what a row adds to the sums that the figures are made of; only where some label is known."""
    called = scores[:, :3].argmax(axis=1)
    alarm = scores[:, 3] >= decisions.anger_threshold
    columns = {"one": np.ones((len(rows), 1)), "called": np.eye(3)[called], "alarm": alarm[:, None].astype(float)}
    turns = np.array([row.role == "customer" and not row.anger for row in rows])
    if turns.any():
        columns["turns"] = np.stack([turns, turns & alarm], axis=1).astype(float)
    told = np.array([row.sentiment is not None for row in rows])
    if told.any():
        moods = np.array([row.sentiment or 0 for row in rows])
        poles = told & (moods != 1)
        chosen = (scores[:, 2] > scores[:, 0]) == (moods == 2)  # if it must choose between the two moods
        columns["cells"] = np.eye(9)[moods * 3 + called] * told[:, None]
        columns["poles"] = np.stack([poles, poles & chosen], axis=1).astype(float)
        sure = scores[:, :3].max(axis=1)
        columns["gaps"] = _bin(sure) * ((sure - (called == moods)) * told)[:, None]
    calm, angry = (np.array([row.anger == known for row in rows]) for known in (0.0, 1.0))
    if calm.any() or angry.any():
        columns["anger"] = np.stack([calm, calm & alarm, angry, angry & alarm], axis=1).astype(float)
        columns["anger_gaps"] = _bin(scores[:, 3]) * ((scores[:, 3] - angry) * (calm | angry))[:, None]
    return columns


def _from_sums(sums: dict[str, Floats]) -> dict[str, Floats]:
    """Figures (R,) from the sums (R, k) of `_columns`; nan where a resample says nothing of one."""
    total = sums["one"][:, 0]
    found = {f"called_{mood}": _share(sums["called"][:, number], total) for number, mood in enumerate(MOODS)}
    found["called_angry"] = _share(sums["alarm"][:, 0], total)
    if "turns" in sums:
        turns, alarms = sums["turns"].T
        found["false_alarms_per_1000"] = 1000 * _share(alarms, turns)
    if "cells" in sums:
        found |= _sentiment(sums["cells"].reshape(-1, 3, 3))
        poles, right = sums["poles"].T
        found["accuracy_of_two"] = _share(right, poles)
        found["calibration_error"] = _share(np.abs(sums["gaps"]).sum(axis=1), sums["cells"].sum(axis=1))
    if "anger" in sums:
        calm, called, angry, caught = sums["anger"].T
        found["anger_recall"] = _share(caught, angry)
        found["anger_false_alarms"] = _share(called, calm)
        found["anger_precision"] = np.where(angry > 0, _share(caught, caught + called), np.nan)
        found["anger_f1"] = np.where(angry > 0, _share(2 * caught, caught + called + angry), np.nan)
        found["anger_calibration_error"] = _share(np.abs(sums["anger_gaps"]).sum(axis=1), calm + angry)
    return found


def _sentiment(counts: Floats) -> dict[str, Floats]:
    """Of confusion matrices (R, 3, 3). Moods without a label in a resample have no recall and no F1 there."""
    hits = counts.diagonal(axis1=1, axis2=2)  # (R, 3)
    labelled, claimed = counts.sum(axis=2), counts.sum(axis=1)
    precision, recall = _share(hits, claimed), _share(hits, labelled)
    f1 = np.where(labelled > 0, _share(2 * hits, labelled + claimed), np.nan)
    known = labelled > 0
    found = {
        "accuracy": _share(hits.sum(axis=1), labelled.sum(axis=1)),
        "macro_f1": _share(np.nansum(f1, axis=1), known.sum(axis=1)),
        "called_negative_wrongly": _share(counts[:, 1:, 0].sum(axis=1), labelled[:, 1:].sum(axis=1)),
        "neutral_called_negative": _share(counts[:, 1, 0], labelled[:, 1]),
    }
    for number, mood in enumerate(MOODS):
        found[f"{mood}_precision"] = np.where(known[:, number], precision[:, number], np.nan)
        found[f"{mood}_recall"] = recall[:, number]
        found[f"{mood}_f1"] = f1[:, number]
    return found


def _bin(confidence: Floats) -> Floats:
    """(N, BINS): 1 in the bin of equal width that each row falls into."""
    found: Floats = np.eye(BINS)[np.minimum((confidence * BINS).astype(int), BINS - 1)]
    return found


def _share(part: Floats, whole: Floats) -> Floats:
    """part / whole; nan where the whole is empty: that resample says nothing."""
    found: Floats = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return found


def _summed_up(values: Floats) -> Figure | None:
    value, drawn = values[0], values[1:]
    if np.isnan(value):
        return None
    drawn = drawn[~np.isnan(drawn)]
    edges = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    low, high = np.quantile(drawn, edges) if len(drawn) else (value, value)
    return Figure(*(round(float(number), 4) for number in (value, low, high)))
