"""The story of one review, in order, on the real services: topic → score → alert → notify → row → a person's label.

Each step is the one of the README's list. The model is the stand-in: what the real one says has its own tests.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from aiohttp import web

from schemas.codec import decode, encode
from schemas.events import AlertRaised, LabelGiven, SentimentScored
from schemas.topics import ALERTS, LABELS, REVIEWS, SENTIMENT
from stream_app.flow.kafka.publisher import Publisher
from stream_app.flow.kafka.reader import read
from stream_app.notifying.webhook import verify
from stream_app.settings import Settings
from tests.conftest import wait_until
from tests.worker import worker

pytestmark = pytest.mark.services

SECRET = "webhook secret of this test"
REVIEW = {
    "type": "review_posted",
    "version": 1,
    "event_id": "review-1",
    "event_time": "2026-11-01T09:15:42.318477+08:00",
    "customer_id": "customer-17",
    "product_id": "P-1201",
    "channel": "app",
    "rating": 1,
    "text": "<b>骗子</b>！！退货电话13800138000没人接，我要投诉",
}


class Receiver(threading.Thread):
    """The ops team's endpoint: keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(name="receiver", daemon=True)
        self.received: list[tuple[str, bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self.port = 0

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _serve(self) -> None:
        async def receive(request: web.Request) -> web.Response:
            self.received.append((request.headers.get("X-Moodstream-Signature", ""), await request.read()))
            return web.Response()

        app = web.Application()
        app.router.add_post("/alerts", receive)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._up.set()

    def __enter__(self) -> "Receiver":
        self.start()
        self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join(10)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_one_review_from_topic_to_alert_to_table(settings: Settings, receiver: Receiver, tmp_path: Path) -> None:
    hook = f"http://127.0.0.1:{receiver.port}/alerts"
    with worker(settings, tmp_path, webhook_url=hook, webhook_secret=SECRET) as running:
        # 1. A platform service publishes a review.
        publisher = Publisher(settings)
        publisher.send(REVIEWS.name, b"customer-17", json.dumps(REVIEW, ensure_ascii=False).encode())
        publisher.flush()

        # 2. score: cleaned, personal data taken out, scored, published.
        scored = first(settings, SENTIMENT.name)
        assert isinstance(scored, SentimentScored)
        assert scored.event_id == "review-1"
        assert "13800138000" not in scored.text
        assert "<phone>" in scored.text
        assert "<b>" not in scored.text
        assert scored.customer != "customer-17"
        assert scored.event_time == datetime(2026, 11, 1, 1, 15, 42, 318000, tzinfo=UTC)
        assert (scored.label, scored.angry) == ("negative", True)

        # 3. alert: the customer is angry.
        alert = first(settings, ALERTS.name)
        assert isinstance(alert, AlertRaised)
        assert (alert.rule, alert.event_id, alert.customer) == ("angry_message", "review-1", scored.customer)
        assert "13800138000" not in encode(alert).decode()

        # 4. notify: signed, so that the receiver knows who speaks.
        wait_until(lambda: receiver.received, what="the webhook")
        signature, body = receiver.received[0]
        assert verify(SECRET, signature, body, datetime.now(UTC).timestamp())
        assert json.loads(body)["alert_id"] == alert.alert_id

        # 5. record: rows an analyst can query.
        wait_until(lambda: rows(settings, "SELECT count(*) FROM alert")[0][0] == 1, what="the alert's row")
        found = rows(settings, "SELECT s.text, s.anger, a.reason FROM sentiment s JOIN alert a USING (event_id)")
        assert found == [(scored.text, pytest.approx(scored.anger), alert.reason)]

        # 6. A person says what it really was: that is what retraining learns from.
        label = LabelGiven(
            label_id="label-1", event_id="review-1", event_time=scored.event_time, given_at=datetime.now(UTC),
            given_by="wang.li", origin="cli", sentiment="negative", angry=True,
        )  # fmt: skip
        publisher.send(LABELS.name, b"review-1", encode(label))
        publisher.flush()
        wait_until(
            lambda: rows(settings, "SELECT sentiment, angry FROM label") == [("negative", True)], what="the label"
        )

        # 7. An operator sees it happen, and the worker leaves in good order.
        assert 'moodstream_events_total{stage="score"} 1.0' in running.get("/metrics")
        assert running.stop() == 0


def first(settings: Settings, topic: str) -> object:
    def found() -> list[bytes | None]:
        return [delivery.value for delivery in read(settings, [topic]) if delivery]

    return decode(topic, wait_until(found, what=f"an event on {topic}")[0])


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(settings.database.get_secret_value())
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found
    finally:
        connection.close()
