"""The score stage's promises: order, whose fault a failure is, and what of a person goes further."""

import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.codec import decode
from schemas.events import DeadLetter, SentimentScored
from schemas.topics import CHATS, DEAD_LETTERS, REVIEWS, SENTIMENT
from stream_app.errors import ScorerBroken
from stream_app.flow.delivery import Delivery, Settled
from stream_app.scoring.quick import QuickScorer
from stream_app.scoring.score import ScoreStage
from stream_app.scoring.scorer import CanaryFailed, LoadedScorer, Scores
from stream_app.text.model_input import ModelInput

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def stage(scorer: LoadedScorer | None = None, key: bytes = b"a key of 16 byte") -> ScoreStage:
    return ScoreStage(
        scorer or QuickScorer(), key, lambda: NOW, max_age=timedelta(days=400), max_ahead=timedelta(hours=1)
    )


def review(number: int, **fields: Any) -> Delivery:
    event = {
        "type": "review_posted", "version": 1, "event_id": f"e-{number}", "event_time": NOW.isoformat(),
        "text": f"text {number}", "customer_id": "customer-17",
    }  # fmt: skip
    return Delivery(REVIEWS.name, 0, number, 1_793_000_000_000, b"key", json.dumps(event | fields).encode())


def chat(number: int, **fields: Any) -> Delivery:
    more = {"type": "chat_message", "conversation_id": "conv-1", "side": "customer", "turn": 1}
    value = json.loads(review(number).value or b"") | more | fields
    return Delivery(CHATS.name, 0, number, 1_793_000_000_000, b"key", json.dumps(value).encode())


def scored(settled: Settled) -> list[SentimentScored]:
    events = [decode(SENTIMENT.name, record.value) for record in settled.records if record.topic == SENTIMENT.name]
    return [event for event in events if isinstance(event, SentimentScored)]


def letters(settled: Settled) -> list[DeadLetter]:
    found = [decode(DEAD_LETTERS.name, record.value) for record in settled.records if record.topic == DEAD_LETTERS.name]
    return [letter for letter in found if isinstance(letter, DeadLetter)]


class PoisonousText(QuickScorer):
    """Fails on one text, alone or in company."""

    def score(self, inputs: Sequence[ModelInput]) -> list[Scores]:
        if any("poison" in text for text, _ in inputs):
            raise RuntimeError("index out of range in self")
        return super().score(inputs)


class BrokenModel(QuickScorer):
    """Fails on everything, its own canary too."""

    def score(self, inputs: Sequence[ModelInput]) -> list[Scores]:
        raise RuntimeError("CUDA error: device-side assert triggered")

    def check_canary(self) -> None:
        raise CanaryFailed("the canary's anger is nan")


def test_one_poisonous_text_costs_itself_and_none_of_its_neighbours() -> None:
    batch = [review(number, text="poison" if number in (3, 11) else f"text {number}") for number in range(16)]

    settled = stage(PoisonousText()).settle(batch)

    assert {event.event_id for event in scored(settled)} == {f"e-{n}" for n in range(16)} - {"e-3", "e-11"}
    assert {(letter.raw.offset, letter.reason) for letter in letters(settled)} == {
        (3, "scoring_failed"),
        (11, "scoring_failed"),
    }
    assert all("index out of range" in letter.detail for letter in letters(settled))


def test_a_broken_model_costs_time_and_dead_letters_nothing() -> None:
    with pytest.raises(ScorerBroken, match="canary"):
        stage(BrokenModel()).settle([review(number) for number in range(4)])


def test_scores_belong_to_the_events_they_are_on() -> None:
    batch = [review(number, text="骗子！！" if number % 3 == 0 else "好评") for number in range(30)]

    events = scored(stage().settle(batch))

    assert [event.event_id for event in events] == [f"e-{number}" for number in range(30)]
    assert [event.angry for event in events] == [number % 3 == 0 for number in range(30)]


