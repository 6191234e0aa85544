"""The truth of a world: what was planted, and what of it the scores show."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from ops.world.settings import Settings

Kind = Literal["single", "souring", "repeat", "unanswered", "surge", "grave", "brushing"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Instant = Annotated[datetime, Meta(tz=True)]

RULES: dict[str, Kind] = {
    "angry_message": "single",
    "souring": "souring",
    "lasting_anger": "souring",
    "repeat": "repeat",
    "unanswered": "unanswered",
    "surge": "surge",
    "grave_words": "grave",
    "suspicious_reviews": "brushing",
}
"""Which kind of incident an alert of this rule claims to have found."""


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line of both files. Of the truth also: how much was written, and the wrong flags in it."""

    type: Literal["world"] = "world"
    version: Literal[1] = 1
    holds: Literal["events", "truth"]
    settings: Settings
    events: int | None = None
    wrong_flags: int | None = None


class Incident(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One planted incident.

    `decided_by` is the first event at which somebody who knew what to look for could tell, `decidable_at` the moment
    (for `unanswered` ten minutes after that event). `events` are the customer's texts that make it, where they are
    few: empty for a surge but for `decided_by`. `size`, by kind: the anger (single, grave), the climb of anger
    (souring), the angry texts (repeat), minutes without a reply (unanswered; until the end of the story if none came),
    the factor on the negative share (surge), the reviews (brushing). `must` is False where finding it is right and
    missing it is no miss: a surge below three times the usual share or with too few texts to show it in ten
    minutes; the flagged turn at the end of a conversation that had soured before.
    """

    incident: str
    kind: Kind
    start: Instant
    end: Instant
    decidable_at: Instant
    decided_by: str
    size: float
    events: tuple[str, ...]
    must: bool = True
    customer: str | None = None
    conversation_id: str | None = None
    product_id: str | None = None

    @property
    def subject(self) -> str:
        """What an alert must name to mean this incident."""
        if self.kind in ("surge", "brushing"):
            return self.product_id or ""
        if self.kind == "repeat":
            return self.customer or ""
        return self.conversation_id or self.events[0]
