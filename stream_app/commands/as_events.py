"""Rows of somebody's table become raw events: which column is which field, and what is made up where none is.

A row keeps its odd values (a side nobody knows, a time that is none): the worker judges events, and says in a dead
letter what is wrong with one. Only a table that lacks a field no event can do without is refused, before the first row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec

from schemas.codec import name_of
from schemas.events import ChatMessage, ReviewPosted
from schemas.topics import CHATS, Topic
from stream_app.commands.rows import Row
from stream_app.errors import SetupError

BETWEEN_TURNS = " ||| "

# What columns are called out there, likeliest first; a column with the field's own name always wins.
ALIASES: dict[str, tuple[str, ...]] = {
    "event_id": ("id", "review_id", "message_id", "msg_id"),
    "event_time": ("time", "date", "datetime", "timestamp", "created_at", "ts"),
    "text": ("review", "comment", "content", "message", "body", "review_body", "utterance", "sentence"),
    "customer_id": ("customer", "user", "user_id", "buyer_id", "reviewer_id"),
    "customer_tier": ("tier",),
    "product_id": ("product", "item_id", "asin", "sku"),
    "category": ("product_category",),
    "order_id": ("order",),
    "rating": ("stars", "star", "star_rating"),
    "conversation_id": ("conversation", "session", "session_id", "dialog_id", "dialogue_id", "dialogue"),
    "side": ("role", "speaker", "sender"),
}
SIDES = dict.fromkeys(
    ("customer", "user", "buyer", "client", "顾客", "客户", "用户", "买家"), "customer"
) | dict.fromkeys(("agent", "seller", "staff", "service", "assistant", "waiter", "客服", "商家", "卖家"), "agent")
_REQUIRED = {"raw.reviews": ("text",), "raw.chats": ("text", "conversation_id", "side")}
_NEVER_MAPPED = ("type", "version")

_encode = msgspec.json.Encoder().encode


class Plan:
    """How the rows of one table become events of one topic. Makes one event a row, numbered from 1."""

    def __init__(
        self,
        topic: Topic,
        columns: Sequence[str],
        *,
        table: str,
        given: Mapping[str, str],
        fixed: Mapping[str, str],
        first_time: datetime | None,
    ) -> None:
        (kind,) = topic.carries
        self.fields = [name for name in kind.__struct_fields__ if name not in _NEVER_MAPPED]
        self.columns = _columns_of(self.fields, columns, given, fixed)
        self._chat = topic is CHATS
        _refuse_what_is_missing(topic, columns, self.columns, fixed)
        self._head = {"type": name_of(kind), "version": 1}
        self._picks = [(field, columns.index(column), _CONVERT[field]) for field, column in self.columns.items()]
        self._fixed = {field: converted for field, value in fixed.items() if (converted := _CONVERT[field](value))}
        self._table = table
        self._first_time = first_time
        self._turns: dict[Any, int] = defaultdict(int)
        self._row = 0

    def event(self, row: Row) -> tuple[bytes | None, bytes]:
        """Key and payload."""
        self._row += 1
        event: dict[str, Any] = self._head | self._fixed
        cells = row.cells
        width = len(cells)
        for field, index, convert in self._picks:
            if index < width and (value := convert(cells[index])) is not None:
                event[field] = value
        if "event_id" not in event:
            digest = blake2b(row.content, digest_size=6).hexdigest()
            event["event_id"] = f"{self._table}-{self._row}-{digest}"
        if "event_time" not in event:
            event["event_time"] = self._time()
        if self._chat:
            if "turn" not in event:
                conversation = str(event.get("conversation_id"))
                self._turns[conversation] += 1
                event["turn"] = self._turns[conversation]
            return _key(event.get("conversation_id")), _encode(event)
        return _key(event.get("customer_id") or event["event_id"]), _encode(event)

    def _time(self) -> str:
        if self._first_time is None:
            return datetime.now(UTC).isoformat(timespec="milliseconds")
        return (self._first_time + timedelta(milliseconds=self._row - 1)).isoformat(timespec="milliseconds")


class _Keys(msgspec.Struct):
    conversation_id: Any = None
    customer_id: Any = None
    event_id: Any = None


_keys = msgspec.json.Decoder(_Keys)


def key_of(topic: Topic, payload: bytes) -> bytes | None:
    """The key of a payload that is published as it is, as far as its fields can be read."""
    try:
        fields = _keys.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return _key(fields.conversation_id if topic is CHATS else fields.customer_id or fields.event_id)


def looks_like_event(value: Mapping[str, Any]) -> bool:
    return "version" in value and isinstance(value.get("type"), str)


def _key(value: Any) -> bytes | None:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) and value else None


def _columns_of(
    fields: Sequence[str], columns: Sequence[str], given: Mapping[str, str], fixed: Mapping[str, str]
) -> dict[str, str]:
    """field → column: what was given, then equal names, then aliases; no column twice by itself."""
    for field in (*given, *fixed):
        if field not in fields:
            raise SetupError(f"there is no field {field}; fields are {', '.join(fields)}")
    for column in given.values():
        if column not in columns:
            raise SetupError(f"there is no column {column}; columns are {_listed(columns)}")
    lower = {column.lower(): column for column in reversed(columns)}
    chosen = dict(given)
    for names in (lambda field: (field,)), (lambda field: ALIASES.get(field, ())):
        for field in fields:
            free = (lower[name] for name in names(field) if name in lower and lower[name] not in chosen.values())
            if field not in chosen and field not in fixed and (found := next(free, None)) is not None:
                chosen[field] = found
    return {field: chosen[field] for field in fields if field in chosen}


def _refuse_what_is_missing(
    topic: Topic, columns: Sequence[str], chosen: Mapping[str, str], fixed: Mapping[str, str]
) -> None:
    missing = [field for field in _REQUIRED[topic.name] if field not in chosen and field not in fixed]
    if missing:
        field = missing[0]
        raise SetupError(
            f"no column for {' and '.join(missing)} among {_listed(columns)}:"
            f" say which it is with --map {field}=COLUMN, or give one value with --set {field}=VALUE"
        )


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(columns[:20]) or "(none)"
    return f"{shown} and {len(columns) - 20} more" if len(columns) > 20 else shown


# --- cells ------------------------------------------------------------------------------------------------------------
# None leaves the field out. A value of the wrong kind goes through as it is.


def _text(value: Any) -> Any:
    return value


def _word(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _rating(value: Any) -> int | None:
    number = _number(value)
    return number if isinstance(number, int) and 1 <= number <= 5 else None


def _number(value: Any) -> Any:
    """ "4", 4 and "4.0" are 4."""
    if isinstance(value, str):
        value = value.strip().removesuffix(".0")
        return int(value) if value.isascii() and value.isdigit() else value or None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _side(value: Any) -> Any:
    value = _word(value)
    return SIDES.get(value.lower(), value) if isinstance(value, str) else value


def _time(value: Any) -> Any:
    """ISO 8601, or seconds or milliseconds since 1970; without a zone it is UTC."""
    number = _number(value)
    if isinstance(number, (int, float)) and not isinstance(number, bool):
        if abs(number) >= 1e11:
            number /= 1000
        try:
            return datetime.fromtimestamp(number, UTC).isoformat(timespec="milliseconds")
        except (OverflowError, ValueError, OSError):
            return value
    if not isinstance(number, str):
        return number
    try:
        moment = datetime.fromisoformat(number)
    except ValueError:
        return number
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat(timespec="milliseconds")


def _context(value: Any) -> Any:
    if isinstance(value, str):
        return [turn for part in value.split(BETWEEN_TURNS.strip()) if (turn := part.strip())] or None
    return value


_CONVERT: dict[str, Callable[[Any], Any]] = {
    **{field: _word for kind in (ReviewPosted, ChatMessage) for field in kind.__struct_fields__},
    "text": _text,
    "rating": _rating,
    "turn": _number,
    "side": _side,
    "event_time": _time,
    "context": _context,
}
