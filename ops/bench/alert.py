"""How fast the alert stage settles scored texts, memory included: python -m ops.bench.alert [redis://…]

Without an address it starts a Valkey of its own. First the events as they come, then the same batches again: a replay.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median, quantiles

import redis

from schemas import codec, events
from stream_app.alerting.alert import AlertStage
from stream_app.alerting.memory import RedisMemory
from stream_app.alerting.rules import Rules
from stream_app.flow.delivery import Delivery
from stream_app.local.redis import Redis

PARTITIONS = 8
CONVERSATIONS = 20_000
CHATS, CUSTOMER_TURNS, ANGRY = 0.6, 0.5, 0.05  # shares: of the events, of the chats, of reviews and customer's turns
TEXT = "屏幕很好，但是快递太慢了，客服一直不回复，really disappointed with the service this time. "
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def measure(url: str, count: int, batch: int) -> dict[str, float]:
    """Events a second, milliseconds a batch, and the memory a conversation takes."""
    deliveries = _deliveries(count)
    batches = [deliveries[start : start + batch] for start in range(0, count, batch)]
    group = f"bench-{time.time_ns()}"
    with redis.Redis.from_url(url) as client:
        before, keys_before = client.info("memory")["used_memory"], client.dbsize()
        new = _settle_all(url, group, batches)
        used = client.info("memory")["used_memory"] - before
        keys = client.dbsize() - keys_before
    replayed = _settle_all(url, group, batches)
    return {
        **{f"new_{name}": value for name, value in new.items()},
        **{f"replayed_{name}": value for name, value in replayed.items()},
        "redis_bytes_per_key": round(used / max(keys, 1)),
    }


def _settle_all(url: str, group: str, batches: Sequence[Sequence[Delivery]]) -> dict[str, float]:
    stage = AlertStage(RedisMemory(url, group), Rules(), lambda: datetime.now(UTC))
    seconds, alerts = [], 0
    cpu = _cpu_s()
    for batch in batches:
        began = time.perf_counter()
        alerts += len(stage.settle(batch).records)
        seconds.append(time.perf_counter() - began)
    cpu = _cpu_s() - cpu
    stage.close()
    count = sum(map(len, batches))
    return {
        "events_per_second": round(count / sum(seconds)),
        "client_cpu_us_per_event": round(1e6 * cpu / count, 1),
        "batch_ms_median": round(1e3 * median(seconds), 1),
        "batch_ms_p99": round(1e3 * quantiles(seconds, n=100)[98], 1),
        "alerts": alerts,
    }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _deliveries(count: int) -> list[Delivery]:
    """A mix of reviews and chats as a shop has them; the same ones for the same count."""
    chance = Random(1)
    offsets = [0] * PARTITIONS
    made = []
    for number in range(count):
        event = _event(number, chance)
        partition = int(event.customer[-6:], 16) % PARTITIONS
        value = codec.encode(event)
        made.append(
            Delivery("sentiment", partition, offsets[partition], 1_750_000_000_000 + number, b"customer", value)
        )
        offsets[partition] += 1
    return made


def _event(number: int, chance: Random) -> events.SentimentScored:
    at = NOON + timedelta(seconds=number / 100)
    is_chat = chance.random() < CHATS
    conversation = chance.randrange(CONVERSATIONS)
    angry = chance.random() < ANGRY
    anger = chance.uniform(0.7, 1.0) if angry else chance.uniform(0.0, 0.3)
    return events.SentimentScored(
        event_id=f"event-{number:012d}",
        event_time=at,
        scored_at=at,
        ingested_at=at,
        source="chat" if is_chat else "review",
        raw=events.Position("raw.chats" if is_chat else "raw.reviews", 0, number),
        customer=f"{(conversation if is_chat else number) * 2654435761 % 2**64:024x}",
        text=TEXT * (1 + number % 3),
        language="mixed",
        label="negative" if angry else "neutral",
        negative=anger,
        neutral=1 - anger,
        positive=0.0,
        score=-anger,
        intensity=5 if angry else 2,
        anger=anger,
        angry=angry,
        model="zhen-2",
        text_version=1,
        conversation_id=f"conversation-{conversation:08d}" if is_chat else None,
        side=("customer" if chance.random() < CUSTOMER_TURNS else "agent") if is_chat else None,
        turn=1 if is_chat else None,
        product_id=f"product-{number % 500}",
        channel="app",
    )


def main() -> None:
    count, batch = 100_000, 2000
    if len(sys.argv) > 1:
        figures = measure(sys.argv[1], count, batch)
    else:
        with tempfile.TemporaryDirectory() as home:
            server = Redis(Path(home))
            server.start()
            try:
                figures = measure(server.url, count, batch)
            finally:
                server.stop()
    print(json.dumps({"events": count, "batch": batch, **figures}, indent=2))


if __name__ == "__main__":
    main()
