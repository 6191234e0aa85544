"""Rows that PostgreSQL refuses: one costs itself, never its neighbours."""

import random
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from schemas import events
from stream_app.recording.record import RecordStage
from tests.integration.sql import count, query
from tests.integration.stored import ROLLUP_IS_RIGHT, contents, offsets
from tests.recorded_events import LABEL, LETTER, on, reviews
from tests.scored_events import NOON, chat, delivery, review

pytestmark = pytest.mark.services


INCOMPRESSIBLE = "".join(random.Random(1).choices([chr(code) for code in range(0x4E00, 0x9FA5)], k=9000))


@pytest.mark.parametrize(
    ("poison", "reason", "where"),
    [
        pytest.param(review("bad", 0.1, text="a\0b"), "invalid_field", "$", id="a NUL in the text"),
        pytest.param(replace(chat("bad", 0.1), turn=2**40), "invalid_field", "$", id="a number too large"),
        pytest.param(
            replace(review("bad", 0.1), customer=INCOMPRESSIBLE), "invalid_field", "$", id="too long for an index"
        ),
        pytest.param(
            review("bad", 0.1, datetime(1, 1, 1, tzinfo=UTC)), "time_out_of_range", "$.event_time", id="the year 1"
        ),
        pytest.param(
            review("bad", 0.1, datetime(9999, 1, 1, tzinfo=UTC)),
            "time_out_of_range",
            "$.event_time",
            id="the year 9999",
        ),
    ],
)
def test_one_bad_row_costs_itself_and_not_its_neighbours(
    migrated: str, stage: RecordStage, poison: events.SentimentScored, reason: str, where: str
) -> None:
    bad = delivery(poison, 50)

    stage.settle([*reviews(50), bad, *reviews(50, first=51), on("labels", LABEL)])

    assert count(migrated, "sentiment") == 100
    assert count(migrated, "label") == 1
    assert offsets(migrated) == {("sentiment", 0): 101, ("labels", 0): 1}
    [letter] = query(migrated, "SELECT reason, json_path, stage, raw_topic, raw_offset FROM dead_letter")
    assert letter == (reason, where, "record", "sentiment", 50)
    [(payload,)] = query(migrated, "SELECT payload FROM dead_letter")
    assert bytes(payload) == bad.value
    assert query(migrated, ROLLUP_IS_RIGHT) == []


def test_many_bad_rows_of_every_kind_are_told_apart_from_the_good(migrated: str, stage: RecordStage) -> None:
    good = reviews(20)
    bad_text = [delivery(review(f"bad-{n}", 0.1, text="\0"), 100 + n) for n in range(20)]
    bad_label = [on("labels", replace(LABEL, label_id=f"l-{n}", note="\0" * (n % 2)), n) for n in range(10)]
    bad_letter = on("dead.letters", replace(LETTER, detail="\0"))
    batch = [*good, *bad_text, *bad_label, bad_letter, delivery(b"{", 200)]

    stage.settle(batch)
    before = contents(migrated)
    stage.settle(batch)

    assert contents(migrated) == before
    assert (count(migrated, "sentiment"), count(migrated, "label")) == (20, 5)
    assert count(migrated, "dead_letter") == 20 + 5 + 1 + 1


def test_what_is_no_event_becomes_a_dead_letter_beside_the_rows_of_the_others(
    migrated: str, stage: RecordStage
) -> None:
    stage.settle([*reviews(5), delivery(b"\xff{", 5), delivery(None, 6)])

    assert count(migrated, "sentiment") == 5
    assert query(migrated, "SELECT reason FROM dead_letter ORDER BY raw_offset") == [("not_utf8",), ("empty_payload",)]
    assert offsets(migrated) == {("sentiment", 0): 7}


def test_a_partition_that_was_dropped_since_we_looked_is_made_again(migrated: str, stage: RecordStage) -> None:
    stage.settle(reviews(1))
    query(migrated, f"DROP TABLE sentiment_{NOON:%Y%m%d}")

    stage.settle(reviews(1, first=1))

    assert count(migrated, "sentiment") == 1
    assert count(migrated, "dead_letter") == 0


def test_a_batch_larger_than_one_statement_is_one_transaction(
    migrated: str, stage: RecordStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.recording.insert.STATEMENT_BYTES", 5_000)
    stage.settle([*reviews(100), delivery(review("long", 0.1, text="x" * 20_000), 100)])

    assert count(migrated, "sentiment") == 101
