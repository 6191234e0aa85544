"""The project's own minute of shop traffic, as messages of one run: see data/README.md."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from schemas.topics import CHATS

SAMPLE = Path(__file__).with_name("data") / "sample.jsonl"
_FRESH = ("event_id", "conversation_id", "customer_id")


class Message(NamedTuple):
    """`at_s`: seconds after the start. `event_id` is None for a malformed record."""

    at_s: float
    topic: str
    key: bytes | None
    value: bytes
    event_id: str | None


def messages(run: str, start: datetime, seconds: float) -> Iterator[Message]:
    """The sample, squeezed into `seconds`.

    Ids of events, conversations and customers end in the run's own id: every run has fresh people with fresh stories,
    whatever the alert memory holds of earlier ones. Malformed records go out as they are.
    """
    lines = [msgspec.json.decode(line) for line in SAMPLE.read_bytes().splitlines()]
    squeeze = seconds / max(line["at"] for line in lines)
    for line in lines:
        at_s = line["at"] * squeeze
        if "malformed" in line:
            key = line["key"].encode() if line["key"] else None
            raw = line.get("raw")
            payload = raw.encode() if raw is not None else base64.b64decode(line["raw_base64"])
            yield Message(at_s, line["topic"], key, payload, None)
        else:
            moment = start + timedelta(seconds=at_s)
            event: dict[str, Any] = line["value"] | {"event_time": moment.isoformat(timespec="milliseconds")}
            event |= {name: f"{event[name]}-{run}" for name in _FRESH if event.get(name)}
            chosen = event["conversation_id"] if line["topic"] == CHATS.name else event.get("customer_id")
            key = (chosen or event["event_id"]).encode()
            yield Message(at_s, line["topic"], key, msgspec.json.encode(event), event["event_id"])
