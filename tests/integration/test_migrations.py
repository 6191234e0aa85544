"""The migrations on a real PostgreSQL: what they make, who may do what with it, and what they say when they cannot."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from alembic import command

from schemas import tables
from stream_app.errors import SetupError
from stream_app.local.stack import Stack
from stream_app.recording import migrate as migrations
from stream_app.recording.migrate import migrate, revision
from tests.integration.conftest import Login
from tests.integration.sql import as_login, count, query

pytestmark = pytest.mark.services


def test_a_new_database_comes_to_the_newest_revision(database: str) -> None:
    before, head = revision(database)

    assert before is None
    assert migrate(database) == head
    assert revision(database) == (head, head)


def test_migrating_again_changes_nothing(migrated: str) -> None:
    assert migrate(migrated) == revision(migrated)[1]


def test_the_database_and_the_tables_in_python_are_the_same(migrated: str) -> None:
    with migrations._connected(migrated) as connection:
        command.check(migrations._config(connection))  # raises when autogenerate finds a difference


def test_several_at_once_queue_up_and_all_succeed(database: str) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        revisions = list(pool.map(migrate, [database] * 3))

    assert revisions == [revision(database)[1]] * 3


def test_these_days_have_partitions(migrated: str) -> None:
    today = datetime.now(UTC).date()

    made = {name for (name,) in query(migrated, "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class"
                                                " ON oid = inhrelid WHERE relkind = 'r'")}  # fmt: skip

    assert {f"sentiment_{today + timedelta(days=ahead):%Y%m%d}" for ahead in range(-2, 7)} <= made


def test_it_goes_down_and_up_again(migrated: str) -> None:
    with migrations._connected(migrated) as connection:
        command.downgrade(migrations._config(connection), "base")
    assert revision(migrated)[0] is None

    assert migrate(migrated) == revision(migrated)[1]


def test_a_partition_is_made_once_however_many_ask(migrated: str) -> None:
    def make(_: int) -> bool:
        return bool(query(migrated, "SELECT moodstream_make_partitions('2024-02-29')")[0][0])

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(make, range(6))) == [False] * 5 + [True]


def test_a_day_of_a_partition_is_a_day_of_utc(migrated: str) -> None:
    query(migrated, "SET timezone = 'Asia/Shanghai'; SELECT moodstream_make_partitions('2024-02-29')")

    bounds = query(migrated, "SET timezone = 'UTC'; SELECT pg_get_expr(relpartbound, oid) FROM pg_class"
                             " WHERE relname = 'sentiment_20240229'")  # fmt: skip
    assert bounds == [("FOR VALUES FROM ('2024-02-29 00:00:00+00') TO ('2024-03-01 00:00:00+00')",)]


@pytest.mark.parametrize("day", ["1999-12-31", "9999-01-01"])
def test_a_wild_date_makes_no_partition(migrated: str, day: str) -> None:
    with pytest.raises(psycopg2.DataError, match="no partition is made"):
        query(migrated, "SELECT moodstream_make_partitions(%(day)s)", day=day)


# --- what a person is told ------------------------------------------------------------------------------------------


def refusal(url: str) -> str:
    with pytest.raises(SetupError) as refused:
        migrate(url)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_an_unreachable_server_is_one_line() -> None:
    assert "127.0.0.1:9: Connection refused" in refusal("postgresql://postgres@127.0.0.1:9/moodstream")


def test_a_missing_database_is_one_line(database: str) -> None:
    assert 'database "absent" does not exist' in refusal(database.rsplit("/", 1)[0] + "/absent")


def test_an_unknown_login_is_one_line(database: str) -> None:
    assert 'role "stranger" does not exist' in refusal(as_login(database, "stranger"))


def test_a_url_that_cannot_be_read_is_one_line_without_its_password() -> None:
    said = refusal("mysql://dana:secret@127.0.0.1/x")

    assert "postgresql://" in said
    assert "secret" not in said


@pytest.fixture
def locked(stack: Stack, login: Login) -> Iterator[str]:
    """A login for which the server asks a password."""
    name = login("PASSWORD 'right'")
    rules = stack.postgres.folder / "pg_hba.conf"
    trusting = rules.read_text()
    rules.write_text(f"host all {name} 127.0.0.1/32 scram-sha-256\n{trusting}")
    query(stack.postgres.url, "SELECT pg_reload_conf()")
    yield name
    rules.write_text(trusting)
    query(stack.postgres.url, "SELECT pg_reload_conf()")


def test_a_wrong_password_is_one_line(locked: str, database: str) -> None:
    said = refusal(as_login(database, f"{locked}:wrong"))

    assert f'password authentication failed for user "{locked}"' in said
    assert "wrong" not in said


def test_every_right_that_is_missing_is_named(login: Login, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "ROLES", ("moodstream_absent",))
    nobody = login("NOCREATEROLE")

    said = refusal(as_login(database, nobody))

    assert f"{nobody} needs CREATE on schema public" in said
    assert f"{nobody} must own database" in said
    assert f"{nobody} needs CREATEROLE, or an administrator runs: CREATE ROLE moodstream_absent NOLOGIN" in said


def test_an_owner_who_is_no_superuser_suffices(login: Login, database: str) -> None:
    owner = login("CREATEROLE")
    query(database, f"ALTER DATABASE {database.rsplit('/', 1)[1]} OWNER TO {owner}")

    assert migrate(as_login(database, owner)) == revision(database)[1]


def test_a_database_of_a_newer_version_is_left_alone(migrated: str) -> None:
    query(migrated, "UPDATE alembic_version SET version_num = 'from the future'")

    assert "does not know" in refusal(migrated)


# --- who may do what ------------------------------------------------------------------------------------------------


def may(url: str, statement: str) -> bool:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except psycopg2.errors.InsufficientPrivilege:
            return False
        return True


VIEWS = (
    "v_sentiment", "v_mood_hourly", "v_alert", "v_dead_letter", "v_label", "v_model", "v_promotion", "v_training_run",
)  # fmt: skip
TABLES = tuple(tables.metadata.tables)


def test_an_analyst_reads_the_views_and_nothing_else(login: Login, migrated: str) -> None:
    analyst = as_login(migrated, login(f"IN ROLE {tables.ANALYST}"))

    assert [view for view in VIEWS if not may(analyst, f"SELECT * FROM {view}")] == []
    assert [table for table in TABLES if may(analyst, f"SELECT FROM {table}")] == []
    today = f"sentiment_{datetime.now(UTC):%Y%m%d}"
    assert count(migrated, today) == 0
    for forbidden in (
        f"SELECT FROM {today}",
        "DELETE FROM v_sentiment",
        "UPDATE v_sentiment SET angry = true",
        "CREATE TABLE mine (x int)",
        "CREATE TEMPORARY TABLE mine (x int)",
        "SELECT moodstream_make_partitions('2024-01-01')",
    ):
        assert not may(analyst, forbidden), forbidden


def test_the_views_show_neither_payloads_nor_what_leads_back_to_a_person(migrated: str) -> None:
    shown = {
        (view, column)
        for view, column in query(
            migrated, "SELECT table_name, column_name FROM information_schema.columns WHERE table_name LIKE 'v\\_%'"
        )
    }

    assert {column for _, column in shown} & {"payload", "key", "order_id", "given_by", "note", "kpart"} == set()
    assert {column for view, column in shown if view == "v_sentiment" and column.startswith("raw_")} == set()


def test_a_trainer_reads_labels_and_what_a_model_learns_from(login: Login, migrated: str) -> None:
    trainer = as_login(migrated, login(f"IN ROLE {tables.TRAINER}"))

    assert may(trainer, "SELECT s.text, s.label, l.sentiment, l.angry FROM sentiment s JOIN v_label l USING (event_id)")
    assert may(trainer, "SELECT * FROM label")
    assert may(trainer, "SELECT scored_at, brand FROM sentiment")
    assert may(trainer, "UPDATE training_run SET state = 'failed'")
    assert may(trainer, "UPDATE model SET path = ''")
    assert may(trainer, "UPDATE promotion SET announced_at = now()")
    for forbidden in (
        "SELECT order_id FROM sentiment",
        "SELECT raw_offset FROM sentiment",
        "SELECT payload FROM dead_letter",
        "SELECT turns FROM alert",
        "INSERT INTO label SELECT * FROM label",
        "UPDATE model SET metrics = '{}'",
        "UPDATE model SET fingerprint = ''",
        "UPDATE promotion SET reason = ''",
        "UPDATE promotion SET promoted_at = now()",
        "DELETE FROM promotion",
        "UPDATE sentiment SET label = 'positive'",
        "DELETE FROM promotion",
    ):
        assert not may(trainer, forbidden), forbidden


def test_a_worker_adds_and_never_changes_or_removes(login: Login, migrated: str) -> None:
    worker = as_login(migrated, login(f"IN ROLE {tables.WORKER}"))

    assert may(worker, "SELECT moodstream_make_partitions('2024-01-01')")
    assert revision(worker)[0] is not None
    for forbidden in (
        "UPDATE sentiment SET text = ''",
        "DELETE FROM sentiment",
        "DELETE FROM kafka_offset",
        "TRUNCATE label",
        "DROP TABLE sentiment",
        "CREATE TABLE mine (x int)",
    ):
        assert not may(worker, forbidden), forbidden
