"""A connection to PostgreSQL that comes back by itself."""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2

from stream_app.database import COLLISIONS, NEIGHBOUR, ROW_FAULTS, connect, first_line, reaction
from stream_app.errors import NeighbourDown

__all__ = ["COLLISIONS", "NEIGHBOUR", "ROW_FAULTS", "Database", "connect"]

RIGHT = "GRANT moodstream_worker to the login that records"

# A paused writer that holds row locks is put out by the server before its heir has waited for long.
SESSION = """
SET timezone = 'UTC'; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on;
SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'; SET statement_timeout = '60s'
"""


class Database:
    """One connection for one thread, opened when it is first needed and again after it was lost."""

    def __init__(self, url: str, application_name: str, right: str = RIGHT) -> None:
        """`right` says how to give a login what it lacks."""
        self._url = url
        self._application_name = application_name
        self._right = right
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
            ours = reaction(mistake, self._right)
            if isinstance(ours, NeighbourDown):
                self.close()
            if ours is None:
                raise
            raise ours from mistake

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
                raise NeighbourDown(NEIGHBOUR, first_line(mistake)) from mistake
            self._connection = connection
        return self._connection
