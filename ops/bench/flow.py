"""How many events a second one process moves: raw topic → score stage with a stand-in scorer → transaction.

Real Apache Kafka on the same machine, so the broker takes its share of the cores. Three runs over the same raw events:

- `flow`         the product's loop, transactional, with the text step
- `flow_no_text` the same without cleaning, redaction and language: what the machinery itself costs
- `stock`        a stock Faust agent that does the same work for each event and sends each result: the baseline

`ratio` is flow over stock.
"""

import contextlib
import json
import random
import resource
import signal
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
from stream_app.flow.watchdog import Watchdog
from stream_app.local.stack import Stack
from stream_app.scoring.decisions import judge
from stream_app.scoring.quick import QuickScorer
from stream_app.scoring.score import ScoreStage
from stream_app.scoring.score_texts import Scored
from stream_app.settings import Settings, load
from stream_app.text.model_input import ModelInput, Prepared


def measure(events: int = 200_000, stock_events: int = 10_000) -> dict[str, Any]:
    """Events a second of the three runs, their ratio, and the worker's memory early and late in the longest one."""
    with tempfile.TemporaryDirectory() as home, Stack(Path(home)) as stack:
        settings = load(kafka=stack.kafka.url, database=stack.postgres.url, redis=stack.redis.url, model="quick")
        Admin(settings).create_topics(ALL)
        _fill(settings, events)
        flow = _in_own_process(settings, "flow", events)
        bare = _in_own_process(settings, "flow_no_text", events)
        stock = _in_own_process(settings, "stock", min(events, stock_events))
    return {
        "events": events,
        "events_per_second": round(flow["events_per_second"]),
        "events_per_second_no_text": round(bare["events_per_second"]),
        "stock_faust_events_per_second": round(stock["events_per_second"]),
        "ratio": round(flow["events_per_second"] / stock["events_per_second"], 1),
        "cpu_us_per_event": round(flow["cpu_us_per_event"], 1),
        "cpu_us_per_event_no_text": round(bare["cpu_us_per_event"], 1),
        "rss_mb_at_quarter": round(flow["rss_mb_at_quarter"], 1),
        "rss_mb_at_end": round(flow["rss_mb_at_end"], 1),
    }


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


def _in_own_process(settings: Settings, run: str, events: int) -> dict[str, float]:
    """One run in a fresh process: its memory and its CPU time are its own."""
    command = [sys.executable, "-m", "ops.bench.flow", run, settings.kafka, str(events)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=1800)
    result: dict[str, float] = json.loads(done.stdout[done.stdout.rindex(b"{") :])  # Faust prints escape codes too
    return result


# --- the runs, each in its own process -------------------------------------------------------------------------


class _Counting(ScoreStage):
    """Stops the loop after the last event, and notes when the first came and what memory there was on the way."""

    def follow(self, loop: Loop, events: int) -> None:
        self._loop, self._left, self._events = loop, events, events
        self.began = 0.0
        self.rss_mb_at_quarter = 0.0

    def settle(self, batch: Sequence[Delivery]) -> Settled:
        self.began = self.began or time.perf_counter()
        settled = super().settle(batch)
        self._left -= len(batch)
        if not self.rss_mb_at_quarter and self._left < self._events * 3 / 4:
            self.rss_mb_at_quarter = _rss_mb()
        if self._left <= 0:
            self._loop.stop()
        return settled


class _WithoutText(_Counting):
    def _score(self, scorer: Any, texts: Sequence[tuple[str, Sequence[str]]]) -> list[Scored | Exception]:
        scores = scorer.score([ModelInput(text, None) for text, _ in texts])
        return [
            Scored(Prepared(text, (), "zh"), score, judge(score, scorer.decisions))
            for (text, _), score in zip(texts, scores, strict=True)
        ]


def _run_flow(kind: type[_Counting], group: str, kafka: str, events: int) -> dict[str, float]:
    settings = load(kafka=kafka, model="quick", group=f"bench-{group}")
    stage = kind(QuickScorer(), b"bench", utc_now, max_age=timedelta(days=400), max_ahead=timedelta(hours=1))
    port = TransactionalPort([REVIEWS.name], stage_consumer(settings, "score", 0), stage_producer(settings, "score", 0))
    loop = Loop(
        stage,
        port,
        batch_events=settings.batch_events,
        batch_wait_s=settings.batch_wait_ms / 1000,
        watchdog=Watchdog(),
        watchdog_s=120,
    )
    stage.follow(loop, events)
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


def _run_stock(kafka: str, events: int) -> dict[str, float]:
    """What a Faust user writes today: an agent, an event at a time, `await topic.send`."""
    import faust

    stage = ScoreStage(QuickScorer(), b"bench", utc_now, max_age=timedelta(days=400), max_ahead=timedelta(hours=1))
    app = faust.App(
        "bench-stock", broker=f"kafka://{kafka}", datadir=tempfile.mkdtemp(), topic_disable_leader=True,
        consumer_auto_offset_reset="earliest", web_enabled=False,
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
    run, kafka, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if run == "stock":
        print(json.dumps(_run_stock(kafka, events)))
    else:
        print(json.dumps(_run_flow(_Counting if run == "flow" else _WithoutText, run, kafka, events)))
