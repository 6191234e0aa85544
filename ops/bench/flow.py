"""How many events a second one process moves: raw topic → score stage with a stand-in scorer → transaction.

Real Apache Kafka on the same machine, so the broker takes its share of the cores. The same raw events go through

- `loop`   the product's loop, transactional
- `stock`  a stock Faust agent that does the same work for each event and sends each result: the baseline

each twice: as it is, and without the text step (cleaning, redaction, language), which both share and `bench text`
measures. `events_per_second` and `ratio` are without it: they are the flow's own.
"""

import contextlib
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ops.bench import traffic
from schemas.topics import ALL, DEAD_LETTERS, REVIEWS, SENTIMENT
from stream_app.flow.delivery import Delivery, Settled
from stream_app.flow.kafka.admin import Admin
from stream_app.flow.kafka.clients import stage_consumer, stage_producer
from stream_app.flow.kafka.publisher import Publisher
from stream_app.flow.kafka.transactional_port import TransactionalPort
from stream_app.flow.loop import Loop, calm_garbage_collector, utc_now
from stream_app.flow.stage import KafkaOffsets
from stream_app.flow.watchdog import Watchdog
from stream_app.local.stack import Stack
from stream_app.scoring.decisions import judge
from stream_app.scoring.quick import QuickScorer
from stream_app.scoring.score import ScoreStage
from stream_app.scoring.score_texts import Scored
from stream_app.settings import Settings, load
from stream_app.text.model_input import ModelInput, Prepared


def measure(events: int, stock_events: int, repeats: int) -> dict[str, Any]:
    """Events a second (medians of `repeats` runs in turns), their ratios, and the loop's memory early and late."""
    with tempfile.TemporaryDirectory() as home, Stack(Path(home)) as stack:
        settings = load(kafka=stack.kafka.url, database=stack.postgres.url, redis=stack.redis.url, model="quick")
        Admin(settings).create_topics(ALL)
        _fill(settings, events)
        runs = [
            (_in_own_process(settings, "loop", text, events), _in_own_process(settings, "stock", text, stock_events))
            for _ in range(repeats)
            for text in ("without text", "with text")
        ]
    bare, full = _medians([loop for loop, _ in runs[::2]]), _medians([loop for loop, _ in runs[1::2]])
    stock_bare, stock_full = _medians([stock for _, stock in runs[::2]]), _medians([stock for _, stock in runs[1::2]])
    return {
        "events": events,
        "repeats": repeats,
        "events_per_second": round(bare["events_per_second"]),
        "events_per_second_with_text": round(full["events_per_second"]),
        "stock_faust_events_per_second": round(stock_bare["events_per_second"]),
        "stock_faust_events_per_second_with_text": round(stock_full["events_per_second"]),
        "ratio": round(bare["events_per_second"] / stock_bare["events_per_second"], 1),
        "ratio_with_text": round(full["events_per_second"] / stock_full["events_per_second"], 1),
        "cpu_us_per_event": round(bare["cpu_us_per_event"], 1),
        "cpu_us_per_event_with_text": round(full["cpu_us_per_event"], 1),
        "rss_mb_at_quarter": round(full["rss_mb_at_quarter"], 1),
        "rss_mb_at_end": round(full["rss_mb_at_end"], 1),
    }


def _medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}


def _fill(settings: Settings, events: int) -> None:
    """Reviews with the texts of the sample, each with an id of its own, spread over all partitions."""
    texts = traffic.sample_texts()
    publisher = Publisher(settings)
    chance, now = random.Random(7), datetime.now(UTC).isoformat()
    for number in range(events):
        event = {
            "type": "review_posted", "version": 1, "event_id": f"bench-{number:09d}", "event_time": now,
            "customer_id": f"customer-{chance.randrange(50_000)}", "product_id": f"P-{chance.randrange(500)}",
            "category": "phones", "channel": "app", "rating": chance.randrange(1, 6), "text": chance.choice(texts),
        }  # fmt: skip
        publisher.send(REVIEWS.name, str(event["customer_id"]).encode(), json.dumps(event, ensure_ascii=False).encode())
    publisher.flush()


def _in_own_process(settings: Settings, run: str, text: str, events: int) -> dict[str, float]:
    """One run in a fresh process: its memory and its CPU time are its own."""
    command = [sys.executable, "-m", "ops.bench.flow", run, text, settings.kafka, str(events)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=1800)
    result: dict[str, float] = json.loads(done.stdout[done.stdout.rindex(b"{") :])  # Faust prints escape codes too
    return result


# --- the runs, each in its own process -------------------------------------------------------------------------


