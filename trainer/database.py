"""The trainer's way to PostgreSQL: short transactions, and whose fault an error is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from stream_app.database import connect, reaction

RIGHT = "GRANT moodstream_trainer to the login that trains"


class Database:
    """Every use raises SetupError or NeighbourDown, each one readable line; broken constraints come out as they are."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(
            "postgresql+psycopg2://", creator=lambda: connect(url, "moodstream retrain"), poolclass=NullPool
        )

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        with errors_explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def session(self) -> Iterator[sa.Connection]:
        """A connection of one's own, each statement for itself: for what lasts as long as the connection does."""
        with errors_explained(), self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def errors_explained() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as mistake:
        ours = reaction(mistake.orig, RIGHT)
        if ours is None:
            raise
        raise ours from mistake
