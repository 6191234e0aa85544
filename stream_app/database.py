"""Ways to PostgreSQL, and whose fault an error is. For rooms that may not import each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import sqlalchemy as sa
from psycopg2 import errors
from psycopg2.extensions import parse_dsn
from sqlalchemy.pool import NullPool

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
# What libpq says when a person must act; it gives no SQLSTATE before the session is open.
FOR_A_PERSON = (
    "authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied", "SSL", "invalid",
)  # fmt: skip


class Database:
    """For who asks now and then: a connection for each use, and every error explained.

    Every use raises SetupError or NeighbourDown, each one readable line; broken constraints come out as they are.
    `right` says how to give a login what it lacks.
    """

    def __init__(self, url: str, application_name: str, right: str) -> None:
        self._right = right
        self._engine = sa.create_engine(
            "postgresql+psycopg2://", creator=lambda: connect(url, application_name), poolclass=NullPool
        )

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        with self._errors_explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """A connection of one's own, each statement for itself: for what lasts as long as the connection does."""
        with self._errors_explained(), self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as mistake:
            ours = reaction(mistake.orig, self._right)
            if ours is None:
                raise
            raise ours from mistake


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
        said = re.sub(r"^.*?(FATAL: +|failed: )+", "", first_line(mistake))
        where = f"{parameters.get('host', 'localhost')}:{parameters.get('port', '5432')}"
        if any(sign in said for sign in FOR_A_PERSON):
            raise SetupError(f"{NEIGHBOUR} at {where} refuses: {said}") from None
        raise NeighbourDown(NEIGHBOUR, f"{where}: {said}") from None


def reaction(mistake: psycopg2.Error, right: str) -> MoodstreamError | None:
    """Our error for theirs; None leaves theirs as it is. `right` says how to give a login what it lacks."""
    said = first_line(mistake)
    match mistake:
        case psycopg2.Error() if isinstance(mistake, (*ROW_FAULTS, *COLLISIONS)):
            return None
        case errors.InsufficientPrivilege():
            return SetupError(f"{NEIGHBOUR}: {said}; {right}")
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.UndefinedFunction():
            return SetupError(f"{NEIGHBOUR}: {said}; the tables are not this version's: run `moodstream init`")
        case psycopg2.OperationalError() | psycopg2.InterfaceError() | psycopg2.InternalError():
            return NeighbourDown(NEIGHBOUR, said)
        case _:
            return None


def first_line(mistake: psycopg2.Error) -> str:
    return next(iter(str(mistake).strip().splitlines()), type(mistake).__name__)
