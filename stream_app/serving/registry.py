"""The models in PostgreSQL: what is registered, what serves, and the two moves between them.

    promote    another registered model becomes the champion
    rollback   the champion before it does, or one further back

A move is a row in `promotion` and a message on the topic `models`, in this order: 1. whoever else moves waits its turn
2. the row  3. the message  4. the row says that the message is out. Cut off in the middle, the same command again finds
the row without its message and sends that; it never moves twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from psycopg2.errors import LockNotAvailable
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.pool import NullPool

from schemas import tables
from schemas.bundle import DEFAULT, BundleError
from schemas.codec import milliseconds
from schemas.events import ModelPromoted
from stream_app.database import connect, reaction
from stream_app.errors import NeighbourDown, SetupError
from stream_app.flow.loop import utc_now
from stream_app.scoring.load import bundle_folder, manifest_of
from stream_app.scoring.storage import fingerprint

RIGHT = "GRANT moodstream_trainer to the login that registers and promotes"
_TURN = "SET lock_timeout = '60s'; SELECT pg_advisory_lock(hashtextextended('moodstream promotions', 0))"

Publish = Callable[[ModelPromoted], None]
Kind = Literal["promote", "rollback"]


@dataclass(frozen=True)
class Entry:
    """A registered bundle; a row of `model`."""

    model: str
    path: str
    created: datetime | None
    fingerprint: str
    text_version: int | None
    metrics: Mapping[str, Mapping[str, float]]
    registered_at: datetime
    registered_by: str


@dataclass(frozen=True)
class Promotion:
    """A row of `promotion`; `announced_at` is None as long as nobody knows whether its message is out."""

    promotion_id: str
    model: str
    path: str
    previous: str | None
    kind: Kind
    promoted_at: datetime
    promoted_by: str
    reason: str
    announced_at: datetime | None


class Registry:
    """Every method raises SetupError or NeighbourDown, each one readable line."""

    def __init__(self, database_url: str, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._engine = sa.create_engine(
            "postgresql+psycopg2://", creator=lambda: connect(database_url, "moodstream models"), poolclass=NullPool
        )

    def register(self, folder: Path | str, by: str) -> Entry:
        """The entry of this bundle (a folder, or "default"), made if it is new. A bundle that moved gets its new path.

        Raises BundleError when the folder holds no readable bundle, SetupError when its name belongs to another one.
        """
        path = DEFAULT if str(folder) == DEFAULT else str(Path(folder).resolve())
        manifest = manifest_of(bundle_folder(path))
        made = {
            "model": manifest.name,
            "path": path,
            "created": manifest.created and milliseconds(manifest.created),
            "fingerprint": fingerprint(bundle_folder(path)),
            "text_version": manifest.text_version,
            "metrics": manifest.metrics,
            "registered_at": milliseconds(self._now()),
            "registered_by": by,
        }
        table = tables.model
        with self._transaction() as connection:
            known = insert(table).values(made)
            known = known.on_conflict_do_update(
                index_elements=[table.c.model],
                set_={"path": path},
                where=table.c.fingerprint == known.excluded.fingerprint,
            )
            row = connection.execute(known.returning(table)).one_or_none()
        if row is None:
            raise SetupError(
                f"another bundle is registered as {manifest.name}: a name stands for one content, so give this one"
                f" ({path}) a name of its own in its manifest"
            )
        return _entry(row)

    def list(self) -> list[Entry]:
        """Newest first."""
        with self._transaction() as connection:
            rows = connection.execute(sa.select(tables.model).order_by(tables.model.c.registered_at.desc()))
            return [_entry(row) for row in rows]

    def find(self, model: str) -> Entry | None:
        with self._transaction() as connection:
            row = connection.execute(sa.select(tables.model).where(tables.model.c.model == model)).one_or_none()
            return None if row is None else _entry(row)

    def champion(self) -> Entry | None:
        """What serves; None where nothing was ever promoted: then each worker serves with its MOODSTREAM_MODEL."""
        moves = self.promotions(1)
        return self.find(moves[0].model) if moves else None

    def promotions(self, limit: int | None = None) -> Sequence[Promotion]:
        """Both kinds of moves, newest first."""
        table = tables.promotion
        with self._transaction() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.promoted_at.desc()).limit(limit))
            return [Promotion(**row._mapping) for row in rows]

    def record_promotion(self, entry: Entry, kind: Kind, by: str, reason: str) -> Promotion:
        """The row of a move from the champion to this entry, not announced yet. To be called in a `turn`.

        Its time is later than that of the move before, whatever this machine's clock says: workers ignore an older one.
        Its id comes from what it is and what it follows, so that one move cannot be recorded twice.
        """
        before = next(iter(self.promotions(1)), None)
        at = milliseconds(self._now())
        name = f"{kind} {entry.model} after {before.promotion_id if before else 'nothing'}"
        made = Promotion(
            promotion_id=blake2b(name.encode(), digest_size=12).hexdigest(),
            model=entry.model,
            path=entry.path,
            previous=before.model if before else None,
            kind=kind,
            promoted_at=max(at, before.promoted_at + timedelta(milliseconds=1)) if before else at,
            promoted_by=by,
            reason=reason,
            announced_at=None,
        )
        with self._transaction() as connection:
            connection.execute(sa.insert(tables.promotion).values(vars(made)))
        return made

    def record_announced(self, promotion: Promotion) -> None:
        table = tables.promotion
        with self._transaction() as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.promotion_id == promotion.promotion_id)
                .values(announced_at=milliseconds(self._now()))
            )

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One at a time, across machines: rows and messages then have the same order. Ends with its connection."""
        with self._errors(), self._engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            try:
                connection.exec_driver_sql(_TURN)
            except sa.exc.OperationalError as mistake:
                if isinstance(mistake.orig, LockNotAvailable):
                    raise SetupError("somebody else has been promoting for a minute: try again") from mistake
                raise
            yield

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as mistake:
            ours = reaction(mistake.orig, RIGHT)
            if ours is None:
                raise
            raise ours from mistake


