"""What tests on real services share: a migrated database, logins with rights, a registry, the command line."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream_app.cli import main
from stream_app.local.stack import Stack
from stream_app.recording.migrate import migrate
from stream_app.recording.record import RecordStage
from stream_app.serving.registry import Registry
from stream_app.settings import Settings
from tests.fakes_models import bundle
from tests.integration.commands import Run, environment
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


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three of them. A test that damages one makes its own."""
    folder = tmp_path_factory.mktemp("bundles")
    return {name: bundle(folder, name, seed) for seed, name in enumerate(("a", "b", "c"))}


@pytest.fixture
def registry(migrated: str, bundles: dict[str, Path]) -> Registry:
    """All three are registered."""
    made = Registry(migrated)
    for folder in bundles.values():
        made.register(folder, "dana")
    return made


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Run:
    """A command line with this test's settings in its environment."""

    def invoke(*arguments: str, env: dict[str, str] | None = None, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(main, arguments, env=environment(settings, tmp_path) | (env or {}), input=stdin)

    return invoke
