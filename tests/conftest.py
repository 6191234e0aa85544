"""Real services for the tests that need them: one local stack a session, one fresh corner of it a test."""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psycopg2
import pytest
import redis

from schemas.topics import ALL
from stream_app.flow.kafka.admin import Admin
from stream_app.local.stack import Stack
from stream_app.settings import Settings, load

T = TypeVar("T")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """A developer's own MOODSTREAM_… variables must not decide what the tests do."""
    for name in [name for name in os.environ if name.startswith("MOODSTREAM_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka, PostgreSQL and Valkey, started once. A test that kills one starts it again before it ends."""
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def database(stack: Stack) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    with fresh_database(stack) as url:
        yield url


@contextmanager
def fresh_database(stack: Stack) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    _execute(stack.postgres.url, f"CREATE DATABASE {name}")
    yield stack.postgres.url.rsplit("/", 1)[0] + f"/{name}"
    _execute(stack.postgres.url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(stack: Stack, database: str) -> Settings:
    """Settings of a product with empty topics, an empty migrated database and an empty memory."""
    from stream_app.recording.migrate import migrate

    made = load(
        kafka=stack.kafka.url,
        database=database,
        redis=stack.redis.url,
        group=f"test-{uuid.uuid4().hex[:8]}",
        model="quick",
        web_port=0,
        slot=0,
    )
    empty_topics(made)
    migrate(database)
    redis.Redis.from_url(stack.redis.url).flushdb()
    return made


def empty_topics(settings: Settings) -> None:
    """All topics, with nothing in them: dropped and made again."""
    admin = Admin(settings)
    admin.delete_topics(ALL)
    admin.create_topics(ALL)


def wait_until(condition: Callable[[], T], within_s: float = 60.0, what: str = "the condition") -> T:
    """The condition's first true answer. Fails the test, saying what was waited for, when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {within_s:.0f} s for {what}")
        time.sleep(0.05)
    return answer


def _execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


PROJECT = Path(__file__).parent.parent
