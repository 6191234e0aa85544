"""A connection to PostgreSQL that comes back by itself, and whose fault an error is."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import parse_dsn

from stream_app.errors import MoodstreamError, NeighbourDown, SetupError

NEIGHBOUR = "PostgreSQL"

# One row's fault: the same row fails again, its neighbours would not. 54000 is a value too long for an index.
ROW_FAULTS = (psycopg2.DataError, psycopg2.IntegrityError, errors.ProgramLimitExceeded)
# Nobody's fault: the same transaction goes through when it is sent again.
COLLISIONS = (errors.DeadlockDetected, errors.SerializationFailure)

# A server that vanished without a word is noticed within some 20 s, not after the kernel's quarter of an hour.
PATIENCE = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "20000",
}
# A paused writer that holds row locks is put out by the server before its heir has waited for long.
SESSION = """
SET timezone = 'UTC'; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on;
SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'; SET statement_timeout = '60s'
"""
# What libpq says when a person must act; it gives no SQLSTATE before the session is open.
FOR_A_PERSON = (
    "authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied", "SSL", "invalid",
)  # fmt: skip


def connect(database_url: str, application_name: str) -> Any:
    """A new connection. Raises SetupError when a person must act (password, database, login), else NeighbourDown."""
    try:
        parameters = parse_dsn(re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", database_url))
    except psycopg2.ProgrammingError:
        # libpq's own message may quote the password
        raise SetupError("the PostgreSQL URL must be postgresql://user:password@host:port/name") from None
    try:
        return psycopg2.connect(**PATIENCE | {"application_name": application_name} | parameters)
    except psycopg2.OperationalError as mistake:
        said = re.sub(r"^.*?(FATAL: +|failed: )+", "", _first_line(mistake))
        where = f"{parameters.get('host', 'localhost')}:{parameters.get('port', '5432')}"
        if any(sign in said for sign in FOR_A_PERSON):
            raise SetupError(f"{NEIGHBOUR} at {where} refuses: {said}") from None
        raise NeighbourDown(NEIGHBOUR, f"{where}: {said}") from None


class Database:
    """One connection for one thread, opened when it is first needed and again after it was lost."""

    def __init__(self, url: str, application_name: str) -> None:
        self._url = url
        self._application_name = application_name
        self._connection: Any = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor in a transaction, committed when the block ends and rolled back when it raises.

        ROW_FAULTS and COLLISIONS come out as they are, after a clean rollback. Raises NeighbourDown when the server is
        away, overloaded, or will not take writes: whether a commit that was under way happened is then unknown.
        Raises SetupError when a right or a table is missing.
        """
        connection = self._connected()
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        except psycopg2.Error as mistake:
            reaction = _reaction(mistake)
            if isinstance(reaction, NeighbourDown):
                self.close()
            if reaction is None:
                raise
            raise reaction from mistake

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    def _connected(self) -> Any:
        if self._connection is None:
            connection = connect(self._url, self._application_name)
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute(SESSION)
            except psycopg2.Error as mistake:
                connection.close()
                raise NeighbourDown(NEIGHBOUR, _first_line(mistake)) from mistake
            self._connection = connection
        return self._connection


def _reaction(mistake: psycopg2.Error) -> MoodstreamError | None:
    """Our error for theirs; None leaves theirs as it is."""
    said = _first_line(mistake)
    match mistake:
        case psycopg2.Error() if isinstance(mistake, (*ROW_FAULTS, *COLLISIONS)):
            return None
        case errors.InsufficientPrivilege():
            return SetupError(f"{NEIGHBOUR}: {said}; GRANT moodstream_worker to the login that records")
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.UndefinedFunction():
            return SetupError(f"{NEIGHBOUR}: {said}; the tables are not this version's: run `moodstream init`")
        case psycopg2.OperationalError() | psycopg2.InterfaceError() | psycopg2.InternalError():
            return NeighbourDown(NEIGHBOUR, said)
        case _:
            return None


def _first_line(mistake: psycopg2.Error) -> str:
    return next(iter(str(mistake).strip().splitlines()), type(mistake).__name__)
