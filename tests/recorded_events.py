"""One event of every kind that is recorded, and as many scored ones as a test likes."""

from msgspec.structs import replace

from schemas import codec, events
from stream_app.flow.delivery import Delivery
from tests.scored_events import NOON, delivery, minutes, review

ALERT = events.AlertRaised(
    alert_id="a-1", incident="c-1", rule="one_outburst", severity=3, reason="very angry", event_id="e-1",
    event_time=NOON, raised_at=minutes(1), source="chat", customer="customer-1",
    turns=(events.Turn("e-1", NOON, 0.9, -0.8, "still no refund"),),
    anger=0.9, score=-0.8, language="en", model="m", rules_version="1",
)  # fmt: skip
LABEL = events.LabelGiven(
    label_id="l-1", event_id="e-1", event_time=NOON, given_at=minutes(5), given_by="dana", origin="console", angry=True
)
LETTER = events.DeadLetter(
    dead_letter_id="d-1", reason="not_json", where="$", detail="cut off", raw=events.Position("raw.reviews", 3, 14),
    ingested_at=NOON, failed_at=NOON, stage="score", key=None, payload=b"\x00\xff{",
)  # fmt: skip


def on(topic: str, event: events.Event, offset: int = 0) -> Delivery:
    return Delivery(topic, 0, offset, 1_700_000_000_000, b"key", codec.encode(event))


def reviews(number: int, first: int = 0, partition: int = 0) -> list[Delivery]:
    """So many events, two an hour, of three products."""
    return [
        delivery(
            replace(review(f"e-{partition}-{n}", n % 10 / 10, minutes(30 * n)), product_id=f"p-{n % 3}"), n, partition
        )
        for n in range(first, first + number)
    ]
