"""Is the candidate worse anywhere? One function a question: a one-sided test against the champion on the same rows.

A criterion refuses what is certainly worse (p below 0.05) by more than its margin. The slices are one family: Holm's
correction keeps many of them from refusing an equal candidate more often than one of them would.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from trainer.figures import reliability
from trainer.paired import Areas, Bools, Floats, bootstrap_f1, delong, holm, sign_test
from trainer.rows import Row
from trainer.slices import has_emoji, has_negation, language_of
from trainer.verdict import SENTIMENT_NAMES, Case, Criterion, Limits, Side, short


class Question(NamedTuple):
    """A test against the champion."""

    name: str
    champion: float
    candidate: float
    limit: float
    p_worse: float
    test: str
    less_is_better: bool = False

    @property
    def beyond_limit(self) -> bool:
        return self.candidate > self.limit if self.less_is_better else self.candidate < self.limit


def worse_anywhere(case: Case, limits: Limits) -> Iterator[Criterion]:
    """Every question, in the order in which a verdict lists them."""
    yield from _outputs_mean_what_they_say(case)
    yield from _family([*_mood_slices(case, limits), *_anger_slices(case, limits)], limits)
    yield from _family([*_moods(case, limits), *_anger(case, limits), *_calm(case, limits)], limits)
    yield from _calibration(case, limits)


def _family(questions: Sequence[Question], limits: Limits) -> Iterator[Criterion]:
    """Refused is what lies beyond its limit and is no luck: one family refuses an equal model once in twenty times."""
    for each, p in zip(questions, holm([each.p_worse for each in questions]), strict=True):
        passed = not (p < limits.significance and each.beyond_limit)
        figures = short(each.champion), short(each.candidate), short(each.limit)
        yield Criterion(each.name, passed, *figures, f"{each.test}, p {p:.3g} after Holm over {len(questions)}")


def _outputs_mean_what_they_say(case: Case) -> Iterator[Criterion]:
    """The probability of a mood must rank texts of that mood above others; swapped outputs do the opposite."""
    moods = case.moods[case.told]
    for number, name in enumerate(SENTIMENT_NAMES):
        truth = moods == number
        if truth.any() and not truth.all():
            before, now = (
                float(roc_auc_score(truth, side.scores[case.told, number])) for side in (case.champion, case.candidate)
            )
            yield Criterion(f"label map {name}", now >= 0.5, short(before), short(now), 0.5, "AUC against chance")


def _mood_slices(case: Case, limits: Limits) -> Iterator[Question]:
    for dimension, name, where in _parts(case.rows, case.told):
        if where.sum() >= limits.rows_of_a_slice:
            signs = sign_test(case.change(where), case.units[where])
            before, now = case.accuracies(where)
            test = f"sign test on {where.sum():,}: {signs.better} better, {signs.worse} worse"
            yield Question(f"{dimension} {name}", before, now, before - limits.slice_loss, signs.p_worse, test)


def _anger_slices(case: Case, limits: Limits) -> Iterator[Question]:
    for dimension, name, where in _parts(case.rows, case.sure):
        if dimension == "language" and both_kinds(case.angry[where], limits):
            yield _anger_area(f"anger in {name}", case, where, limits)


def _moods(case: Case, limits: Limits) -> Iterator[Question]:
    if not case.told.any():
        return
    calls = case.champion.called[case.told], case.candidate.called[case.told]
    units = np.unique(case.units[case.told], return_inverse=True)[1]
    before, now, p = bootstrap_f1(case.moods[case.told], *calls, units)
    yield Question("macro F1", before, now, before - limits.f1_loss, p, "paired bootstrap")
    neutral = case.told & (case.moods == 1)
    if neutral.any():
        wrongly = [side.called[neutral] == 0 for side in (case.champion, case.candidate)]
        signs = sign_test(wrongly[0] * 1 - wrongly[1] * 1, case.units[neutral])
        before, now = (float(each.mean()) for each in wrongly)
        limit = max(before, limits.neutral_called_negative)
        test = f"sign test on {neutral.sum():,}"
        yield Question("neutral called negative", before, now, limit, signs.p_worse, test, less_is_better=True)


def _anger(case: Case, limits: Limits) -> Iterator[Question]:
    if not both_kinds(case.angry[case.sure], limits):
        return
    yield _anger_area("anger AUC", case, case.sure, limits)
    caught = [side.alarm[case.angry] for side in (case.champion, case.candidate)]
    signs = sign_test(caught[1] * 1 - caught[0] * 1, case.units[case.angry])
    before, now = (float(each.mean()) for each in caught)
    test = f"sign test on {case.angry.sum():,} angry texts"
    yield Question("anger recall", before, now, before - limits.recall_loss, signs.p_worse, test)


def _calm(case: Case, limits: Limits) -> Iterator[Question]:
    """Alarms on service turns of customers that nobody called angry or negative: more than the champion's, and more
    than the budget."""
    calm = np.array([row.role == "customer" and not row.anger and row.sentiment != 0 for row in case.rows], dtype=bool)
    if not calm.any():
        return
    alarms = [side.alarm[calm] for side in (case.champion, case.candidate)]
    signs = sign_test(alarms[0] * 1 - alarms[1] * 1, case.units[calm])
    before, now = (float(each.mean()) for each in alarms)
    limit = max(before, limits.false_alarms)
    test = f"sign test on {calm.sum():,}"
    yield Question("false alarms", before, now, limit, signs.p_worse, test, less_is_better=True)


def _calibration(case: Case, limits: Limits) -> Iterator[Criterion]:
    def sentiment(side: Side) -> float:
        return _calibration_error(side.scores[case.told, :3].max(axis=1), (side.called == case.moods)[case.told])

    def anger(side: Side) -> float:
        return _calibration_error(side.scores[case.sure, 3], case.angry[case.sure])

    heads: list[tuple[str, Callable[[Side], float], Bools]] = [
        ("sentiment", sentiment, case.told),
        ("anger", anger, case.sure),
    ]
    for name, error, where in heads:
        if where.sum() >= limits.rows_for_calibration:
            before, now = error(case.champion), error(case.candidate)
            limit = before + limits.calibration_loss
            test = f"expected calibration error on {where.sum():,}"
            passed = now <= limit
            yield Criterion(f"calibration {name}", passed, short(before), short(now), short(limit), test)


_DIMENSIONS: dict[str, Callable[[Row], str]] = {
    "source": lambda row: row.source,
    "language": language_of,
    "channel": lambda row: row.channel,
    "negation": lambda row: "with" if has_negation(row.input.text) else "without",
    "emoji": lambda row: "with" if has_emoji(row.input.text) else "without",
    "context": lambda row: "with" if row.input.context else "without",
    "length": lambda row: "short" if len(row.input.text) <= 15 else "long" if len(row.input.text) > 100 else "middle",
}


def _parts(rows: Sequence[Row], among: Bools) -> Iterator[tuple[str, str, Bools]]:
    for dimension, name_of in _DIMENSIONS.items():
        places: dict[str, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            if among[place] and (name := name_of(row)):
                places[name].append(place)
        for name, found in sorted(places.items()):
            where = np.zeros(len(rows), dtype=bool)
            where[found] = True
            yield dimension, name, where


def both_kinds(angry: Bools, limits: Limits) -> bool:
    return min(int(angry.sum()), int((~angry).sum())) >= limits.rows_of_a_kind


def _anger_area(name: str, case: Case, where: Bools, limits: Limits) -> Question:
    areas = areas_of(case, where)
    limit = areas.champion - limits.auc_loss
    return Question(name, areas.champion, areas.candidate, limit, areas.p_worse, f"DeLong on {where.sum():,}")


def areas_of(case: Case, where: Bools) -> Areas:
    """Anger's areas on these rows, which must be angry or calm."""
    champion, candidate = case.champion.scores[where, 3], case.candidate.scores[where, 3]
    return delong(case.angry[where], champion, candidate, case.units[where])


def _calibration_error(confidence: Floats, right: Bools) -> float:
    _, sure, hits = reliability(confidence, right)
    return float(np.abs(sure - hits).sum() / len(confidence))
