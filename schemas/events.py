"""The events on the topics, in the order a review meets them.

Two names tell a reader what a payload is: `type` and `version`. A field is only ever added with a default; anything
else is a new version (a new struct), read beside the old one until the topic's retention has passed.
All times are UTC with millisecond precision: the same event must give the same database key wherever it is read.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Tag = Annotated[str, Meta(max_length=128)]
Instant = Annotated[datetime, Meta(tz=True)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Label = Literal["negative", "neutral", "positive"]
Language = Literal["zh", "en", "mixed", "other"]
Side = Literal["customer", "agent"]
Source = Literal["review", "chat"]

Reason = Literal[
    "not_json",  # the payload is not JSON at all, or is cut off
    "not_utf8",  # JSON, but with bytes that are not UTF-8
    "empty_payload",  # null or zero bytes: a tombstone has no meaning on a raw topic
    "unknown_type",  # `type` is missing or is not one this topic carries
    "unknown_version",  # a version this build does not read
    "invalid_field",  # missing, of the wrong type, or out of its bounds; `where` names it
    "time_out_of_range",  # event_time too far in the past or the future to be stored
    "scoring_failed",  # the model fails on this text alone while its canary passes
]


def _always(value: str | int) -> Any:
    """A default that is written all the same: a reader needs `type` and `version` in every payload.

    msgspec's omit_defaults leaves out what equals a plain default, not what a factory made.
    """
    return msgspec.field(default_factory=lambda: value)


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What every payload on every topic carries. Subclasses fix `type` and `version`."""


