"""One training run at a time, across machines, and none blocks the next by dying.

The turn is a session-level advisory lock: PostgreSQL ends it with the connection, so with the process, however it went.
The row in `training_run` is the record. Whoever has the turn and finds a row still running has found the run of a
process that died; it goes on with it, from the same moment and the same folder, or closes it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from schemas.codec import milliseconds
from schemas.tables import training_run
from stream_app.errors import MoodstreamError, NeighbourDown, SetupError
from trainer.database import Database
from trainer.due import Trigger

Ending = Literal["refused", "promoted", "passed", "failed"]

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('moodstream training run', 0))"
# A machine that vanished without a word is noticed in some 25 s, not after the kernel's two hours.
_KEEPALIVES = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"


class Busy(MoodstreamError):
    """Another run has the turn. The message says which."""


@dataclass(frozen=True)
class Run:
    """A row of `training_run` that is running."""

    run_id: str
    trigger: Trigger
    as_of: datetime
    champion: str
    started_at: datetime
    candidate: str | None = None
    candidate_path: str | None = None
    """Where the candidate lies; told of a run that is running, it has passed."""


class Queue:
    """Every method raises SetupError or NeighbourDown, each one readable line."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Have the turn until the block ends. Raises Busy, at once, when another run has it."""
        with self._database.session() as connection:
            connection.exec_driver_sql(_KEEPALIVES)
            if not connection.exec_driver_sql(_LOCK).scalar_one():
                raise Busy(self._who())
            yield Turn(self._database, connection, self._now)

    def last_verdict(self) -> datetime | None:
        """The moment as of which the last run that came to a verdict read its labels."""
        ended = training_run.c.state.in_(("refused", "promoted", "passed"))
        with self._database.transaction() as connection:
            found: datetime | None = connection.execute(
                sa.select(sa.func.max(training_run.c.as_of)).where(ended)
            ).scalar_one()
            return found

    def _who(self) -> str:
        with self._database.transaction() as connection:
            run = _running(connection)
        what = (
            f"run {run.run_id} of {run.champion}, begun {run.started_at:%Y-%m-%d %H:%M} UTC," if run else "another run"
        )
        return f"{what} is at work"


class Turn:
    """What whoever has the turn may do."""

    def __init__(self, database: Database, session: sa.Connection, now: Callable[[], datetime]) -> None:
        self._database = database
        self._session = session
        self._now = now

    def left_behind(self) -> Run | None:
        """The run of a process that died."""
        with self._database.transaction() as connection:
            return _running(connection)

    def begin(self, trigger: Trigger, as_of: datetime, champion: str) -> Run:
        """Raises Busy when a run is recorded as running, which `left_behind` would have told."""
        started = milliseconds(self._now())
        run_id = f"{as_of:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"
        made = Run(run_id, trigger, milliseconds(as_of), champion, started)
        try:
            with self._database.transaction() as connection:
                connection.execute(sa.insert(training_run).values(state="running", **vars(made)))
        except sa.exc.IntegrityError as taken:
            raise Busy("another run was recorded a moment ago and is at work") from taken
        return made

    def note(self, run: Run, **columns: Any) -> None:
        """Say what is known of a run so far: data_fingerprint, rows, candidate."""
        self._update(run, columns)

    def end(self, run: Run, state: Ending, **columns: Any) -> None:
        """Close the run: verdict, candidate_path, error. Raises SetupError when it is not ours to close any more."""
        self._update(run, {"state": state, "ended_at": milliseconds(self._now()), **columns})

    def check(self) -> None:
        """Raises NeighbourDown when the connection that holds the turn is gone, and the turn with it."""
        try:
            self._session.exec_driver_sql("SELECT 1")
        except sa.exc.DBAPIError as lost:
            raise NeighbourDown("PostgreSQL", "the connection that held this run's turn is gone") from lost

    def _update(self, run: Run, columns: dict[str, Any]) -> None:
        self.check()
        mine = (training_run.c.run_id == run.run_id) & (training_run.c.state == "running")
        with self._database.transaction() as connection:
            changed = connection.execute(sa.update(training_run).where(mine).values(columns)).rowcount
        if not changed:
            raise SetupError(f"run {run.run_id} was closed by somebody else while it ran: its result is not used")


def _running(connection: sa.Connection) -> Run | None:
    columns = [training_run.c[name] for name in Run.__dataclass_fields__]
    row = connection.execute(sa.select(*columns).where(training_run.c.state == "running")).one_or_none()
    return None if row is None else Run(**row._mapping)
