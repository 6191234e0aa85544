"""Is it good, is it calibrated, and whom does it alarm? Figures of a `Scorer`, taken through the class that serves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from schemas.bundle import Decisions, Temperatures
from stream_app.scoring.scorer import Scorer
from trainer.data import Row

Floats = NDArray[np.float64]
FALSE_ALARMS = 0.01
"""Share of ordinary customer turns that may be called angry: at 2 % a team stops reading alerts."""


def scores_of(scorer: Scorer, rows: Sequence[Row]) -> Floats:
    """(N, 4): negative, neutral, positive, anger."""
    return np.array(scorer.score([row.input for row in rows]), dtype=np.float64).reshape(len(rows), 4)


def fit_temperatures(rows: Sequence[Row], scores: Floats) -> Temperatures:
    """The temperatures that make `scores`, taken at temperature 1, most likely on `rows`. Every source counts alike."""
    weights = balanced(rows)
    told = np.array([row.sentiment is not None for row in rows])
    moods = np.array([row.sentiment for row in rows if row.sentiment is not None])
    logits = np.log(scores[told, :3] + 1e-12)

    def sentiment_loss(temperature: float) -> float:
        scaled = logits / temperature
        likely = scaled[np.arange(len(moods)), moods] - np.log(np.exp(scaled).sum(axis=1))
        return -float(np.average(likely, weights=weights[told]))

    heard = np.array([row.anger is not None for row in rows])
    angry = np.array([row.anger for row in rows if row.anger is not None])
    logit = np.log(scores[heard, 3] + 1e-12) - np.log(1 - scores[heard, 3] + 1e-12)

    def anger_loss(temperature: float) -> float:
        likely = angry * -np.logaddexp(0, -logit / temperature) + (1 - angry) * -np.logaddexp(0, logit / temperature)
        return -float(np.average(likely, weights=weights[heard]))

    grid = np.geomspace(0.4, 5.0, 200)
    best = [float(grid[np.argmin([loss(t) for t in grid])]) for loss in (sentiment_loss, anger_loss)]
    return Temperatures(sentiment=round(best[0], 3), anger=round(best[1], 3))


def choose_decisions(calm: Floats, everything: Floats) -> Decisions:
    """`calm`: scores of ordinary service turns, of which 1 % may count as angry; `everything`: the held-back mixture,
    whose strengths are cut into five equal parts."""
    threshold = 0.5
    if len(calm):
        threshold = max(threshold, float(np.quantile(calm[:, 3], 1 - FALSE_ALARMS, method="higher")) + 1e-3)
    strength = np.maximum(np.abs(everything[:, 2] - everything[:, 0]), everything[:, 3])
    cuts = [round(float(cut), 3) for cut in np.quantile(strength, (0.2, 0.4, 0.6, 0.8))]
    return Decisions(anger_threshold=round(threshold, 3), intensity_cuts=(cuts[0], cuts[1], cuts[2], cuts[3]))


def figures(rows: Sequence[Row], scores: Floats, decisions: Decisions) -> dict[str, dict[str, float]]:
    """Source -> figure -> value; only figures that the source's labels allow."""
    by_source: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_source[row.source].append(index)
    return {
        source: _figures([rows[i] for i in indices], scores[indices], decisions)
        for source, indices in by_source.items()
    }


def calm_figures(scores: Floats, decisions: Decisions) -> dict[str, float]:
    """What the model says about turns that are almost all ordinary: shares called negative and angry."""
    called = scores[:, :3].argmax(axis=1)
    shares = {
        "called_negative": called == 0,
        "called_positive": called == 2,
        "called_angry": scores[:, 3] >= decisions.anger_threshold,
    }
    return {"texts": len(scores)} | {name: round(float(share.mean()), 4) for name, share in shares.items()}


def calibration_error(confidence: Floats, right: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error: how far confidence and hit rate differ, over bins of equal width."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for number in range(bins):
        inside = place == number
        if inside.any():
            error += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    return float(error)


def balanced(rows: Sequence[Row]) -> Floats:
    """Weights that let each source count alike, however many rows it has."""
    sizes: dict[str, int] = defaultdict(int)
    for row in rows:
        sizes[row.source] += 1
    return np.array([1 / sizes[row.source] for row in rows])


def _figures(rows: Sequence[Row], scores: Floats, decisions: Decisions) -> dict[str, float]:
    found: dict[str, float] = {"texts": len(rows)}
    told = [i for i, row in enumerate(rows) if row.sentiment is not None]
    if told:
        moods = np.array([rows[i].sentiment for i in told])
        moods_known = sorted(set(moods.tolist()))
        called = scores[told, :3].argmax(axis=1)
        found["accuracy"] = float((called == moods).mean())
        found["macro_f1"] = float(f1_score(moods, called, average="macro", labels=moods_known, zero_division=0.0))
        found["calibration_error"] = calibration_error(scores[told, :3].max(axis=1), called == moods)
        found["called_negative_wrongly"] = float((called == 0)[moods != 0].mean()) if (moods != 0).any() else 0.0
        if len(moods_known) == 2:  # no neutral in this source: what if the model must choose between its two moods?
            found["accuracy_of_two"] = float(((scores[told, 2] > scores[told, 0]) * 2 == moods).mean())
    sure = [i for i, row in enumerate(rows) if row.anger in (0.0, 1.0)]
    angry = np.array([rows[i].anger == 1.0 for i in sure])
    if angry.any() and not angry.all():
        anger = scores[sure, 3]
        alarm = anger >= decisions.anger_threshold
        found["anger_auc"] = float(roc_auc_score(angry, anger))
        found["anger_recall"] = float(alarm[angry].mean())
        found["anger_false_alarms"] = float(alarm[~angry].mean())
    return {name: round(value, 4) for name, value in found.items()}


def at_most(rows: Iterable[Row], each: int) -> list[Row]:
    """The first `each` rows of every source."""
    seen: dict[str, int] = defaultdict(int)
    chosen = []
    for row in rows:
        seen[row.source] += 1
        if seen[row.source] <= each:
            chosen.append(row)
    return chosen
