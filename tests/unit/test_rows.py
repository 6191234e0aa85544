"""Deliveries become rows: nothing is lost on the way, and what is no event is kept whole."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from schemas import codec, events, tables
from stream_app.recording.rows import by_table, letter, read, row_of
from tests.recorded_events import ALERT, LABEL, LETTER, on
from tests.scored_events import NOON, chat, delivery, minutes, review


@pytest.mark.parametrize(
    ("topic", "event", "table"),
    [
        pytest.param("sentiment", chat("e-1", 0.9), tables.sentiment, id="a scored text"),
        pytest.param("alerts", ALERT, tables.alert, id="an alert"),
        pytest.param("labels", LABEL, tables.label, id="a label"),
        pytest.param("dead.letters", LETTER, tables.dead_letter, id="a dead letter"),
    ],
)
def test_a_row_has_exactly_the_columns_of_its_table(topic: str, event: events.Event, table: object) -> None:
    row = row_of(on(topic, event), NOON)

    assert tables.metadata.tables[row.table] is table
    assert row.values.keys() == {column.name for column in tables.metadata.tables[row.table].columns}


def test_the_letter_of_this_stage_has_them_too() -> None:
    row = letter(delivery(b"{", 7), "not_json", "$", "cut off", NOON)

    assert row.values.keys() == {column.name for column in tables.dead_letter.columns}


def test_bytes_travel_as_postgresql_writes_them() -> None:
    row = row_of(on("dead.letters", LETTER), NOON)

    assert row.values["payload"] == "\\x00ff7b"
    assert row.values["key"] is None


def test_one_event_has_one_key_wherever_and_however_precisely_its_time_was_written() -> None:
    moment = datetime(2025, 6, 1, 20, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=8)))
    exact = review("e-1", 0.1, moment)
    coarse = review("e-1", 0.1, datetime(2025, 6, 1, 12, 0, 0, 123_000, tzinfo=UTC))

    assert row_of(delivery(exact, 0), NOON).key == row_of(delivery(coarse, 1), NOON).key


def test_repeats_are_taken_out_and_the_rest_is_sorted_by_key() -> None:
    batch = [delivery(review(name, 0.1), offset) for offset, name in enumerate(["b", "a", "b", "c", "a"])]

    rows = by_table(read(batch, NOON))["sentiment"]

    assert [row.key[0] for row in rows] == ["a", "b", "c"]
    assert [row.delivery.offset for row in rows] == [1, 0, 3]  # the first of each


@dataclass(frozen=True)
class Unreadable:
    value: bytes | None
    reason: str
    where: str


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Unreadable(None, "empty_payload", "$"), id="no value"),
        pytest.param(Unreadable(b'{"type"', "not_json", "$"), id="cut off"),
        pytest.param(Unreadable(b'{"type":"alert_raised"}', "unknown_type", "$.type"), id="an event of another topic"),
        pytest.param(Unreadable(b'{"a":' * 100_000, "invalid_field", "$"), id="nested without end"),
        pytest.param(
            Unreadable(
                codec.encode(replace(review("e-1", 0.1), event_time=datetime(1, 1, 1, tzinfo=UTC))).replace(
                    b"0001-01-01T00:00:00Z", b"0001-01-01T00:00:00+14:00"
                ),
                "time_out_of_range",
                "$",
            ),
            id="a time before all times",
        ),
    ],
)
def test_what_is_no_event_becomes_a_letter_with_its_bytes(bad: Unreadable) -> None:
    row = row_of(delivery(bad.value, 7, partition=3), NOON)

    assert row.table == "dead_letter"
    assert (row.values["reason"], row.values["json_path"]) == (bad.reason, bad.where)
    assert (row.values["raw_topic"], row.values["raw_partition"], row.values["raw_offset"]) == ("sentiment", 3, 7)
    assert row.values["payload"] == (None if bad.value is None else "\\x" + bad.value.hex())


def test_a_replay_writes_the_same_letter_and_a_topic_made_anew_another() -> None:
    first = letter(delivery(b"{", 7), "not_json", "$", "cut off", NOON)
    replayed = letter(delivery(b"{", 7), "not_json", "$", "cut off", minutes(5))
    anew = letter(delivery(b"{", 7, timestamp_ms=1_800_000_000_000), "not_json", "$", "cut off", NOON)

    assert first.key == replayed.key != anew.key


def test_a_letter_is_storable_whatever_the_mistake_quotes() -> None:
    row = letter(delivery(b"{", 7), "invalid_field", "$.a\0b", "\0" * 5000, NOON)

    assert "\0" not in row.values["json_path"] + row.values["detail"]
    assert len(row.values["detail"]) == 1000
