"""Bytes ↔ events, by type and version. The only place that knows how a payload is written."""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeVar, get_args

import msgspec

from schemas import events
from schemas.topics import BY_NAME

E = TypeVar("E", bound=events.Event)

_encoder = msgspec.json.Encoder()


class Undecodable(ValueError):
    """A payload that is no event. `reason` is one of `events.Reason`, `where` a JSON path, `detail` a sentence."""

    def __init__(self, reason: events.Reason, where: str, detail: str) -> None:
        super().__init__(f"{reason} at {where}: {detail}")
        self.reason: events.Reason = reason
        self.where = where
        self.detail = detail


class _Header(msgspec.Struct):
    type: object = None
    version: object = None


_header = msgspec.json.Decoder(_Header)


def encode(event: events.Event) -> bytes:
    """The event as compact UTF-8 JSON; fields at their default are left out."""
    return _encoder.encode(event)


@cache
def decoder(kind: type[E]) -> msgspec.json.Decoder[E]:
    """A reusable decoder: making one costs more than using it."""
    return msgspec.json.Decoder(kind)


def decode(topic: str, payload: bytes | None) -> events.Event:
    """The event in a payload of this topic.

    The usual case, a topic with one kind of event and a good payload, is a single decode; only a failure looks closer.
    Raises Undecodable.
    """
    kinds = BY_NAME[topic].carries
    if not payload:
        raise Undecodable("empty_payload", "$", "the message has no value")
    for kind in kinds:
        try:
            event: events.Event = decoder(kind).decode(payload)
            return event
        except RecursionError:
            raise Undecodable("invalid_field", "$", "nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as mistake:
            failure = mistake
    raise _explain(payload, kinds, failure)


def _explain(payload: bytes, kinds: tuple[type[events.Event], ...], failure: Exception) -> Undecodable:
    """Why the payload is no event: from the outside in."""
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError as mistake:
        return Undecodable("not_utf8", "$", f"byte {mistake.start} is not UTF-8 ({mistake.reason})")
    try:
        header = _header.decode(payload)
    except RecursionError:
        return Undecodable("invalid_field", "$", "nested too deeply")
    except msgspec.ValidationError:
        return Undecodable("invalid_field", "$", "the payload must be a JSON object")
    except msgspec.DecodeError as mistake:
        return Undecodable("not_json", "$", str(mistake))
    versions = [version_of(kind) for kind in kinds if name_of(kind) == header.type]
    if not versions:
        names = sorted(map(name_of, kinds))
        return Undecodable("unknown_type", "$.type", f"{header.type!r:.80} is none of {names}")
    if header.version not in versions:
        return Undecodable("unknown_version", "$.version", f"{header.version!r:.80} is none of {versions}")
    return _invalid(str(failure))


_MISSING = re.compile(r"missing required field `(\w+)`")


def _invalid(message: str) -> Undecodable:
    """msgspec says "Expected `str`, got `int` - at `$.text`"; a missing field is named in the sentence instead."""
    what, _, path = message.partition(" - at `")
    where = path.rstrip("`") or "$"
    if missing := _MISSING.search(what):
        where += f".{missing[1]}"
    return Undecodable("invalid_field", where, what)


def name_of(kind: type[events.Event]) -> str:
    """The `type` a struct carries, such as "review_posted"."""
    return str(get_args(kind.__annotations__["type"])[0])


def version_of(kind: type[events.Event]) -> int:
    """The `version` a struct carries."""
    return int(get_args(kind.__annotations__["version"])[0])


def milliseconds(moment: datetime) -> datetime:
    """The instant in UTC, cut to milliseconds: the form in which times are keys."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    spare = moment.microsecond % 1000
    return moment - timedelta(microseconds=spare) if spare else moment


_LAST_MS = 253_402_300_799_999  # the end of the year 9999: publishers may set any 64-bit number


def from_epoch_ms(timestamp_ms: int) -> datetime:
    """A Kafka record timestamp as an instant, within what an instant can be. None (-1) is the epoch."""
    return datetime.fromtimestamp(min(max(timestamp_ms, 0), _LAST_MS) / 1000, UTC)
