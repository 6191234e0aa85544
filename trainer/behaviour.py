"""Behaviour tests: what a test split cannot ask. Sarcasm, contrast, denial, a calm question with an alarming word.

After CheckList (Ribeiro et al. 2020): minimum function, invariance, direction. The cases' format, and how to write one,
stands in `tests/model/behaviour/README.md`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from schemas.bundle import Decisions
from stream_app.errors import SetupError
from stream_app.scoring.decisions import judge
from stream_app.scoring.scorer import Scorer, Scores
from stream_app.text.model_input import model_input

TOLERANCE = 0.02
"""A score that should not fall may fall by this much: less is noise."""

_LABELS = {"neg": "negative", "neu": "neutral", "pos": "positive"}


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    kind: Literal["minimum", "invariance", "direction"]
    capability: str
    lang: str
    text: str
    context: tuple[str, ...] = ()
    sentiment: Literal["neg", "neu", "pos"] | None = None
    angry: bool | None = None
    changed: str | None = None
    more: Literal["negative", "positive", "anger"] | None = None


class Outcome(msgspec.Struct, frozen=True):
    case: Case
    failure: str
    """What the model did wrong; "" where it did right."""


class Rate(msgspec.Struct, frozen=True):
    cases: int
    passed: int
    share: float


class Behaviour(msgspec.Struct, frozen=True):
    overall: Rate
    by: dict[str, dict[str, Rate]]
    """"capability", "kind" and "language" -> name -> rate."""
    failures: list[Outcome]


def read_cases(path: Path) -> list[Case]:
    """One case a line. Raises SetupError with the line of the first that is none."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}.") from error
    cases: list[Case] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = msgspec.json.decode(line, type=Case)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SetupError(f"{path} line {number} is no behaviour case: {error}.") from error
        if missing := _missing(case):
            raise SetupError(f"{path} line {number}: a case of kind {case.kind} needs {missing}.")
        cases.append(case)
    if not cases:
        raise SetupError(f"{path} holds no behaviour case.")
    return cases


def examine(scorer: Scorer, cases: Sequence[Case]) -> Behaviour:
    """Score every case's texts, with its context, as serving would, and compare with what the case demands."""
    first = scorer.score([model_input(case.text, case.context) for case in cases])
    second = scorer.score([model_input(case.changed or case.text, case.context) for case in cases])
    outcomes = [
        Outcome(case, _failure(case, one, other, scorer.decisions))
        for case, one, other in zip(cases, first, second, strict=True)
    ]
    return Behaviour(
        overall=_rate(outcomes),
        by={
            "capability": _rates(outcomes, [each.case.capability for each in outcomes]),
            "kind": _rates(outcomes, [each.case.kind for each in outcomes]),
            "language": _rates(outcomes, [each.case.lang for each in outcomes]),
        },
        failures=[each for each in outcomes if each.failure],
    )


def _failure(case: Case, scores: Scores, changed: Scores, decisions: Decisions) -> str:
    before, after = judge(scores, decisions), judge(changed, decisions)
    if case.kind == "minimum":
        wrong = []
        if case.sentiment and before.label != _LABELS[case.sentiment]:
            wrong.append(f"{before.label}, not {_LABELS[case.sentiment]}")
        if case.angry is not None and before.angry != case.angry:
            wrong.append(f"anger {scores.anger:.2f}, so {_angry(before.angry)}, should be {_angry(case.angry)}")
        return "; ".join(wrong)
    if case.kind == "invariance":
        wrong = [f"{before.label} became {after.label}"] if before.label != after.label else []
        if before.angry != after.angry:
            wrong.append(f"{_angry(before.angry)} became {_angry(after.angry)}")
        return "; ".join(wrong)
    aspect = str(case.more)
    low, high = getattr(scores, aspect), getattr(changed, aspect)
    return f"{aspect} fell from {low:.2f} to {high:.2f}" if high < low - TOLERANCE else ""


def _missing(case: Case) -> str:
    if case.kind == "minimum":
        return '"sentiment" or "angry"' if case.sentiment is None and case.angry is None else ""
    if case.changed is None:
        return '"changed"'
    return '"more"' if case.kind == "direction" and case.more is None else ""


def _angry(angry: bool) -> str:
    return "angry" if angry else "not angry"


def _rate(outcomes: Sequence[Outcome]) -> Rate:
    passed = sum(not each.failure for each in outcomes)
    return Rate(len(outcomes), passed, round(passed / max(1, len(outcomes)), 4))


def _rates(outcomes: Sequence[Outcome], names: Sequence[str]) -> dict[str, Rate]:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome, name in zip(outcomes, names, strict=True):
        groups[name].append(outcome)
    return {name: _rate(found) for name, found in sorted(groups.items())}
