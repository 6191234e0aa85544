"""Scored events for tests: a customer's day in few words."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from schemas.codec import encode
from schemas.events import Position, SentimentScored, Side
from stream_app.flow.delivery import Delivery

NOON = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
ANGRY_FROM = 0.6  # the bundle's threshold in these tests


def minutes(count: float) -> datetime:
    """So many minutes past noon."""
    return NOON + timedelta(minutes=count)


def review(event_id: str, anger: float, at: datetime = NOON, *, text: str = "broke on day one") -> SentimentScored:
    return SentimentScored(
        event_id=event_id,
        event_time=at,
        scored_at=at,
        ingested_at=at,
        source="review",
        raw=Position("raw.reviews", 0, 0),
        customer="customer-1",
        text=text,
        language="en",
        label="negative" if anger > 0.3 else "neutral",
        negative=anger,
        neutral=1 - anger,
        positive=0.0,
        score=-anger,
        intensity=5 if anger >= ANGRY_FROM else 2,
        anger=anger,
        angry=anger >= ANGRY_FROM,
        model="test-model",
        text_version=1,
        product_id="p-1",
    )


def chat(
    event_id: str,
    anger: float,
    at: datetime = NOON,
    *,
    conversation: str = "c-1",
    side: Side = "customer",
    text: str = "still no refund",
) -> SentimentScored:
    event = review(event_id, anger, at, text=text)
    return replace(event, source="chat", conversation_id=conversation, side=side, turn=1, product_id=None)


def delivery(
    event: SentimentScored | bytes | None, offset: int, partition: int = 0, timestamp_ms: int | None = None
) -> Delivery:
    """As Kafka hands it over; record timestamps grow with the offsets unless one is given."""
    value = encode(event) if isinstance(event, SentimentScored) else event
    stamp = 1_700_000_000_000 + offset if timestamp_ms is None else timestamp_ms
    return Delivery("sentiment", partition, offset, stamp, b"customer-1", value)