@pytest.mark.parametrize(
    ("moment", "accepted"),
    [
        pytest.param("2026-11-01T12:59:59Z", True, id="an hour ahead: clocks differ"),
        pytest.param("2026-11-01T13:00:01Z", False, id="more than an hour ahead"),
        pytest.param("2025-09-27T12:00:01Z", True, id="400 days old"),
        pytest.param("2025-09-27T11:59:59Z", False, id="older"),
        pytest.param("0001-01-01T00:00:00+14:00", False, id="before all times"),
        pytest.param("9999-12-31T23:59:59-12:00", False, id="after all times"),
    ],
)
def test_a_time_that_cannot_be_stored_is_refused_here(moment: str, accepted: bool) -> None:
    settled = stage().settle([review(1, event_time=moment)])

    assert bool(scored(settled)) is accepted
    assert [letter.reason for letter in letters(settled)] == ([] if accepted else ["time_out_of_range"])


def test_the_same_instant_written_otherwise_is_the_same_key() -> None:
    written = ["2026-11-01T12:00:00.123456Z", "2026-11-01T20:00:00.123999+08:00"]

    first, second = scored(stage().settle([review(n, event_time=moment) for n, moment in enumerate(written)]))

    assert first.event_time == second.event_time == datetime(2026, 11, 1, 12, 0, 0, 123000, tzinfo=UTC)


def test_a_customer_is_a_pseudonym_downstream_and_the_key_decides_which() -> None:
    settled = stage().settle([review(1), review(2), review(3, customer_id="customer-18")])
    one, again, other = scored(settled)

    assert one.customer == again.customer != other.customer
    assert "customer-17" not in b"".join(record.value + (record.key or b"") for record in settled.records).decode()
    assert scored(stage(key=b"another key of 16").settle([review(1)]))[0].customer != one.customer


def test_both_sides_of_a_conversation_stay_in_one_partition() -> None:
    settled = stage().settle(
        [chat(1, customer_id=None), chat(2, customer_id=None, side="agent", turn=2), review(3, customer_id=None)]
    )

    conversation, answer, alone = [record.key for record in settled.records]
    assert conversation == answer != alone


def test_a_nul_in_the_text_is_cleaned_and_one_in_an_id_is_refused() -> None:
    settled = stage().settle([review(1, text="不\0好"), review(2, product_id="P\0")])

    assert [event.text for event in scored(settled)] == ["不好"]
    assert [(letter.reason, letter.where) for letter in letters(settled)] == [("invalid_field", "$.product_id")]


def test_a_promoted_model_scores_from_the_next_batch_on() -> None:
    class Better(QuickScorer):
        name = "better"

    one = stage()
    before = scored(one.settle([review(1)]))
    one.switch(Better())
    after = scored(one.settle([review(2)]))

    assert [event.model for event in before + after] == ["quick-stand-in", "better"]


class SlowScorer(QuickScorer):
    """Scores when it is let; says so when it is asked after it was closed."""

    name = "slow"

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.closed = False

    def score(self, inputs: Sequence[ModelInput]) -> list[Scores]:
        self.begun.set()
        assert self.may_end.wait(10)
        assert not self.closed
        return super().score(inputs)

    def close(self) -> None:
        self.closed = True


def test_a_switch_waits_for_the_batch_at_hand_and_then_closes_the_old_model() -> None:
    slow = SlowScorer()
    one = stage(slow)
    settled: list[Settled] = []
    batch = threading.Thread(target=lambda: settled.append(one.settle([review(1), review(2)])))
    switch = threading.Thread(target=one.switch, args=(QuickScorer(),))

    batch.start()
    assert slow.begun.wait(10)
    switch.start()
    switch.join(0.1)
    assert switch.is_alive(), "the old model is still at work"
    slow.may_end.set()
    batch.join()
    switch.join()

    assert slow.closed
    assert {event.model for event in scored(settled[0])} == {"slow"}, "one batch, one model"
    assert {event.model for event in scored(one.settle([review(3)]))} == {"quick-stand-in"}
