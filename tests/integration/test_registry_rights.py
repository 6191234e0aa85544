"""Who may touch the registry, what its views show, and how its tables came to be."""

import pytest
from alembic import command

from schemas import tables
from stream_app.errors import SetupError
from stream_app.recording import migrate as migrations
from stream_app.recording.migrate import migrate, revision
from stream_app.serving.moves import promote, rollback
from stream_app.serving.registry import Registry
from tests.fakes_models import Heard
from tests.integration.conftest import Login
from tests.integration.sql import as_login, query

pytestmark = pytest.mark.services


def test_a_database_of_the_first_revision_comes_up_with_its_data(database: str) -> None:
    with migrations._connected(database) as connection:
        command.upgrade(migrations._config(connection), "0001")
    query(database, "INSERT INTO label VALUES ('l', 'e', now(), now(), 'dana', 'cli', 'negative', true, '')")
    query(database, "INSERT INTO kafka_offset (grp, topic, kpart, next_offset) VALUES ('g', 'labels', 0, 17)")

    assert migrate(database) == revision(database)[1] == "0002"

    assert query(database, "SELECT event_id, sentiment, angry FROM v_label") == [("e", "negative", True)]
    assert query(database, "SELECT next_offset FROM kafka_offset") == [(17,)]
    assert query(database, "SELECT count(*) FROM v_promotion") == [(0,)]
    with migrations._connected(database) as connection:
        command.downgrade(migrations._config(connection), "0001")
    assert query(database, "SELECT count(*) FROM label") == [(1,)]


def test_one_training_run_at_a_time(migrated: str) -> None:
    start = (
        "INSERT INTO training_run (run_id, trigger, state, started_at, as_of, champion)"
        " VALUES (%(run)s, 'hand', 'running', now(), now(), 'a')"
    )
    query(migrated, start, run="first")

    with pytest.raises(Exception, match="ux_training_run_running"):
        query(migrated, start, run="second")
    query(migrated, "UPDATE training_run SET state = 'refused', ended_at = now()")
    query(migrated, start, run="second")


def test_a_trainer_may_register_promote_and_go_back(login: Login, registry: Registry, migrated: str) -> None:
    trainer = Registry(as_login(migrated, login(f"IN ROLE {tables.TRAINER}")))

    promote(trainer, Heard(), "a", "dana", "better")
    promote(trainer, Heard(), "b", "dana", "better")

    assert rollback(trainer, Heard(), "dana", "worse").model == "a"


def test_a_login_without_the_right_is_told_which(login: Login, registry: Registry, migrated: str) -> None:
    recorder = Registry(as_login(migrated, login(f"IN ROLE {tables.WORKER}")))

    with pytest.raises(SetupError, match="GRANT moodstream_trainer"):
        promote(recorder, Heard(), "a", "dana", "better")


def test_the_views_show_neither_folders_nor_logins(migrated: str) -> None:
    shown = query(
        migrated,
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_name IN ('v_model', 'v_promotion', 'v_training_run')",
    )
    columns = {name for (name,) in shown}

    assert columns & {"path", "candidate_path", "registered_by", "promoted_by"} == set()
    assert "error" not in columns, "what went wrong names folders"
