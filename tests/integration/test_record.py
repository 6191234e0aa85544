"""The record stage on a real PostgreSQL: every event once, and a replay changes nothing."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta

import pytest
from msgspec.structs import replace

from ops.bench.record import measure
from schemas import events, tables
from stream_app import metrics
from stream_app.flow.delivery import Delivery
from stream_app.recording.record import RecordStage
from tests.integration.conftest import GROUP, Login
from tests.integration.sql import as_login, count, query
from tests.integration.stored import ROLLUP_IS_RIGHT, contents, offsets
from tests.recorded_events import ALERT, LABEL, LETTER, on, reviews
from tests.scored_events import NOON, chat, delivery, minutes, review

pytestmark = pytest.mark.services


# --- the good day ---------------------------------------------------------------------------------------------------


def test_rows_are_the_events(migrated: str, stage: RecordStage) -> None:
    turn = replace(
        chat("e-1", 0.9, text='她说"气死了"\\ 😠 %s $1'),
        flags=("cut",), customer_tier="gold", category="phones", brand="b", channel="app", order_id="o-1",
    )  # fmt: skip

    stage.settle([delivery(turn, 0), on("alerts", ALERT), on("labels", LABEL), on("dead.letters", LETTER)])

    [row] = query(migrated, f"SELECT {', '.join(events.SentimentScored.__struct_fields__[2:5])}, source, raw_topic,"
                            " raw_partition, raw_offset, customer, text, flags, conversation_id, order_id, negative,"
                            " anger, angry, rating FROM sentiment")  # fmt: skip
    assert row == (
        turn.event_id, turn.event_time, turn.scored_at, "chat", "raw.reviews", 0, 0, "customer-1", turn.text, ["cut"],
        "c-1", "o-1", 0.9, 0.9, True, None,
    )  # fmt: skip
    [(turns,)] = query(migrated, "SELECT turns FROM alert")
    assert turns[0]["text"] == "still no refund"
    assert query(migrated, "SELECT event_id, angry, sentiment, note FROM label") == [("e-1", True, None, "")]
    [(payload, key)] = query(migrated, "SELECT payload, key FROM dead_letter")
    assert (bytes(payload), key) == (b"\x00\xff{", None)


def test_every_partition_moves_past_its_last_event(migrated: str, stage: RecordStage) -> None:
    stage.settle([*reviews(3, partition=0), *reviews(2, first=40, partition=5), on("labels", LABEL, 8)])

    assert offsets(migrated) == {("sentiment", 0): 3, ("sentiment", 5): 42, ("labels", 0): 9}


def test_the_rollup_counts_customers_by_hour_and_leaves_agents_out(migrated: str, stage: RecordStage) -> None:
    said_by_an_agent = delivery(chat("agent", 0.0, side="agent"), 100)

    stage.settle([*reviews(50), said_by_an_agent])

    assert query(migrated, ROLLUP_IS_RIGHT) == []
    assert query(migrated, "SELECT sum(events) FROM v_mood_hourly") == [(50,)]


def test_a_new_stage_goes_on_where_the_last_one_stopped(migrated: str, stage: RecordStage) -> None:
    stage.settle(reviews(10))

    with closing(RecordStage(migrated, GROUP)) as heir:
        # What the database has never heard of starts at its beginning, wherever Kafka says another database ended.
        beginnings = {("sentiment", 1): 0, ("labels", 0): 0}
        assert heir.resume_from([("sentiment", 0), *beginnings]) == {("sentiment", 0): 10} | beginnings


def test_groups_keep_their_offsets_apart(migrated: str, stage: RecordStage) -> None:
    stage.settle(reviews(10))

    with closing(RecordStage(migrated, "another")) as other:
        assert other.resume_from([("sentiment", 0)]) == {("sentiment", 0): 0}


def test_gaps_in_the_offsets_are_none_of_our_business(migrated: str, stage: RecordStage) -> None:
    """Transaction markers take offsets, and retention takes the oldest events away."""
    stage.settle(reviews(3))
    stage.settle(reviews(3, first=4))
    stage.settle(reviews(3, first=500))

    assert count(migrated, "sentiment") == 9
    assert offsets(migrated) == {("sentiment", 0): 503}


def test_the_latest_answer_to_each_question_is_the_label(migrated: str, stage: RecordStage) -> None:
    first = replace(LABEL, label_id="l-1", given_at=minutes(1), sentiment="positive", angry=None)
    second = replace(LABEL, label_id="l-2", given_at=minutes(2), sentiment="negative", angry=True)
    third = replace(LABEL, label_id="l-3", given_at=minutes(3), sentiment=None, angry=False)

    stage.settle([on("labels", label, offset) for offset, label in enumerate([third, first, second])])

    assert query(migrated, "SELECT event_id, sentiment, angry, given_at FROM v_label") == [
        ("e-1", "negative", False, minutes(3))
    ]


def test_the_worker_role_suffices(login: Login, migrated: str) -> None:
    url = as_login(migrated, login(f"IN ROLE {tables.WORKER}"))

    with closing(RecordStage(url, GROUP)) as stage:
        stage.settle([*reviews(10), *reviews(5), on("alerts", ALERT), on("labels", LABEL), on("dead.letters", LETTER)])
        stage.settle(reviews(10, first=10))

    assert count(migrated, "sentiment") == 20


# --- a replay changes nothing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([100], id="as one batch"),
        pytest.param([30] * 4, id="with the same boundaries"),
        pytest.param([7] * 15, id="with other boundaries"),
        pytest.param([1] * 100, id="one by one"),
    ],
)
def test_a_replay_changes_nothing(migrated: str, stage: RecordStage, sizes: list[int]) -> None:
    """By the same worker after a rewind, and by its successor."""
    everything = [*reviews(100), delivery(b"{", 100), on("labels", LABEL), on("dead.letters", LETTER)]
    for batch in cut(everything, [30] * 4):
        stage.settle(batch)
    before = contents(migrated)

    with closing(RecordStage(migrated, GROUP)) as heir:
        for replayed_by in (stage, heir):
            replayed_by.resume_from([("sentiment", 0), ("labels", 0), ("dead.letters", 0)])
            for batch in cut(everything, sizes):
                replayed_by.settle(batch)

    assert contents(migrated) == before
    assert count(migrated, "sentiment") == 100


def cut(deliveries: Sequence[Delivery], sizes: list[int]) -> Iterator[Sequence[Delivery]]:
    start = 0
    for size in [*sizes, len(deliveries)]:
        if part := deliveries[start : start + size]:
            yield part
        start += size


def test_an_event_published_twice_is_stored_and_counted_once(migrated: str, stage: RecordStage) -> None:
    twice = [delivery(review("e-1", 0.9), 0), delivery(review("e-1", 0.9), 1), delivery(review("e-1", 0.9), 0, 7)]
    stage.settle(twice[:2])
    stage.settle(twice[2:])

    assert count(migrated, "sentiment") == 1
    assert query(migrated, "SELECT sum(events) FROM v_mood_hourly") == [(1,)]


def test_times_are_cut_to_milliseconds_so_that_one_event_has_one_key(migrated: str, stage: RecordStage) -> None:
    stage.settle([delivery(review("e-1", 0.9, NOON + timedelta(microseconds=us)), us) for us in (123_000, 123_499)])
    stage.settle([delivery(review("e-1", 0.9, NOON + timedelta(microseconds=123_999)), 123_999)])

    assert query(migrated, "SELECT event_time FROM sentiment") == [(NOON + timedelta(milliseconds=123),)]


def test_new_and_repeated_rows_are_counted_apart(stage: RecordStage) -> None:
    def now() -> tuple[float, float]:
        return metrics.ROWS.labels("sentiment")._value.get(), metrics.ROWS_REPEATED.labels("sentiment")._value.get()

    new, repeated = now()
    stage.settle([*reviews(10), *reviews(3)])
    stage.settle(reviews(12))

    assert now() == (new + 12, repeated + 3 + 10)


def test_the_benchmark_still_runs(migrated: str) -> None:
    figures = measure(migrated, rows=200, batch=50)

    assert figures["new_rows_per_second"] > 0
    assert count(migrated, "sentiment") == 200
