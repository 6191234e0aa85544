"""When to train: enough labels, old age with something new to learn, or a person who wants it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from trainer.due import State, Trigger, due

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.mark.parametrize(
    ("state", "trigger"),
    [
        pytest.param(State(NOW, 500, ago(1), ago(9)), "labels", id="just enough labels"),
        pytest.param(State(NOW, 499, ago(1), ago(9)), None, id="one label short"),
        pytest.param(State(NOW, 1, ago(30), ago(60)), "age", id="old, and a label is new"),
        pytest.param(State(NOW, 0, ago(30), ago(60)), None, id="old, but there is nothing new to learn"),
        pytest.param(State(NOW, 1, None, ago(30)), "age", id="never trained here, and the bundle is old"),
        pytest.param(State(NOW, 1, ago(1), ago(60)), None, id="old, but a candidate was refused yesterday"),
        pytest.param(State(NOW, 1, None, None), None, id="nobody knows how old"),
        pytest.param(State(NOW, 500, None, None), "labels", id="nobody knows how old, but there are labels"),
        pytest.param(State(NOW, 0, None, ago(0)), None, id="the first day"),
    ],
)
def test_a_run_is_due(state: State, trigger: Trigger | None) -> None:
    decision = due(state, min_labels=500, max_age=timedelta(days=30))
    assert decision.trigger == trigger
    assert decision.reason


def test_a_person_need_not_wait() -> None:
    decision = due(State(NOW, 3, ago(0.1), ago(1)), min_labels=500, max_age=timedelta(days=30), by_hand=True)
    assert decision == ("hand", "asked for, with 3 new labels")


def test_the_reason_says_how_far_it_is() -> None:
    decision = due(State(NOW, 120, ago(3), ago(9)), min_labels=500, max_age=timedelta(days=30))
    assert decision.reason == "120 of 500 new labels; age 3 days of 30 days"
