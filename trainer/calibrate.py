"""From raw probabilities to calibrated ones, and to the thresholds that go with them."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.bundle import Decisions, Temperatures
from stream_app.scoring.load import load_scorer
from stream_app.scoring.scorer import Scorer
from trainer.rows import Row, draw

Floats = NDArray[np.float64]
FALSE_ALARMS = 0.005
"""Share of ordinary customer turns that may be called angry: at 2 % a team stops reading alerts."""
LOWEST_ALARM = 0.45
"""A calibrated anger below this is more likely calm than not, whatever the budget allows. 0.35, tried first, kept the
budget on the 441 calm service turns that chose it and broke it on the 524 that did not: 1.3 %; 0.45: 0.4 %."""
ENOUGH_CALM = 400
"""Calm service turns from which an alarm threshold can be read: of fewer, one more or less is 0.25 %."""
UNMEASURED_ALARM = 0.5
"""The lowest threshold where there are fewer."""
_GRID = np.geomspace(0.4, 5.0, 200)
_TINY = 1e-12


def scores_of(scorer: Scorer, rows: Sequence[Row]) -> Floats:
    """(N, 4): negative, neutral, positive, anger."""
    return np.array(scorer.score([row.input for row in rows]), dtype=np.float64).reshape(len(rows), 4)


def scores_with(folder: Path, rows: Sequence[Row], threads: int = 2) -> Floats:
    """(N, 4) of the bundle in `folder`, which is loaded for this and closed again."""
    with closing(load_scorer(str(folder), threads=threads)) as scorer:
        return scores_of(scorer, rows)


def fit_temperatures(rows: Sequence[Row], scores: Floats) -> Temperatures:
    """The temperatures that make `scores`, taken at temperature 1, most likely on `rows`. Every source counts alike.

    A head without one label keeps temperature 1.
    """
    weights = balanced(rows)
    told = np.array([row.sentiment is not None for row in rows], dtype=bool)
    moods = np.array([row.sentiment for row in rows if row.sentiment is not None], dtype=int)
    logits = np.log(scores[told, :3] + _TINY)

    def sentiment_loss(temperature: float) -> float:
        scaled = logits / temperature
        likely = scaled[np.arange(len(moods)), moods] - np.log(np.exp(scaled).sum(axis=1))
        return -float(np.average(likely, weights=weights[told]))

    heard = np.array([row.anger is not None for row in rows], dtype=bool)
    angry = np.array([row.anger for row in rows if row.anger is not None], dtype=float)
    logit = np.log(scores[heard, 3] + _TINY) - np.log(1 - scores[heard, 3] + _TINY)

    def anger_loss(temperature: float) -> float:
        likely = angry * -np.logaddexp(0, -logit / temperature) + (1 - angry) * -np.logaddexp(0, logit / temperature)
        return -float(np.average(likely, weights=weights[heard]))

    return Temperatures(
        sentiment=_best(sentiment_loss) if told.any() else 1.0, anger=_best(anger_loss) if heard.any() else 1.0
    )


def fit_by_language(rows: Sequence[Row], scores: Floats, languages: Sequence[str]) -> dict[str, Temperatures]:
    """`fit_temperatures` of each language's rows; `languages[i]` is the encoder that read `rows[i]`."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, language in enumerate(languages):
        places[language].append(place)
    return {
        language: fit_temperatures([rows[i] for i in found], scores[found])
        for language, found in sorted(places.items())
    }


def choose_decisions(calm: Floats, mixture: Floats, false_alarms: float = FALSE_ALARMS) -> Decisions:
    """`calm` (C, 4): scores of ordinary service turns, of which the share `false_alarms` may count as angry; as many
    angry ones as that budget allows are heard, from LOWEST_ALARM on (UNMEASURED_ALARM without ENOUGH_CALM). `mixture`
    (M, 4): the held-back mixture, whose strengths are cut into five equal parts."""
    threshold = LOWEST_ALARM if len(calm) >= ENOUGH_CALM else UNMEASURED_ALARM
    if len(calm):
        threshold = max(threshold, float(np.quantile(calm[:, 3], 1 - false_alarms, method="higher")) + 1e-3)
    strength = np.maximum(np.abs(mixture[:, 2] - mixture[:, 0]), mixture[:, 3])
    cuts = [round(float(cut), 3) for cut in np.quantile(strength, (0.2, 0.4, 0.6, 0.8))]
    return Decisions(anger_threshold=round(threshold, 3), intensity_cuts=(cuts[0], cuts[1], cuts[2], cuts[3]))


def balanced(rows: Sequence[Row]) -> Floats:
    """Weights (N,) that let each source count alike, however many rows it has."""
    sizes: dict[str, int] = defaultdict(int)
    for row in rows:
        sizes[row.source] += 1
    return np.array([1 / sizes[row.source] for row in rows])


def at_most(rows: Iterable[Row], each: int) -> list[Row]:
    """`each` rows of every source, chosen by a hash of the text, not by their place in a file; in the order given."""
    rows = list(rows)
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[row.source].append(place)
    chosen: list[int] = []
    for found in places.values():
        chosen += heapq.nsmallest(each, found, key=lambda place: draw("at_most:" + rows[place].key))
    return [rows[place] for place in sorted(chosen)]


def _best(loss: Callable[[float], float]) -> float:
    return round(float(_GRID[np.argmin([loss(float(temperature)) for temperature in _GRID])]), 3)
