"""Rows into a table, inside the caller's transaction: all at once, or around the rows that PostgreSQL refuses."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import psycopg2

from schemas import events, topics
from stream_app.recording import statements
from stream_app.recording.postgres import ROW_FAULTS
from stream_app.recording.rows import Row

STATEMENT_BYTES = 16 * topics.MIB  # a parameter may have 1 GB; a batch of long dead letters can be more


class Refused(NamedTuple):
    """A row that cannot be stored, and why, in the terms of a dead letter."""

    row: Row
    reason: events.Reason
    where: str
    detail: str


def insert(cursor: Any, table: str, rows: Sequence[Row], kpart: int) -> int:
    """How many of the rows are new. Raises one of ROW_FAULTS if any of them cannot be stored."""
    new = 0
    for part in _parts(rows):
        values = msgspec.json.encode([row.values for row in part]).decode()
        cursor.execute(statements.INSERT[table], {"rows": values, "kpart": kpart})
        new += cursor.fetchone()[0]
    return new


def insert_around_faults(cursor: Any, table: str, rows: Sequence[Row], kpart: int) -> tuple[int, list[Refused]]:
    """Like `insert`, but halves the rows until those at fault stand alone: 2 log n statements for one bad row."""
    cursor.execute("SAVEPOINT part")
    try:
        new = insert(cursor, table, rows, kpart)
    except ROW_FAULTS as fault:
        cursor.execute("ROLLBACK TO SAVEPOINT part")
        cursor.execute("RELEASE SAVEPOINT part")
        if len(rows) == 1:
            return 0, [_refused(rows[0], fault)]
        middle = len(rows) // 2
        left, refused_left = insert_around_faults(cursor, table, rows[:middle], kpart)
        right, refused_right = insert_around_faults(cursor, table, rows[middle:], kpart)
        return left + right, refused_left + refused_right
    cursor.execute("RELEASE SAVEPOINT part")
    return new, []


def _refused(row: Row, fault: psycopg2.Error) -> Refused:
    """Only the message's first line: the next ones quote the row."""
    said = fault.diag.message_primary or type(fault).__name__
    if said.startswith("no partition"):
        return Refused(row, "time_out_of_range", "$.event_time", f"no partition for {row.values['event_time']}")
    return Refused(row, "invalid_field", "$", f"PostgreSQL refuses it for {row.table}: {said}")


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start = size = 0
    for end, row in enumerate(rows):
        size += len(row.delivery.value or b"")
        if size > STATEMENT_BYTES and end > start:
            yield rows[start:end]
            start, size = end, len(row.delivery.value or b"")
    yield rows[start:]
