"""The models in PostgreSQL: what is registered, and the moves by which one became the champion: the rows, no more."""

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

from schemas import tables
from schemas.bundle import DEFAULT, BundleError
from schemas.codec import milliseconds
from stream_app.database import Database
from stream_app.errors import SetupError
from stream_app.flow.loop import utc_now
from stream_app.scoring.load import bundle_folder, manifest_of
from stream_app.scoring.storage import fingerprint

RIGHT = "GRANT moodstream_trainer to the login that registers and promotes"
_TURN = "SET lock_timeout = '60s'; SELECT pg_advisory_lock(hashtextextended('moodstream promotions', 0))"

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
        self._database = Database(database_url, "moodstream models", RIGHT)

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
        with self._database.transaction() as connection:
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
        with self._database.transaction() as connection:
            rows = connection.execute(sa.select(tables.model).order_by(tables.model.c.registered_at.desc()))
            return [_entry(row) for row in rows]

    def find(self, model: str) -> Entry | None:
        with self._database.transaction() as connection:
            row = connection.execute(sa.select(tables.model).where(tables.model.c.model == model)).one_or_none()
            return None if row is None else _entry(row)

    def champion(self) -> Entry | None:
        """What serves; None where nothing was ever promoted: then each worker serves with its MOODSTREAM_MODEL."""
        moves = self.promotions(1)
        return self.find(moves[0].model) if moves else None

    def promotions(self, limit: int | None = None) -> Sequence[Promotion]:
        """Both kinds of moves, newest first."""
        table = tables.promotion
        with self._database.transaction() as connection:
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
        with self._database.transaction() as connection:
            connection.execute(sa.insert(tables.promotion).values(vars(made)))
        return made

    def record_announced(self, promotion: Promotion) -> None:
        table = tables.promotion
        with self._database.transaction() as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.promotion_id == promotion.promotion_id)
                .values(announced_at=milliseconds(self._now()))
            )

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One at a time, across machines: rows and messages then have the same order. Ends with its connection."""
        with self._database.session() as connection:
            try:
                connection.exec_driver_sql(_TURN)
            except sa.exc.OperationalError as mistake:
                if isinstance(mistake.orig, LockNotAvailable):
                    raise SetupError("somebody else has been promoting for a minute: try again") from mistake
                raise
            yield


def check_unchanged(entry: Entry) -> None:
    """Raises BundleError when the files at the entry's path are not those that were registered."""
    folder = bundle_folder(entry.path)
    if not folder.is_dir():
        raise BundleError(f"model {entry.model} is registered at {folder}, and there is no such folder any more")
    if fingerprint(folder) != entry.fingerprint:
        raise BundleError(f"model {entry.model}: the files at {folder} are not those that were registered")


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(**row._mapping)
