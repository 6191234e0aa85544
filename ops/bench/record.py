"""How fast the record stage stores scored texts: python -m ops.bench.record postgresql://…

The database must be empty and migrated. First the rows as they come, then the same rows again: a replay.
"""

import json
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import median

from schemas import codec, events
from stream_app.flow.delivery import Delivery
from stream_app.recording.migrate import migrate
from stream_app.recording.record import RecordStage

PARTITIONS = 8
TEXT = "屏幕很好，但是快递太慢了，客服一直不回复，really disappointed with the service this time. "


def measure(database_url: str, rows: int, batch: int) -> dict[str, float]:
    """Rows a second and the stage's own CPU a row, of new rows and of a replay."""
    deliveries = _deliveries(rows)
    batches = [deliveries[start : start + batch] for start in range(0, rows, batch)]
    new = _settle_all(RecordStage(database_url, "bench"), batches)
    replayed = _settle_all(RecordStage(database_url, "bench again"), batches)
    return {f"new_{name}": value for name, value in new.items()} | {
        f"replayed_{name}": value for name, value in replayed.items()
    }


def _settle_all(stage: RecordStage, batches: list[list[Delivery]]) -> dict[str, float]:
    seconds = []
    cpu = _cpu_s()
    for batch in batches:
        began = time.perf_counter()
        stage.settle(batch)
        seconds.append(time.perf_counter() - began)
    cpu = _cpu_s() - cpu
    stage.close()
    rows = sum(map(len, batches))
    return {
        "rows_per_second": round(rows / sum(seconds)),
        "us_per_row": round(1e6 * sum(seconds) / rows, 1),
        "client_cpu_us_per_row": round(1e6 * cpu / rows, 1),
        "batch_ms_median": round(1e3 * median(seconds), 1),
        "batch_ms_max": round(1e3 * max(seconds), 1),
    }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _deliveries(rows: int) -> list[Delivery]:
    """One a 10 ms, by 20,000 customers, about 500 products of which few are on everybody's lips."""
    chance = Random(1)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [_delivery(number, midnight + timedelta(milliseconds=10 * number), chance) for number in range(rows)]


def _delivery(number: int, moment: datetime, chance: Random) -> Delivery:
    product = min(int(chance.paretovariate(0.6)), 500)
    negative = chance.random()
    neutral = chance.random() * (1 - negative)
    anger = chance.random()
    chat = number % 4 == 0
    event = events.SentimentScored(
        event_id=f"{chance.getrandbits(96):024x}",
        event_time=moment,
        scored_at=moment,
        ingested_at=moment,
        source="chat" if chat else "review",
        raw=events.Position("raw.chats" if chat else "raw.reviews", number % PARTITIONS, number // PARTITIONS),
        customer=f"{chance.randrange(20_000):032x}",
        text=TEXT[: chance.randrange(20, 80)],
        language="mixed",
        label=chance.choice(("negative", "neutral", "positive")),
        negative=negative,
        neutral=neutral,
        positive=1 - negative - neutral,
        score=1 - 2 * negative - neutral,
        intensity=chance.randint(1, 5),
        anger=anger,
        angry=anger > 0.9,
        model="zhen-2",
        text_version=1,
        conversation_id=f"conversation-{number // 40}" if chat else None,
        side="customer" if chat else None,
        turn=number % 40 + 1 if chat else None,
        product_id=f"product-{product}",
        category=f"category-{product % 12}",
        channel=chance.choice(("app", "web", "store")),
        rating=None if chat else chance.randint(1, 5),
    )
    partition, offset = number % PARTITIONS, number // PARTITIONS
    return Delivery("sentiment", partition, offset, 0, event.customer.encode(), codec.encode(event))


if __name__ == "__main__":
    migrate(sys.argv[1])
    print(json.dumps(measure(sys.argv[1], rows=100_000, batch=2_000), indent=2))
