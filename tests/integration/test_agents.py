"""The Faust agents: what they may see, and that every worker hears a promotion."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.bundle import read_manifest
from schemas.codec import encode
from schemas.events import AlertRaised, ModelPromoted
from schemas.topics import ALERTS, MODELS
from stream_app.flow.kafka.clients import connection
from stream_app.flow.kafka.publisher import Publisher
from stream_app.settings import Settings
from tests.conftest import wait_until
from tests.e2e.test_one_review import Receiver
from tests.model.tiny import tiny_base, tiny_bundle
from tests.worker import worker

pytestmark = pytest.mark.services

NOW = datetime(2026, 11, 1, 9, 15, tzinfo=UTC)


def alert(alert_id: str) -> bytes:
    return encode(
        AlertRaised(
            alert_id=alert_id, incident="i", rule="angry_message", severity=2, reason="", event_id="e", event_time=NOW,
            raised_at=NOW, source="review", customer="c", turns=(), anger=0.9, score=-0.9, language="en", model="m",
            rules_version="r",
        )
    )  # fmt: skip


@pytest.mark.parametrize("compression", ["lz4", "zstd", "snappy"])
def test_an_alert_of_an_aborted_transaction_is_never_sent(settings: Settings, tmp_path: Path, compression: str) -> None:
    producer = Producer(connection(settings) | {"transactional.id": "an alert stage", "compression.type": compression})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(ALERTS.name, alert("aborted"), b"c")
    producer.flush(30)
    producer.abort_transaction(30)
    producer.begin_transaction()
    producer.produce(ALERTS.name, alert("committed"), b"c")
    producer.commit_transaction(30)

    with (
        Receiver() as receiver,
        worker(settings, tmp_path, roles="notify", webhook_url=f"http://127.0.0.1:{receiver.port}/alerts"),
    ):
        wait_until(lambda: receiver.received, what="the webhook")

    assert [json.loads(body)["alert_id"] for _, body in receiver.received] == ["committed"]


def test_a_promotion_that_cannot_be_loaded_leaves_the_serving_model_at_work(settings: Settings, tmp_path: Path) -> None:
    promotion = ModelPromoted(
        model="gone", path=str(tmp_path / "no such bundle"), promoted_at=NOW, promoted_by="retrain", reason="better"
    )
    with worker(settings, tmp_path, roles="score,models") as running:
        publisher = Publisher(settings)
        publisher.send(MODELS.name, b"champion", encode(promotion))
        publisher.flush()

        wait_until(lambda: "no such bundle" in running.log(), what="the log to say why")
        assert running.healthy()
        assert 'moodstream_model_info{model="quick-stand-in"} 1.0' in running.get("/metrics")


def test_a_promotion_outlives_the_worker_that_heard_it(settings: Settings, tmp_path: Path) -> None:
    better = tiny_bundle(tmp_path / "better", tiny_base(tmp_path / "base"))
    name = read_manifest(better).name
    promotion = ModelPromoted(
        model=name, path=str(better), promoted_at=NOW, promoted_by="retrain", reason="macro F1 0.84 → 0.86"
    )
    serves = f'moodstream_model_info{{model="{name}"}} 1.0'

    with worker(settings, tmp_path, roles="score,models") as first:
        publisher = Publisher(settings)
        publisher.send(MODELS.name, b"champion", encode(promotion))
        publisher.flush()
        wait_until(lambda: serves in first.get("/metrics"), what="the promoted model to serve")
        assert first.stop() == 0
    with worker(settings, tmp_path, roles="score,models") as second:
        assert serves in second.get("/metrics")
