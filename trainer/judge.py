"""The gate: may the candidate take the champion's place? Pure: rows, scores and facts in, a verdict with reasons out.

A candidate is promoted when it is proven better and nothing says that it is worse somewhere. Which test stands behind
which criterion, and what each can see: ops/decisions/0008-promotion-gate.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from stream_app.text.language import encoder_language
from trainer.criteria import areas_of, both_kinds, worse_anywhere
from trainer.paired import Floats, holm, sign_test
from trainer.rows import Row
from trainer.verdict import Case, Criterion, Facts, Limits, Side, Verdict, in_order, short


def judge(rows: Sequence[Row], champion: Side, candidate: Side, limits: Limits = Limits()) -> Verdict:  # noqa: B008
    """The verdict on `candidate`. The order of the rows is of no importance.

    1. Do both speak of the same texts in the same words?  2. Are the scores scores?  3. Is there enough to judge by?
    4. Is it worse anywhere?  5. Is it better?
    """
    criteria = list(_structure(champion.facts, candidate.facts, limits))  # 1
    sound = _finite(candidate.scores)  # 2
    criteria.append(sound)
    if sound.passed:
        case = in_order(rows, champion, candidate)
        criteria += _evidence(case, limits)  # 3
        criteria += worse_anywhere(case, limits)  # 4
        criteria.append(_gain(case, limits))  # 5
    passed = all(each.passed for each in criteria)
    return Verdict(champion.facts.model, candidate.facts.model, len(rows), passed, criteria)


def _structure(champion: Facts, candidate: Facts, limits: Limits) -> Iterator[Criterion]:
    version, other = candidate.text_version, champion.text_version
    equal = version is not None and version == (version if other is None else other)
    yield Criterion("text version", equal, _number(other), _number(version), _number(other), "equal")
    moods, more = set(candidate.labels.values()), set(champion.labels.values())
    lost = len(more - moods) + (champion.knows_anger and not candidate.knows_anger)
    yield Criterion("answers", not lost, None, float(lost), 0.0, "moods and anger the champion knows and it does not")
    yield Criterion("canary", candidate.canary_ok, None, float(candidate.canary_ok), 1.0, "recorded scores repeated")
    reads = (float(champion.max_tokens), float(candidate.max_tokens))
    yield Criterion("tokens read", reads[1] >= reads[0], *reads, reads[0], "not fewer")
    for name, before, now, times in (
        ("size (MB)", champion.size_mb, candidate.size_mb, limits.larger),
        ("speed (s per 1,000)", champion.seconds_per_1000, candidate.seconds_per_1000, limits.slower),
    ):
        yield Criterion(name, now <= before * times, short(before), short(now), short(before * times), f"≤ {times} ×")
    for kind in sorted(champion.behaviour):
        before, now = champion.behaviour[kind], candidate.behaviour.get(kind, 0.0)
        limit = before - limits.behaviour_loss
        kept = now >= limit - 1e-9
        yield Criterion(f"behaviour {kind}", kept, short(before), short(now), short(limit), "share of cases passed")


def _finite(scores: Floats) -> Criterion:
    good = np.isfinite(scores).all(axis=1) & ((scores >= 0) & (scores <= 1)).all(axis=1)
    good &= np.abs(scores[:, :3].sum(axis=1) - 1) < 1e-3
    bad = float((~good).sum())
    return Criterion("finite scores", not bad, None, bad, 0.0, "texts whose scores are no probabilities")


def _evidence(case: Case, limits: Limits) -> Iterator[Criterion]:
    """What was trained must have been measured: a language without held-back rows could be lost unseen."""
    for language in case.candidate.facts.renewed:
        read = (encoder_language(*row.input) == language for row in case.rows)
        texts = float(sum(told and mine for told, mine in zip(case.told, read, strict=True)))
        limit = limits.rows_of_a_language
        yield Criterion(f"evidence {language}", texts >= limit, None, texts, limit, "held-back texts with a sentiment")


def _gain(case: Case, limits: Limits) -> Criterion:
    """The proof that promotion needs: more moods right, or angry texts ranked better; Holm over the two."""
    proofs: list[tuple[str, float, float, float]] = []
    if case.told.any():
        signs = sign_test(case.change(case.told), case.units[case.told])
        proofs.append(("accuracy, sign test", *case.accuracies(case.told), signs.p_better))
    if both_kinds(case.angry[case.sure], limits):
        areas = areas_of(case, case.sure)
        proofs.append(("anger AUC, DeLong", areas.champion, areas.candidate, areas.p_better))
    if not proofs:
        return Criterion("gain", False, None, None, limits.significance, "no labelled row to prove a gain on")
    adjusted = holm([p for *_, p in proofs])
    best = min(range(len(proofs)), key=lambda i: adjusted[i])
    name, before, now, _ = proofs[best]
    proven = adjusted[best] < limits.significance
    test = f"{name}: p {adjusted[best]:.3g} after Holm over {len(proofs)}"
    return Criterion("gain", proven, short(before), short(now), None, test)


def _number(value: int | None) -> float | None:
    return None if value is None else float(value)