class WithoutText(ScoreStage):
    """The stage without cleaning, redaction and language."""

    def _score(self, scorer: Any, texts: Sequence[tuple[str, Sequence[str]]]) -> list[Scored | Exception]:
        scores = scorer.score([ModelInput(text, None) for text, _ in texts])
        return [
            Scored(Prepared(text, (), "zh"), score, judge(score, scorer.decisions))
            for (text, _), score in zip(texts, scores, strict=True)
        ]


class Followed(KafkaOffsets):
    """A stage, watched: when its first batch came, what memory there was on the way; stops its loop after the last."""

    def __init__(self, stage: ScoreStage, events: int) -> None:
        self.name, self.inputs = stage.name, stage.inputs
        self._stage = stage
        self._events = self._left = events
        self.loop: Loop | None = None
        self.began = 0.0
        self.rss_mb_at_quarter = 0.0

    def settle(self, batch: Sequence[Delivery]) -> Settled:
        self.began = self.began or time.perf_counter()
        settled = self._stage.settle(batch)
        self._left -= len(batch)
        if not self.rss_mb_at_quarter and self._left < self._events * 3 / 4:
            self.rss_mb_at_quarter = _rss_mb()
        if self._left <= 0 and self.loop is not None:
            self.loop.stop()
        return settled


def _stage(kind: type[ScoreStage]) -> ScoreStage:
    return kind(QuickScorer(), b"bench", utc_now, max_age=timedelta(days=400), max_ahead=timedelta(hours=1))


def _run_loop(kind: type[ScoreStage], kafka: str, events: int) -> dict[str, float]:
    settings = load(kafka=kafka, model="quick", group=f"bench-{os.getpid()}")
    stage = Followed(_stage(kind), events)
    port = TransactionalPort([REVIEWS.name], stage_consumer(settings, "score", 0), stage_producer(settings, "score", 0))
    loop = Loop(
        stage,
        port,
        batch_events=settings.batch_events,
        batch_wait_s=settings.batch_wait_ms / 1000,
        watchdog=Watchdog(),
        watchdog_s=120,
    )
    stage.loop = loop
    calm_garbage_collector()
    cpu = time.process_time()
    loop.run()
    took = time.perf_counter() - stage.began
    return {
        "events_per_second": loop.settled / took,
        "cpu_us_per_event": (time.process_time() - cpu) / loop.settled * 1e6,
        "rss_mb_at_quarter": stage.rss_mb_at_quarter,
        "rss_mb_at_end": _rss_mb(),
    }


def _run_stock(kind: type[ScoreStage], kafka: str, events: int) -> dict[str, float]:
    """What a Faust user writes today: an agent, an event at a time, `await topic.send`."""
    import faust

    stage = _stage(kind)
    app = faust.App(
        f"bench-stock-{os.getpid()}", broker=f"kafka://{kafka}", datadir=tempfile.mkdtemp(),
        topic_disable_leader=True, consumer_auto_offset_reset="earliest", web_enabled=False,
    )  # fmt: skip
    raw = app.topic(REVIEWS.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    out = {
        name: app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        for name in (SENTIMENT.name, DEAD_LETTERS.name)
    }
    state = {"seen": 0, "began": 0.0, "took": 0.0, "cpu": 0.0}
    worker: Any = None

    @app.agent(raw)
    async def score(stream: Any) -> None:
        async for event in stream.events():
            if not state["seen"]:
                state["began"], state["cpu"] = time.perf_counter(), time.process_time()
            delivery = Delivery(REVIEWS.name, event.message.partition, event.message.offset, 0, event.key, event.value)
            for record in stage.settle([delivery]).records:
                await out[record.topic].send(key=record.key, value=record.value)
            state["seen"] += 1
            if state["seen"] == events:
                state["took"] = time.perf_counter() - state["began"]
                state["cpu"] = time.process_time() - state["cpu"]
                worker._schedule_shutdown(signal.SIGTERM)

    worker = faust.Worker(app, override_logging=False, redirect_stdouts=False, quiet=True)
    with contextlib.suppress(SystemExit):  # Faust leaves this way
        worker.execute_from_commandline()
    return {"events_per_second": events / state["took"], "cpu_us_per_event": state["cpu"] / events * 1e6}


def _rss_mb() -> float:
    """Resident memory now, in MB (the high-water mark would hide a leak that garbage collection undoes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    run, text, kafka, events = sys.argv[1:]
    kind = ScoreStage if text == "with text" else WithoutText
    print(json.dumps((_run_loop if run == "loop" else _run_stock)(kind, kafka, int(events))))
