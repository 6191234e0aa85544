"""What commands ask of PostgreSQL: the state of the tables, one event's rows, and the answers a demo shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from psycopg2.extras import Json

from stream_app.recording.postgres import Database

Row = dict[str, Any]

READERS = "GRANT moodstream_worker to the login that looks things up"
LABELLERS = "GRANT moodstream_trainer to the login that labels"

LAST_PARTITION = """
SELECT max(to_date(right(leaf.relname, 8), 'YYYYMMDD'))
  FROM pg_inherits JOIN pg_class leaf ON leaf.oid = inhrelid
 WHERE inhparent = to_regclass('sentiment') AND leaf.relname ~ '_[0-9]{8}$'
"""


def server_version(database_url: str) -> str:
    """Such as "18.6"."""
    _, ((version,),) = query(database_url, "SELECT split_part(current_setting('server_version'), ' ', 1)")
    return str(version)


def last_partition_day(database_url: str) -> date | None:
    """The last day an event can be recorded for without a new partition; None: there is none."""
    _, ((day,),) = query(database_url, LAST_PARTITION)
    return day if isinstance(day, date) else None


def sentiment_rows(database_url: str, event_id: str) -> list[Row]:
    """The rows of a scored event: one, or more if it was published under several times."""
    return _dicts(database_url, "SELECT * FROM sentiment WHERE event_id = %s ORDER BY event_time", (event_id,))


def alert_rows(database_url: str, customer: str, event_id: str) -> list[Row]:
    """Alerts this event set off, or that quote it as an earlier turn."""
    statement = """
        SELECT * FROM alert WHERE customer = %s AND (event_id = %s OR turns @> %s::jsonb) ORDER BY raised_at LIMIT 20
    """
    return _dicts(database_url, statement, (customer, event_id, Json([{"event_id": event_id}])))


def dead_letter_rows(database_url: str, name: str) -> list[Row]:
    """Dead letters with this id, or whose payload holds it as JSON would: reads all of them, which are few."""
    quoted = b'"' + name.encode("utf-8", "surrogatepass") + b'"'
    statement = """
        SELECT * FROM dead_letter WHERE dead_letter_id = %s OR position(%s::bytea IN payload) > 0
         ORDER BY failed_at LIMIT 20
    """
    return _dicts(database_url, statement, (name, quoted))


def verdict_row(database_url: str, event_id: str) -> Row | None:
    """When a scored event happened and what the model said of it; the last, if it was published under several times."""
    statement = """
        SELECT event_time, label, angry FROM sentiment WHERE event_id = %s ORDER BY event_time DESC LIMIT 1
    """
    return next(iter(_dicts(database_url, statement, (event_id,), LABELLERS)), None)


def last_label(database_url: str, event_id: str, given_by: str) -> Row | None:
    """The latest label this person gave the event."""
    statement = """
        SELECT label_id, given_at, sentiment, angry FROM label WHERE event_id = %s AND given_by = %s
         ORDER BY given_at DESC, label_id DESC LIMIT 1
    """
    return next(iter(_dicts(database_url, statement, (event_id, given_by), LABELLERS)), None)


def query(
    database_url: str, statement: str, parameters: Sequence[Any] | None = None, right: str = READERS
) -> tuple[list[str], list[Any]]:
    """Column names and rows. Raises SetupError, which says with `right` how to give a login what it lacks, or
    NeighbourDown.
    """
    database = Database(database_url, "moodstream command", right)
    try:
        with database.transaction() as cursor:
            cursor.execute(statement, parameters)
            return [column.name for column in cursor.description], cursor.fetchall()
    finally:
        database.close()


def _dicts(database_url: str, statement: str, parameters: Sequence[Any], right: str = READERS) -> list[Row]:
    names, rows = query(database_url, statement, parameters, right)
    return [dict(zip(names, row, strict=True)) for row in rows]
