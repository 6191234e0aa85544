"""What became of one event: looked up in PostgreSQL, or, where that is down or knows nothing, read from the topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec

from schemas.codec import Undecodable, decode
from schemas.events import AlertRaised, DeadLetter, Event, Position, SentimentScored, Turn
from schemas.topics import ALERTS, CHATS, DEAD_LETTERS, REVIEWS, SENTIMENT
from stream_app.errors import MoodstreamError
from stream_app.flow.delivery import Delivery
from stream_app.settings import Settings

E = TypeVar("E", bound=Event)


class Whereabouts(NamedTuple):
    """`rows` counts what PostgreSQL holds, None when it could not be asked; `notes` say what could not be found out."""

    event_id: str
    raw: Delivery | None
    position: Position | None
    sentiment: SentimentScored | None
    alerts: list[AlertRaised]
    dead_letter: DeadLetter | None
    rows: dict[str, int] | None
    notes: list[str]

    @property
    def found(self) -> bool:
        return bool(self.raw or self.sentiment or self.dead_letter or self.alerts)


def find(settings: Settings, event_id: str, say: Callable[[str], None]) -> Whereabouts:
    """In the order of the story, backwards: rows → events → raw record. `event_id` may be a dead letter's id as well.

    `say` is told before anything slow begins.
    """
    notes: list[str] = []
    # 1. What PostgreSQL knows.
    sentiments, alerts, letters, rows = _recorded(settings, event_id, notes)
    # 2. What it does not know may be on the topics: not recorded yet, or PostgreSQL is down.
    if not sentiments and not letters:
        say("not in PostgreSQL; reading the topics")
        sentiments = list(_events(settings, SENTIMENT.name, event_id, SentimentScored))
        letters = [] if sentiments else list(_events(settings, DEAD_LETTERS.name, event_id, DeadLetter))
    if not alerts and sentiments:
        alerts = list(_events(settings, ALERTS.name, event_id, AlertRaised))
    sentiment = sentiments[-1] if sentiments else None
    letter = letters[-1] if letters and sentiment is None else None
    if len(sentiments) > 1:
        notes.append(f"{len(sentiments)} events have this id, at different times; this is the last")
    # 3. The raw record, by its position.
    position = sentiment.raw if sentiment else letter.raw if letter else None
    raw = _raw(settings, position, notes) if position else _raw_by_id(settings, event_id)
    if raw and position is None:
        position = Position(raw.topic, raw.partition, raw.offset)
        notes.append("it is on its topic, but no worker has come to it yet")
    return Whereabouts(event_id, raw, position, sentiment, alerts, letter, rows, notes)


Recorded = tuple[list[SentimentScored], list[AlertRaised], list[DeadLetter], dict[str, int] | None]


def _recorded(settings: Settings, event_id: str, notes: list[str]) -> Recorded:
    url = settings.database.get_secret_value()
    if not url:
        notes.append("PostgreSQL has no address")
        return [], [], [], None
    from stream_app.recording.lookup import alert_rows, dead_letter_rows, sentiment_rows

    try:
        sentiments = sentiment_rows(url, event_id)
        alerts = alert_rows(url, sentiments[-1]["customer"], event_id) if sentiments else []
        letters = [] if sentiments else dead_letter_rows(url, event_id)
    except MoodstreamError as failure:
        notes.append(" ".join(str(failure).split()))
        return [], [], [], None
    counts = {"sentiment": len(sentiments), "alert": len(alerts), "dead_letter": len(letters)}
    return (
        [_event(SentimentScored, row) for row in sentiments],
        [_event(AlertRaised, row) for row in alerts],
        [_event(DeadLetter, row) for row in letters],
        counts,
    )


def _event(kind: type[E], row: dict[str, Any]) -> E:
    """A row as the event it was made from."""
    values = {name: value for name, value in row.items() if name in kind.__struct_fields__}
    if "raw_topic" in row:
        values["raw"] = Position(row["raw_topic"], row["raw_partition"], row["raw_offset"])
    if kind is DeadLetter:
        values["where"] = row["json_path"]
        values["key"], values["payload"] = _bytes(row["key"]), _bytes(row["payload"])
    if "turns" in values:
        values["turns"] = msgspec.convert(values["turns"], tuple[Turn, ...])
    if "flags" in values:
        values["flags"] = tuple(values["flags"])
    return kind(**values)


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _events(settings: Settings, topic: str, event_id: str, kind: type[E]) -> Iterator[E]:
    """The events of a topic that are about this one. Only payloads that hold its id are decoded."""
    from stream_app.flow.kafka.reader import read

    needle = event_id.encode("utf-8", "surrogatepass")
    for delivery in read(settings, [topic]):
        # a dead letter's payload is base64: its id cannot be seen from outside
        if delivery is None or not (kind is DeadLetter or needle in (delivery.value or b"")):
            continue
        try:
            event = decode(topic, delivery.value)
        except Undecodable:
            continue
        if isinstance(event, kind) and _is_about(event, event_id, needle):
            yield event


def _is_about(event: Event, event_id: str, needle: bytes) -> bool:
    match event:
        case SentimentScored():
            return event.event_id == event_id
        case AlertRaised():
            return event.event_id == event_id or any(turn.event_id == event_id for turn in event.turns)
        case DeadLetter():
            return event.dead_letter_id == event_id or b'"' + needle + b'"' in (event.payload or b"")
        case _:
            return False


def _raw(settings: Settings, position: Position, notes: list[str]) -> Delivery | None:
    from stream_app.flow.kafka.reader import fetch

    try:
        raw = fetch(settings, position.topic, position.partition, position.offset)
    except MoodstreamError as failure:
        notes.append(" ".join(str(failure).split()))
        return None
    if raw is None:
        notes.append("the raw record is gone: older than its topic keeps records")
    return raw


def _raw_by_id(settings: Settings, event_id: str) -> Delivery | None:
    from stream_app.flow.kafka.reader import read

    needle = b'"' + event_id.encode("utf-8", "surrogatepass") + b'"'
    for delivery in read(settings, [REVIEWS.name, CHATS.name]):
        if delivery is not None and needle in (delivery.value or b"") and _raw_id(delivery) == event_id:
            return delivery
    return None


def _raw_id(delivery: Delivery) -> str | None:
    try:
        return getattr(decode(delivery.topic, delivery.value), "event_id", None)
    except Undecodable:
        return None


def hops(found: Whereabouts) -> list[tuple[str, datetime, float | None]]:
    """(what happened, when, seconds since the hop before), as far as the event came."""
    moments: list[tuple[str, datetime]] = []
    if found.sentiment:
        event = found.sentiment
        moments = [("happened", event.event_time), ("arrived", event.ingested_at), ("scored", event.scored_at)]
        moments += [("alert raised", alert.raised_at) for alert in found.alerts if alert.event_id == event.event_id]
    elif found.dead_letter:
        moments = [("arrived", found.dead_letter.ingested_at), ("refused", found.dead_letter.failed_at)]
    return [
        (what, moment, (moment - moments[n - 1][1]).total_seconds() if n else None)
        for n, (what, moment) in enumerate(moments)
    ]
