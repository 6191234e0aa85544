"""The worst day: workers, Kafka, PostgreSQL and Redis are killed under load, and no event is lost or counted twice."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from stream_app.local.stack import Stack
from stream_app.recording.migrate import migrate
from stream_app.settings import Settings
from tests.conftest import fresh_database
from tests.faults.world import Load, assert_each_exactly_once, wait_until_drained, workers
from tests.worker import worker

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


@pytest.mark.parametrize("count", [1, 2], ids=["the only worker", "one of two"])
def test_a_worker_that_was_frozen_loses_and_doubles_nothing(
    stack: Stack, settings: Settings, tmp_path: Path, count: int
) -> None:
    """Its group has given its partitions away; it comes back in the middle of a poll and gets them back at once."""
    chance = random.Random(7)
    load = Load(settings, 1000.0)

    with workers(settings, count, tmp_path) as running:
        load.start()
        for _ in range(2):
            time.sleep(chance.uniform(3.0, 5.0))
            running.freeze_one(chance, 8.5)
        load.finish()
        wait_until_drained(settings, load, within_s=120)
        running.stop()

    assert_each_exactly_once(settings, load)


def test_a_worker_leaves_in_bounded_time_while_kafka_is_away(stack: Stack, settings: Settings, tmp_path: Path) -> None:
    with worker(settings, tmp_path) as running:
        stack.kafka.kill()
        try:
            began = time.monotonic()
            assert running.stop() == 0
            assert time.monotonic() - began < 28
        finally:
            stack.kafka.start()


def test_a_new_database_is_filled_from_what_the_topics_still_hold(
    settings: Settings, stack: Stack, tmp_path: Path
) -> None:
    load = Load(settings, 500.0)
    load.start()
    with worker(settings, tmp_path):
        time.sleep(2)  # some load, however much
        load.finish()
        wait_until_drained(settings, load, within_s=60)

    with fresh_database(stack) as url:
        migrate(url)
        anew = settings.model_copy(update={"database": SecretStr(url)})
        with worker(anew, tmp_path, roles="record"):
            wait_until_drained(anew, load, within_s=60)
        assert_each_exactly_once(anew, load)
