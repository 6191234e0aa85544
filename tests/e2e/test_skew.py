"""Training text is serving text: the same raw events give equal numbers in the stream, on the command line and in the
trainer, which all go through `stream_app.text` and one scorer."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas.codec import decode
from schemas.events import SentimentScored
from schemas.topics import SENTIMENT
from stream_app.cli import main
from stream_app.flow.kafka.publisher import Publisher
from stream_app.flow.kafka.reader import read
from stream_app.scoring.load import load_scorer
from stream_app.settings import Settings
from stream_app.text.model_input import model_input
from tests.conftest import PROJECT, wait_until
from tests.worker import worker

pytestmark = [pytest.mark.services, pytest.mark.model]

SAMPLE = PROJECT / "stream_app" / "local" / "data" / "sample.jsonl"
NUMBERS = ["negative", "neutral", "positive", "score", "anger"]
VERDICTS = ["label", "intensity", "angry", "language", "text", "model"]


def test_the_stream_and_the_command_and_the_trainer_give_equal_numbers(settings: Settings, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    events = [line["value"] | {"event_time": "2026-11-01T00:00:00Z"} for line in lines if "value" in line]
    texts = {event["event_id"]: event["text"] for event in events}

    publisher = Publisher(settings)
    for line, event in zip([line for line in lines if "value" in line], events, strict=True):
        publisher.send(line["topic"], line["topic"].encode(), json.dumps(event).encode())
    publisher.flush()
    with worker(settings, tmp_path, roles="score", model="default"):
        streamed = wait_until(lambda: scored(settings, len(events)), 90, f"{len(events)} scored events")

    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items()), encoding="utf-8"
    )
    ran = CliRunner().invoke(main, ["score", "-i", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl")])
    assert ran.exit_code == 0, ran.output
    commanded = {line["id"]: line for line in map(json.loads, (tmp_path / "out.jsonl").read_text("utf-8").splitlines())}

    scorer = load_scorer("default")
    trained = dict(zip(texts, scorer.score([model_input(text) for text in texts.values()]), strict=True))

    assert streamed.keys() == commanded.keys() == texts.keys()
    for name, event in streamed.items():
        for number in NUMBERS:
            assert getattr(event, number) == pytest.approx(commanded[name][number], abs=1e-5), (name, number)
        for verdict in VERDICTS:
            assert getattr(event, verdict) == commanded[name][verdict], (name, verdict)
        if event.text:
            assert event.anger == pytest.approx(trained[name].anger, abs=1e-5), name


def scored(settings: Settings, count: int) -> dict[str, SentimentScored]:
    """All of them, once all are there."""
    events = [decode(SENTIMENT.name, delivery.value) for delivery in read(settings, [SENTIMENT.name]) if delivery]
    found = {event.event_id: event for event in events if isinstance(event, SentimentScored)}
    return found if len(found) == count else {}
