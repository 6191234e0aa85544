"""How alembic runs our migrations. Started by `stream_app.recording.migrate`, which hands the connection in."""

import re
from collections.abc import MutableMapping
from typing import Any

from alembic import context
from sqlalchemy import Connection

from schemas.tables import metadata

LOCK = "SELECT {}(hashtextextended('moodstream migrations', 0))"


def include_name(name: str | None, kind: str, parents: MutableMapping[Any, Any]) -> bool:
    """Partitions are made by day, not by metadata: autogenerate would drop every one."""
    return not (kind == "table" and name is not None and re.fullmatch(r"sentiment_\d{8}", name))


def run(connection: Connection) -> None:
    """Two at once queue up: the second finds the work done.

    The lock is the session's, not the transaction's, so that a revision may commit in the middle (CREATE INDEX
    CONCURRENTLY). Only then is waiting bounded: a statement that cannot have its lock gives up before the readers that
    queue behind it notice.
    """
    connection.exec_driver_sql(LOCK.format("pg_advisory_lock"))
    connection.exec_driver_sql("SET lock_timeout = '5s'")
    connection.commit()
    try:
        context.configure(connection=connection, target_metadata=metadata, include_name=include_name)
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.exec_driver_sql(LOCK.format("pg_advisory_unlock"))
        connection.commit()


run(context.config.attributes["connection"])