def promote(registry: Registry, publish: Publish, model: str, by: str, reason: str) -> Promotion:
    """A registered model becomes the champion; the one that is, is announced once more.

    `publish` returns when the message is out, and raises NeighbourDown when it is not. Raises SetupError when there is
    no such model or its files have changed.
    """
    entry = _found(registry, model)
    check_unchanged(entry)
    with registry.turn():
        last = next(iter(registry.promotions(1)), None)
        serves = last is not None and last.model == entry.model
        move = last if last is not None and serves else registry.record_promotion(entry, "promote", by, reason)
        return _announce(registry, publish, move, entry)


def rollback(registry: Registry, publish: Publish, by: str, reason: str, *, to: str | None = None) -> Promotion:
    """The champion before this one comes back, or the default bundle where there was none; `to` goes further back.

    Twice goes back twice: a model that was rolled back is no champion "before" any more. A rollback whose message did
    not get out is finished, not followed by another.
    """
    with registry.turn():
        moves = registry.promotions()
        if not moves:
            raise SetupError("nothing was ever promoted, so there is nothing to go back from")
        last = moves[0]
        if last.kind == "rollback" and last.announced_at is None and (to is None or _led_to(registry, last, to)):
            return _announce(registry, publish, last, _found(registry, last.model))
        # 1. Where from, and where to?
        *before, champion = line_of_champions(moves[::-1])
        names = [move.model for move in before]
        if to is not None and to not in names:
            known = (
                f"before {champion.model} came {', '.join(names)}" if names else f"nothing came before {champion.model}"
            )
            raise SetupError(f"cannot go back to {to}: {known}; to go elsewhere, promote it")
        entry = _found(registry, to or names[-1]) if names else None
        # 2. The default bundle is the one of today's release, whatever its name was when it served.
        if entry is None or entry.path == DEFAULT:
            entry = registry.register(DEFAULT, by)
        if not names and (champion.path == DEFAULT or champion.model == entry.model):
            raise SetupError(f"{champion.model}, the default bundle, serves already: there is nothing before it")
        # 3. Go.
        check_unchanged(entry)
        return _announce(registry, publish, registry.record_promotion(entry, "rollback", by, reason), entry)


def line_of_champions(moves: Sequence[Promotion]) -> list[Promotion]:
    """Who would come back, one rollback after the other, and last who serves; from the moves, oldest first.

    A move that nobody was told of led nowhere, unless it is the last: that one is sent yet, or superseded.
    """
    line: list[Promotion] = []
    for move in moves:
        if move.announced_at is None and move is not moves[-1]:
            continue
        if move.kind == "rollback":
            while line and not _same(line[-1], move):
                line.pop()
        if line and _same(line[-1], move):
            line.pop()
        line.append(move)
    return line


def _same(one: Promotion, other: Promotion) -> bool:
    """The default bundle takes another name with another release, and stays what "default" stands for."""
    return one.model == other.model or one.path == other.path == DEFAULT


def _led_to(registry: Registry, last: Promotion, to: str) -> bool:
    if last.model == to:
        return True
    return last.path == DEFAULT and (entry := registry.find(to)) is not None and entry.path == DEFAULT


def announcement(promotion: Promotion, entry: Entry) -> ModelPromoted:
    """The event on `models`, with the folder where the bundle is now."""
    return ModelPromoted(
        model=promotion.model,
        path=entry.path,
        promoted_at=promotion.promoted_at,
        promoted_by=promotion.promoted_by,
        reason=promotion.reason,
        previous=promotion.previous,
        metrics={f"{data}.{figure}": value for data, row in entry.metrics.items() for figure, value in row.items()},
    )


def check_unchanged(entry: Entry) -> None:
    """Raises BundleError when the files at the entry's path are not those that were registered."""
    folder = bundle_folder(entry.path)
    if not folder.is_dir():
        raise BundleError(f"model {entry.model} is registered at {folder}, and there is no such folder any more")
    if fingerprint(folder) != entry.fingerprint:
        raise BundleError(f"model {entry.model}: the files at {folder} are not those that were registered")


def _found(registry: Registry, model: str) -> Entry:
    if (entry := registry.find(model)) is None:
        raise SetupError(f"no model {model} is registered; `moodstream models list` shows those that are")
    return entry


def _announce(registry: Registry, publish: Publish, promotion: Promotion, entry: Entry) -> Promotion:
    try:
        publish(announcement(promotion, entry))
    except NeighbourDown as down:
        todo = f"{promotion.model} is recorded as champion, but no worker was told: run the same command again"
        raise NeighbourDown(down.neighbour, todo) from down
    registry.record_announced(promotion)
    return promotion


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(**row._mapping)
