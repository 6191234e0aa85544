"""What the tests of recording share: a migrated database, and logins with rights of their own."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from stream_app.local.stack import Stack
from stream_app.recording.migrate import migrate
from stream_app.recording.record import RecordStage
from tests.integration.sql import query

Login = Callable[[str], str]
GROUP = "test-record"


@pytest.fixture
def migrated(database: str) -> str:
    """The URL of an empty database with our tables."""
    migrate(database)
    return database


@pytest.fixture
def login(stack: Stack) -> Iterator[Login]:
    """Makes a login with these attributes and returns its name. Ask for it before the database, which it outlives."""
    names: list[str] = []

    def make(attributes: str) -> str:
        names.append(f"test_{uuid.uuid4().hex[:12]}")
        query(stack.postgres.url, f"CREATE ROLE {names[-1]} LOGIN {attributes}")
        return names[-1]

    yield make
    for name in names:
        query(stack.postgres.url, f"DROP ROLE {name}")


@pytest.fixture
def stage(migrated: str) -> Iterator[RecordStage]:
    with closing(RecordStage(migrated, GROUP)) as stage:
        yield stage
