"""The record stage when PostgreSQL is killed, cut off, locked or not as it should be: late, and never wrong."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest

from schemas import tables
from stream_app.errors import NeighbourDown, SetupError
from stream_app.flow.delivery import Delivery
from stream_app.local.stack import Stack
from stream_app.recording import postgres, record
from stream_app.recording.postgres import Database
from stream_app.recording.record import RecordStage
from tests.conftest import wait_until
from tests.integration.conftest import GROUP, Login
from tests.integration.sql import as_login, count, query
from tests.integration.stored import ROLLUP_IS_RIGHT, contents, offsets
from tests.recorded_events import reviews
from tests.scored_events import chat, delivery

pytestmark = pytest.mark.services


def settle_while_held_up(stage: RecordStage, batch: Sequence[Delivery], url: str) -> Future[Any]:
    """`settle` in another thread, once it waits for a lock of somebody else."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(stage.settle, batch)
    pool.shutdown(wait=False)
    wait_until(
        lambda: query(url, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                           " AND application_name LIKE 'moodstream record%'"),
        what="the stage to wait for a lock",
    )  # fmt: skip
    return future


@contextmanager
def holding(url: str, statement: str) -> Iterator[Any]:
    """A transaction of somebody else that does not end."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        yield connection


def test_postgresql_killed_in_the_middle_costs_time_and_nothing_else(
    stack: Stack, migrated: str, stage: RecordStage
) -> None:
    first, second = ([delivery(chat(f"e-{n}", 0.9), n) for n in range(start, start + 100)] for start in (0, 100))
    stage.settle(first)
    try:
        # The last thing a batch writes is the rollup: here its offsets have moved and its rows are in, uncommitted.
        with holding(migrated, "SELECT 1 FROM mood_hourly FOR UPDATE"):
            interrupted = settle_while_held_up(stage, second, migrated)
            stack.postgres.kill()
            with pytest.raises(NeighbourDown):
                interrupted.result()
        with pytest.raises(NeighbourDown):
            stage.settle(second)
    finally:
        stack.postgres.start()
    assert count(migrated, "sentiment") == 100

    stage.settle(second)

    assert count(migrated, "sentiment") == 200
    assert offsets(migrated) == {("sentiment", 0): 200}
    assert query(migrated, ROLLUP_IS_RIGHT) == []


def test_a_connection_cut_by_the_server_comes_back_by_itself(migrated: str, stage: RecordStage) -> None:
    stage.settle(reviews(10))
    query(migrated, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name LIKE 'moodstream record%'")  # fmt: skip

    with pytest.raises(NeighbourDown):
        stage.settle(reviews(10, first=10))
    stage.settle(reviews(10, first=10))

    assert count(migrated, "sentiment") == 20


class LosesTheAnswer(Database):
    """Commits, and then the connection is lost before the answer arrives."""

    lose_next = False

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with super().transaction() as cursor:
            yield cursor
        if LosesTheAnswer.lose_next:
            LosesTheAnswer.lose_next = False
            self.close()
            raise NeighbourDown("PostgreSQL", "lost")


@pytest.mark.parametrize("earlier", [pytest.param(0, id="the first batch"), pytest.param(2, id="a later batch")])
def test_a_commit_whose_answer_was_lost_is_recognised(
    migrated: str, monkeypatch: pytest.MonkeyPatch, earlier: int
) -> None:
    monkeypatch.setattr(record, "Database", LosesTheAnswer)
    batches = [[delivery(chat(f"e-{n}", 0.9), n) for n in range(start, start + 10)] for start in range(0, 50, 10)]
    with closing(RecordStage(migrated, GROUP)) as stage:
        stage.resume_from([("sentiment", 0), ("sentiment", 7)])
        stage.settle([delivery(chat("makes the day's partition", 0.9), 0, partition=7)])
        for batch in batches[:earlier]:
            stage.settle(batch)
        LosesTheAnswer.lose_next = True
        with pytest.raises(NeighbourDown):
            stage.settle(batches[earlier])
        before = contents(migrated)
        assert offsets(migrated)["sentiment", 0] == 10 * earlier + 10

        stage.settle(batches[earlier])
        assert contents(migrated) == before
        stage.settle(batches[earlier + 1])

    assert offsets(migrated)["sentiment", 0] == 10 * earlier + 20
    assert query(migrated, ROLLUP_IS_RIGHT) == []


def test_a_deadlock_is_nobodys_fault_and_is_tried_again(
    migrated: str, stage: RecordStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlocks = [psycopg2.errors.DeadlockDetected("deadlock detected"), psycopg2.errors.SerializationFailure("again")]
    move = RecordStage._move_offsets

    def collides_twice(self: RecordStage, cursor: Any, moves: Any) -> None:
        move(self, cursor, moves)
        if deadlocks:
            raise deadlocks.pop()

    monkeypatch.setattr(RecordStage, "_move_offsets", collides_twice)
    stage.settle(reviews(10))

    assert deadlocks == []
    assert count(migrated, "sentiment") == 10


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "SESSION", postgres.SESSION.replace("'10s'", "'300ms'"))


@pytest.mark.usefixtures("impatient")
def test_a_lock_that_somebody_keeps_is_waited_for_with_the_batch_in_hand(migrated: str, stage: RecordStage) -> None:
    stage.settle(reviews(10))
    with (
        holding(migrated, "SELECT FROM kafka_offset FOR UPDATE"),
        pytest.raises(NeighbourDown, match="lock timeout"),
    ):
        stage.settle(reviews(10, first=10))

    stage.settle(reviews(10, first=10))
    assert count(migrated, "sentiment") == 20


@pytest.mark.usefixtures("impatient")
def test_a_writer_paused_in_its_transaction_is_put_out(migrated: str, stage: RecordStage) -> None:
    stage.settle(reviews(10))
    paused = Database(migrated, "moodstream record paused")
    with pytest.raises(NeighbourDown), paused.transaction() as cursor:  # noqa: PT012 - the pause is inside
        cursor.execute("SELECT FROM kafka_offset FOR UPDATE")
        wait_until(
            lambda: not query(migrated, "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE '%paused'"),
            what="the server to end the paused session",
        )
        cursor.execute("SELECT 1")

    stage.settle(reviews(10, first=10))
    assert count(migrated, "sentiment") == 20


@pytest.mark.parametrize(
    ("break_it", "advice"),
    [
        pytest.param("DROP TABLE kafka_offset", "run `moodstream init`", id="a database that was never migrated"),
        pytest.param(
            f"REVOKE INSERT ON sentiment FROM {tables.WORKER}", f"GRANT {tables.WORKER}", id="a login without rights"
        ),
    ],
)
def test_what_a_person_must_change_is_said_in_one_line(login: Login, migrated: str, break_it: str, advice: str) -> None:
    url = as_login(migrated, login(f"IN ROLE {tables.WORKER}"))
    query(migrated, break_it)

    with closing(RecordStage(url, GROUP)) as stage, pytest.raises(SetupError) as refused:
        stage.settle(reviews(1))

    assert advice in str(refused.value)
    assert "\n" not in str(refused.value)
