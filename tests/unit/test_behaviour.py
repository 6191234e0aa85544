"""What each kind of behaviour case lets pass and what it does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.bundle import Decisions
from stream_app.errors import SetupError
from stream_app.scoring.scorer import Scores
from stream_app.text.model_input import ModelInput
from trainer.behaviour import Behaviour, Case, examine, read_cases


class Saying:
    """Scores by text: what the table says, else calm and neutral."""

    name, text_version, decisions = "saying", 1, Decisions(anger_threshold=0.5)

    def __init__(self, **table: Scores) -> None:
        self.table = table
        self.seen: list[ModelInput] = []

    def score(self, inputs: Sequence[ModelInput]) -> list[Scores]:
        self.seen += inputs
        return [self.table.get(item.text, Scores(0.1, 0.8, 0.1, 0.0)) for item in inputs]

    def check_canary(self) -> None: ...


BAD, WORSE, FURIOUS = Scores(0.6, 0.3, 0.1, 0.1), Scores(0.8, 0.1, 0.1, 0.2), Scores(0.7, 0.2, 0.1, 0.9)


def case(kind: Any, text: str, **more: Any) -> Case:
    return Case(id=f"en-{text}", kind=kind, capability="some", lang="en", text=text, **more)


def failure(one: Case, **table: Scores) -> str:
    found = examine(Saying(**table), [one]).failures
    return found[0].failure if found else ""


def test_minimum_asks_for_label_and_side_of_the_anger_threshold() -> None:
    assert failure(case("minimum", "bad", sentiment="neg", angry=False), bad=BAD) == ""
    assert "negative, not positive" in failure(case("minimum", "bad", sentiment="pos"), bad=BAD)
    assert "angry, not not angry" not in failure(case("minimum", "bad", angry=False), bad=BAD)
    assert failure(case("minimum", "bad", angry=True), bad=BAD) == "anger 0.10, so not angry, should be angry"
    both = failure(case("minimum", "mad", sentiment="neu", angry=False), mad=FURIOUS)
    assert both == "negative, not neutral; anger 0.90, so angry, should be not angry"


def test_what_a_case_does_not_say_is_not_asked() -> None:
    assert failure(case("minimum", "mad", sentiment="neg"), mad=FURIOUS) == ""
    assert failure(case("minimum", "mad", angry=True), mad=FURIOUS) == ""


def test_invariance_lets_numbers_move_but_neither_label_nor_side() -> None:
    same = case("invariance", "bad", changed="worse")
    assert failure(same, bad=BAD, worse=WORSE) == ""
    assert failure(same, bad=BAD) == "negative became neutral"
    assert failure(same, bad=BAD, worse=FURIOUS) == "not angry became angry"


@pytest.mark.parametrize("more", ["negative", "positive", "anger"])
def test_direction_lets_a_score_rise_or_stay_within_two_hundredths(more: Any) -> None:
    one = case("direction", "before", changed="after", more=more)
    low, same, high = (
        {"negative": 0.3, "neutral": 0.2, "positive": 0.3, "anger": 0.3} | {more: v} for v in (0.3, 0.285, 0.4)
    )
    assert failure(one, before=Scores(**low), after=Scores(**high)) == ""
    assert failure(one, before=Scores(**low), after=Scores(**same)) == ""
    assert failure(one, before=Scores(**high), after=Scores(**low)) == f"{more} fell from 0.40 to 0.30"


def test_texts_are_prepared_and_context_goes_with_both_of_a_pair() -> None:
    scorer = Saying()
    examine(scorer, [case("invariance", "ok　ok", changed="OK ok", context=("Where is it?", "Please wait"))])
    assert scorer.seen == [ModelInput(text, "Where is it? / Please wait") for text in ("ok ok", "OK ok")]


def test_rates_are_told_by_capability_kind_and_language() -> None:
    cases = [case("minimum", "bad", sentiment="neg"), case("minimum", "fine", sentiment="pos")]
    found: Behaviour = examine(Saying(bad=BAD), cases)
    assert (found.overall.cases, found.overall.passed, found.overall.share) == (2, 1, 0.5)
    assert found.by["kind"]["minimum"] == found.by["capability"]["some"] == found.by["language"]["en"] == found.overall
    assert [each.case.id for each in found.failures] == ["en-fine"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"id": "x"', "line 2 is no behaviour case"),
        ('{"id": "x", "kind": "minimum", "capability": "c", "lang": "zh"}', "missing required field `text`"),
        ('{"id": "x", "kind": "maximum", "capability": "c", "lang": "zh", "text": "t"}', "maximum"),
        ('{"id": "x", "kind": "minimum", "capability": "c", "lang": "zh", "text": "t", "mood": 1}', "mood"),
        (
            '{"id": "x", "kind": "minimum", "capability": "c", "lang": "zh", "text": "t"}',
            'needs "sentiment" or "angry"',
        ),
        ('{"id": "x", "kind": "invariance", "capability": "c", "lang": "zh", "text": "t"}', 'needs "changed"'),
        ('{"id": "x", "kind": "direction", "capability": "c", "lang": "zh", "text": "t", "changed": "u"}', '"more"'),
    ],
)
def test_a_broken_case_is_named_with_its_line(tmp_path: Path, line: str, complaint: str) -> None:
    good = {"id": "a", "kind": "minimum", "capability": "c", "lang": "zh", "text": "t", "angry": True}
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(good) + "\n" + line, "utf-8")
    with pytest.raises(SetupError, match=complaint) as told:
        read_cases(path)
    assert "line 2" in str(told.value)


def test_bytes_that_are_no_text_and_an_empty_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_bytes("差".encode("gbk"))
    with pytest.raises(SetupError, match="line 1"):
        read_cases(path)
    path.write_bytes(b"\n\n")
    with pytest.raises(SetupError, match="no behaviour case"):
        read_cases(path)
