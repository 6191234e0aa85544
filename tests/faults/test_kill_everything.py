"""The worst day: workers, Kafka, PostgreSQL and Redis are killed under load, and no event is lost or counted twice."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from stream_app.local.stack import Stack
from stream_app.settings import Settings
from tests.faults.world import Load, assert_each_exactly_once, wait_until_drained, workers

pytestmark = [pytest.mark.services, pytest.mark.faults]


@dataclass(frozen=True)
class Day:
    """How many workers are killed; each server is killed once, spread over the same time."""

    worker_kills: int
    seconds_between: tuple[float, float]
    events_per_second: float = 500.0


@pytest.mark.parametrize(
    "day",
    [
        pytest.param(Day(4, (2.0, 6.0)), id="4 workers and every server killed once"),
        pytest.param(
            Day(20, (2.0, 12.0)),
            id="20 workers and every server killed once",
            marks=[pytest.mark.long, pytest.mark.timeout(1800)],
        ),
    ],
)
@pytest.mark.timeout(400)
def test_each_event_counts_exactly_once_whatever_is_killed(
    stack: Stack, settings: Settings, tmp_path: Path, day: Day
) -> None:
    chance = random.Random(20_26)
    servers = [stack.redis, stack.postgres, stack.kafka]
    moments = [day.worker_kills * (number + 1) // (len(servers) + 1) for number in range(len(servers))]
    load = Load(settings, day.events_per_second)

    with workers(settings, 2, tmp_path) as running:
        load.start()
        for kill in range(day.worker_kills):
            time.sleep(chance.uniform(*day.seconds_between))  # random moments are the point of this test
            running.kill_one(chance)
            if kill in moments:
                server = servers[moments.index(kill)]
                server.kill()
                server.start()
        load.finish()
        wait_until_drained(settings, load, within_s=180)
        running.stop()

    counts = assert_each_exactly_once(settings, load)
    print(f"{day.worker_kills} kills, {running.starts} starts, {counts}")
