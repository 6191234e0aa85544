"""Bring a database to this version's tables, and tell where it stands."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, exc
from sqlalchemy.pool import NullPool

import schemas
from schemas.tables import ANALYST, TRAINER, WORKER
from stream_app.errors import NeighbourDown, SetupError
from stream_app.recording.postgres import connect

ROLES = (WORKER, ANALYST, TRAINER)
DAYS_BACK, DAYS_AHEAD = 2, 7

# What the migrations need of the login, and what it lacks: one row a right.
RIGHTS = """
SELECT format('the encoding is %%s, but texts need UTF8', current_setting('server_encoding'))
 WHERE current_setting('server_encoding') <> 'UTF8'
UNION ALL
SELECT 'there is no schema to create tables in: search_path names none'
 WHERE current_schema() IS NULL
UNION ALL
SELECT format('%%I needs CREATE on schema %%I', current_user, current_schema())
 WHERE NOT has_schema_privilege(current_schema(), 'CREATE')
UNION ALL
SELECT format('%%I must own database %%I, to take TEMPORARY from PUBLIC', current_user, datname)
  FROM pg_database WHERE datname = current_database() AND NOT pg_has_role(datdba, 'USAGE')
UNION ALL
SELECT format('%%I needs CREATEROLE, or an administrator runs: CREATE ROLE %%I NOLOGIN', current_user, missing)
  FROM unnest(%(roles)s) AS missing
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = missing)
   AND NOT (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user)
"""


def migrate(database_url: str) -> str:
    """Migrate to the newest revision, make the partitions of these days, and return the revision.

    Two at once queue up, and both succeed. Raises SetupError: one line that says what a person must change.
    """
    with _connected(database_url) as connection:
        _, head = _revisions(connection)
        _check_rights(connection)
        connection.rollback()
        command.upgrade(_config(connection), "head")
        today = datetime.now(UTC).date()
        for ahead in range(-DAYS_BACK, DAYS_AHEAD + 1):
            day = today + timedelta(days=ahead)
            connection.exec_driver_sql("SELECT moodstream_make_partitions(%s)", (day,))
            connection.commit()
        return head


def revision(database_url: str) -> tuple[str | None, str]:
    """Where the database stands (None: never migrated) and where this version is. Raises SetupError."""
    with _connected(database_url) as connection:
        return _revisions(connection)


def _revisions(connection: Connection) -> tuple[str | None, str]:
    script = ScriptDirectory.from_config(_config(connection))
    head = script.get_current_head()
    assert head is not None  # there is a first revision
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {known.revision for known in script.walk_revisions()}:
        raise SetupError(f"the database is at revision {current}, which this version does not know: use a newer one")
    return current, head


def _check_rights(connection: Connection) -> None:
    lacking = connection.exec_driver_sql(RIGHTS, {"roles": list(ROLES)}).scalars().all()
    if lacking:
        raise SetupError("; ".join(lacking))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(schemas.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connected(database_url: str) -> Iterator[Connection]:
    """One connection; what goes wrong on it comes out as a SetupError of one line."""
    engine = create_engine(
        "postgresql+psycopg2://", creator=lambda: connect(database_url, "moodstream migrate"), poolclass=NullPool
    )
    try:
        with engine.connect() as connection:
            yield connection
    except NeighbourDown as down:
        raise SetupError(str(down)) from down
    except exc.DBAPIError as mistake:
        raise SetupError(f"PostgreSQL: {_first_line(mistake)}") from mistake
    finally:
        engine.dispose()


def _first_line(mistake: exc.DBAPIError) -> str:
    said = str(mistake.orig).strip().splitlines()[0]
    if isinstance(mistake.orig, psycopg2.errors.LockNotAvailable):
        return f"{said}: somebody is using a table that must change; try again when it is quieter"
    return said
