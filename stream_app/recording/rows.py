"""A delivery becomes a row: which table, which key, which values. Pure functions; no database here."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import asdict

from schemas import codec, events
from schemas.codec import Undecodable, milliseconds
from stream_app.flow.delivery import Delivery

DETAIL_CHARS = 1000


class Row(NamedTuple):
    """One row for one table. Two rows of a table with equal keys are the same row, whichever came first."""

    table: str
    key: tuple[Any, ...]
    values: dict[str, Any]
    delivery: Delivery


def read(batch: Sequence[Delivery], now: datetime) -> list[Row]:
    """A row a delivery, in the batch's order; what is no event becomes a dead letter of this stage."""
    return [row_of(delivery, now) for delivery in batch]


def by_table(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Repeats taken out, the rest sorted by key: two writers who lock rows in one order cannot deadlock."""
    unique: dict[str, dict[tuple[Any, ...], Row]] = {}
    for row in rows:
        unique.setdefault(row.table, {}).setdefault(row.key, row)
    return {table: [found[key] for key in sorted(found)] for table, found in unique.items()}


def row_of(delivery: Delivery, now: datetime) -> Row:
    try:
        return _row(codec.decode(delivery.topic, delivery.value), delivery)
    except Undecodable as mistake:
        return letter(delivery, mistake.reason, mistake.where, mistake.detail, now)
    except RecursionError:
        return letter(delivery, "not_json", "$", "nested too deeply", now)
    except OverflowError as mistake:  # the year 1 or 9999 in a zone that pushes it over the edge
        return letter(delivery, "time_out_of_range", "$", str(mistake), now)


def letter(delivery: Delivery, reason: events.Reason, where: str, detail: str, now: datetime) -> Row:
    """What this stage could not record, kept whole. Always storable: nothing in it is as the publisher wrote it,
    except the bytes. The id is the record's place and time, so that a replay writes the same letter."""
    letter_id = f"record-{delivery.topic}-{delivery.partition}-{delivery.offset}-{delivery.timestamp_ms}"
    values = {
        "dead_letter_id": letter_id,
        "reason": reason,
        "json_path": _printable(where),
        "detail": _printable(detail),
        "raw_topic": delivery.topic,
        "raw_partition": delivery.partition,
        "raw_offset": delivery.offset,
        "ingested_at": codec.from_epoch_ms(delivery.timestamp_ms),
        "failed_at": milliseconds(now),
        "stage": "record",
        "key": _bytea(delivery.key),
        "payload": _bytea(delivery.value),
    }
    return Row("dead_letter", (letter_id,), values, delivery)


def _row(event: events.Event, delivery: Delivery) -> Row:
    match event:
        case events.SentimentScored():
            values = _values(event) | _position(event.raw)
            return Row("sentiment", (event.event_id, values["event_time"]), values, delivery)
        case events.AlertRaised():
            return Row("alert", (event.alert_id,), _values(event), delivery)
        case events.DeadLetter():
            bytes_as_text = {"key": _bytea(event.key), "payload": _bytea(event.payload)}
            values = _values(event) | _position(event.raw) | bytes_as_text
            values["json_path"] = values.pop("where")
            return Row("dead_letter", (event.dead_letter_id,), values, delivery)
        case events.LabelGiven():
            return Row("label", (event.label_id,), _values(event), delivery)
        case _:
            raise TypeError(f"{delivery.topic} carries {type(event).__name__}, for which there is no table")


def _values(event: events.Event) -> dict[str, Any]:
    """The event's fields, its times in the form in which they are keys."""
    values = asdict(event)
    del values["type"], values["version"]
    values.pop("raw", None)
    for name in _TIMES[type(event)]:
        values[name] = milliseconds(values[name])
    return values


def _position(raw: events.Position) -> dict[str, Any]:
    return {"raw_topic": raw.topic, "raw_partition": raw.partition, "raw_offset": raw.offset}


def _bytea(value: bytes | None) -> str | None:
    return None if value is None else "\\x" + value.hex()


def _printable(text: str) -> str:
    return text.replace("\0", "␀")[:DETAIL_CHARS]


_TIMES: dict[type[events.Event], tuple[str, ...]] = {
    events.SentimentScored: ("event_time", "scored_at", "ingested_at"),
    events.AlertRaised: ("event_time", "raised_at"),
    events.DeadLetter: ("ingested_at", "failed_at"),
    events.LabelGiven: ("event_time", "given_at"),
}