class ReviewPosted(Event, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A customer's review, as the platform has it. Topic `raw.reviews`, key: customer_id."""

    type: Literal["review_posted"]
    version: Literal[1]
    event_id: Id
    event_time: Instant
    text: str
    customer_id: Id | None = None
    customer_tier: Tag | None = None
    product_id: Id | None = None
    category: Tag | None = None
    brand: Tag | None = None
    channel: Tag | None = None
    order_id: Id | None = None
    rating: Annotated[int, Meta(ge=1, le=5)] | None = None


class ChatMessage(Event, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One turn of a service conversation, by either side. Topic `raw.chats`, key: conversation_id.

    `customer_id` is the conversation's customer on both sides' turns, so that a conversation stays in one partition of
    everything downstream. `turn` counts from 1. `context` holds earlier turns, oldest first, when the platform has
    them at hand: the model then reads the last two as its second segment.
    """

    type: Literal["chat_message"]
    version: Literal[1]
    event_id: Id
    event_time: Instant
    conversation_id: Id
    side: Side
    turn: Annotated[int, Meta(ge=1)]
    text: str
    customer_id: Id | None = None
    customer_tier: Tag | None = None
    product_id: Id | None = None
    category: Tag | None = None
    brand: Tag | None = None
    channel: Tag | None = None
    order_id: Id | None = None
    context: Annotated[tuple[str, ...], Meta(max_length=50)] = ()


class Position(msgspec.Struct, frozen=True, gc=False):
    """Where a payload stands in Kafka: enough to fetch it again."""

    topic: str
    partition: int
    offset: int


class SentimentScored(Event, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One scored text. Topic `sentiment`, key: customer.

    `customer` is a keyed pseudonym of customer_id (of the conversation or the event where there is none); `text` is
    cleaned and has its personal data taken out; `score` is positive - negative in [-1, 1]; `intensity` 1 (calm) to 5;
    `angry` is the bundle's decision at its threshold.
    """

    type: Literal["sentiment_scored"] = _always("sentiment_scored")
    version: Literal[1] = _always(1)
    event_id: Id
    event_time: Instant
    scored_at: Instant
    ingested_at: Instant
    source: Source
    raw: Position
    customer: str
    text: str
    flags: tuple[str, ...] = ()
    language: Language
    label: Label
    negative: Probability
    neutral: Probability
    positive: Probability
    score: Annotated[float, Meta(ge=-1.0, le=1.0)]
    intensity: Annotated[int, Meta(ge=1, le=5)]
    anger: Probability
    angry: bool
    model: str
    text_version: int
    conversation_id: Id | None = None
    side: Side | None = None
    turn: int | None = None
    customer_tier: Tag | None = None
    product_id: Id | None = None
    category: Tag | None = None
    brand: Tag | None = None
    channel: Tag | None = None
    order_id: Id | None = None
    rating: int | None = None


class Turn(msgspec.Struct, frozen=True, gc=False):
    """One customer's turn as an alert quotes it: enough to see the mood move."""

    event_id: str
    event_time: Instant
    anger: float
    score: float
    text: str


class AlertRaised(Event, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A person should look. Topic `alerts`, key: customer.

    `alert_id` is derived from the rule and the event that set it off, so a replay raises the same alert again, never
    another one. `incident` is one per conversation (or event, for a review) while it is open. `turns` are the
    customer's last turns, oldest first; `reason` says in one sentence why this alert exists, with its numbers.
    """

    type: Literal["alert_raised"] = _always("alert_raised")
    version: Literal[1] = _always(1)
    alert_id: Id
    incident: Id
    rule: str
    severity: Annotated[int, Meta(ge=1, le=4)]
    reason: str
    event_id: Id
    event_time: Instant
    raised_at: Instant
    source: Source
    customer: str
    turns: tuple[Turn, ...]
    anger: Probability
    score: float
    language: Language
    model: str
    rules_version: str
    conversation_id: Id | None = None
    customer_tier: Tag | None = None
    product_id: Id | None = None
    category: Tag | None = None
    brand: Tag | None = None
    channel: Tag | None = None
    order_id: Id | None = None


class DeadLetter(Event, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """An event nobody could process, kept whole. Topic `dead.letters`, key: dead_letter_id.

    `payload` is the original value, untouched (base64 in JSON); None where the value was null. `where` is a JSON path.
    """

    type: Literal["dead_letter"] = _always("dead_letter")
    version: Literal[1] = _always(1)
    dead_letter_id: Id
    reason: Reason
    where: str
    detail: str
    raw: Position
    ingested_at: Instant
    failed_at: Instant
    stage: str
    key: bytes | None = None
    payload: bytes | None = None


class LabelGiven(Event, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a person says a text really was. Topic `labels`, key: event_id.

    A label without sentiment or without anger leaves that question open. `given_by` is a login, never a customer.
    """

    type: Literal["label_given"] = _always("label_given")
    version: Literal[1] = _always(1)
    label_id: Id
    event_id: Id
    event_time: Instant
    given_at: Instant
    given_by: str
    origin: Literal["console", "cli", "alert", "import"]
    sentiment: Label | None = None
    angry: bool | None = None
    note: str = ""


class ModelPromoted(Event, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """This model serves from now on. Topic `models` (compacted), key: the slot it serves, "champion".

    `path` is a bundle folder every worker can read, or "default": the bundle that came with each worker's release.
    `promoted_at` rises from one promotion to the next; workers ignore an older one.
    """

    type: Literal["model_promoted"] = _always("model_promoted")
    version: Literal[1] = _always(1)
    model: Id
    path: str
    promoted_at: Instant
    promoted_by: str
    reason: str
    previous: str | None = None
    metrics: dict[str, float] = {}


class ModelServing(Event, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A worker's answer to a promotion, and what it says at its start. Topic `serving` (compacted), key: worker.

    `model` scores its next batch, and nothing is scored by the one before it any more. `promoted_at` is that of the
    promotion it answers, None where it has heard none; `refused` says why the promoted model cannot serve: then `model`
    is the one it had.
    """

    type: Literal["model_serving"] = _always("model_serving")
    version: Literal[1] = _always(1)
    worker: Id
    model: Id
    answered_at: Instant
    promoted_at: Instant | None = None
    refused: str | None = None


RawEvent = ReviewPosted | ChatMessage
