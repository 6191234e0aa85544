"""What is remembered of a conversation: its customer's last turns and its open incident.

All of it is stored (msgpack arrays, fields by position), so a field is only ever added at the end, with a default.
"""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from schemas.events import SentimentScored, Turn

TURNS_KEPT = 10


class KeptTurn(Struct, frozen=True, gc=False, array_like=True):
    """One customer's turn; the text is cut to what an alert quotes."""

    event_id: str
    time_ms: int
    anger: float
    score: float
    text: str


class Incident(Struct, frozen=True, gc=False, array_like=True):
    """What a person has been alerted to and has not yet calmed down. `calm` counts the calm turns in a row."""

    id: str
    severity: int
    escalations: int = 0
    calm: int = 0


class Conversation(Struct, frozen=True, gc=False, array_like=True):
    """Oldest turn first. A review is a conversation of one turn."""

    turns: tuple[KeptTurn, ...] = ()
    incident: Incident | None = None

    @property
    def newest_ms(self) -> int:
        """The latest event time seen; turns may arrive out of order."""
        return max((turn.time_ms for turn in self.turns), default=0)


NOTHING = Conversation()


def kept(event: SentimentScored, quote_characters: int) -> KeptTurn:
    text = event.text
    if len(text) > quote_characters:
        text = text[: quote_characters - 1] + "…"
    return KeptTurn(event.event_id, round(event.event_time.timestamp() * 1000), event.anger, event.score, text)


def quoted(turn: KeptTurn) -> Turn:
    moment = datetime.fromtimestamp(turn.time_ms / 1000, UTC)
    return Turn(event_id=turn.event_id, event_time=moment, anger=turn.anger, score=turn.score, text=turn.text)
