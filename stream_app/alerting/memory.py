"""The alert memory: what is known of the conversations of a partition, and how far its deliveries have been applied.

Decisions are made in Python (`incidents.py`); Redis only keeps what came of them: ops/decisions/0002-alert-memory.md.
The keys of a partition share a hash tag, so that one script can move them together on a cluster as well:

    moodstream:alert-1:{sentiment-3}:mark          how far, see `Mark`
    moodstream:alert-1:{sentiment-3}:pending       decisions that may not have been published yet
    moodstream:alert-1:{sentiment-3}:chat:c-42     a conversation; expires as a whole
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import redis
from msgspec import Struct
from redis.backoff import NoBackoff
from redis.retry import Retry

from stream_app.alerting.state import Conversation
from stream_app.errors import NeighbourDown, SessionLost, SetupError
from stream_app.flow.delivery import TopicPartition

log = logging.getLogger("moodstream.alert")

FORMAT = 1  # of everything stored; part of the keys, so that another format begins with an empty memory


class Mark(Struct, frozen=True, array_like=True):
    """How far a partition has been applied.

    Every delivery below `next_offset` has been. `newest_ms` is the newest record timestamp among them: a delivery below
    `next_offset` with a newer one belongs to another topic of the same name. Conversations of another `era` are not
    believed: an era ends when memory is lost or the topic is made anew. `writes` tells every write from every other.
    """

    next_offset: int
    newest_ms: int
    era: str
    writes: int


class Pending(Struct, frozen=True, gc=False, array_like=True):
    """An alert, encoded, and the offset of the delivery that set it off."""

    offset: int
    key: bytes
    value: bytes


class Remembered(NamedTuple):
    """A partition's mark (None: it has no memory) and those of the wanted conversations that are known."""

    mark: Mark | None
    conversations: dict[str, Conversation]


class Memory(Protocol):
    """The memory of partitions that have one owner each at any time; `write` finds out when that is not so.

    Every method may block on the store and raises NeighbourDown when it does not answer. A `write` that raised it may
    or may not have happened: read again.
    """

    def read(self, wanted: Mapping[TopicPartition, Collection[str]]) -> dict[TopicPartition, Remembered]:
        """Mark and conversations of every partition asked for, in one round trip."""

    def pending(self, partition: TopicPartition) -> list[Pending]:
        """The decisions of the last writes, by offset; only a replay needs them."""

    def write(
        self,
        partition: TopicPartition,
        seen: Mark | None,
        mark: Mark,
        conversations: Mapping[str, Conversation],
        pending: Sequence[Pending],
        keep: timedelta,
    ) -> None:
        """Replace mark and pending decisions, and these conversations for `keep`, all or nothing.

        Raises SessionLost, and changes nothing, unless the mark is still the one `seen`: otherwise somebody else owns
        the partition now.
        """

    def close(self) -> None: ...


class _Kept(Struct, frozen=True, array_like=True):
    era: str
    conversation: Conversation


_mark = msgspec.msgpack.Decoder(Mark)
_kept = msgspec.msgpack.Decoder(_Kept)
_pending = msgspec.msgpack.Decoder(list[Pending])
_encode = msgspec.msgpack.Encoder().encode


class RedisMemory:
    """Satisfies `Memory`, on Redis or Valkey. For one thread; connects on the first call and after every failure."""

    def __init__(self, url: str, group: str, *, timeout_s: float = 3.0) -> None:
        try:
            self._redis: redis.Redis = redis.Redis.from_url(
                url,
                socket_connect_timeout=timeout_s,
                socket_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),  # the loop holds the batch and calls again; a hidden retry only hides
            )
        except ValueError:  # the library's own message may quote the password
            raise SetupError("the Redis URL must be redis://[user:password@]host:port/number") from None
        self._group = group
        self._remember = self._redis.register_script(Path(__file__).with_name("remember.lua").read_bytes())

    def read(self, wanted: Mapping[TopicPartition, Collection[str]]) -> dict[TopicPartition, Remembered]:
        names = {partition: list(subjects) for partition, subjects in wanted.items()}
        with _answering():
            pipe = self._redis.pipeline(transaction=False)
            for partition, subjects in names.items():
                key = self._prefix(partition)
                pipe.mget([key + "mark", *(key + subject for subject in subjects)])
            replies: list[list[bytes | None]] = pipe.execute()
        return {
            partition: unpack(values[0], dict(zip(subjects, values[1:], strict=True)))
            for (partition, subjects), values in zip(names.items(), replies, strict=True)
        }

    def pending(self, partition: TopicPartition) -> list[Pending]:
        with _answering():
            packed: Any = self._redis.get(self._prefix(partition) + "pending")
        return unpack_pending(packed)

    def write(
        self,
        partition: TopicPartition,
        seen: Mark | None,
        mark: Mark,
        conversations: Mapping[str, Conversation],
        pending: Sequence[Pending],
        keep: timedelta,
    ) -> None:
        key = self._prefix(partition)
        packed = pack(mark, conversations)
        keys: list[Any] = [key + "mark", key + "pending", *(key + subject for subject in packed)]
        values: list[Any] = [
            pack_mark(seen),
            pack_mark(mark),
            pack_pending(pending),
            int(keep.total_seconds()),
            *packed.values(),
        ]
        with _answering():
            moved = self._remember(keys, values)
        if not moved:
            raise refused(partition)

    def check_config(self) -> str | None:
        """One line if the server may throw our keys away when it is full; it is logged, too."""
        with _answering():
            try:
                memory: Any = self._redis.info("memory")
            except redis.ResponseError:  # an account without the right to ask
                return None
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy == "noeviction":
            return None
        warning = f"Redis has maxmemory-policy {policy} and may silently forget open incidents: set it to noeviction"
        log.warning(warning)
        return warning

    def close(self) -> None:
        self._redis.close()

    def _prefix(self, partition: TopicPartition) -> str:
        topic, number = partition
        return f"{self._group}:alert-{FORMAT}:{{{topic}-{number}}}:"


def pack_mark(mark: Mark | None) -> bytes:
    return b"" if mark is None else _encode(mark)


def pack_pending(pending: Sequence[Pending]) -> bytes:
    return _encode(list(pending)) if pending else b""


def pack(mark: Mark, conversations: Mapping[str, Conversation]) -> dict[str, bytes]:
    return {subject: _encode(_Kept(mark.era, conversation)) for subject, conversation in conversations.items()}


def unpack(packed_mark: bytes | None, packed: Mapping[str, bytes | None]) -> Remembered:
    """What was stored, without conversations of another era."""
    if packed_mark is None:
        return Remembered(None, {})
    mark = _mark.decode(packed_mark)
    kept = {subject: _kept.decode(value) for subject, value in packed.items() if value is not None}
    return Remembered(mark, {subject: one.conversation for subject, one in kept.items() if one.era == mark.era})


def unpack_pending(packed: bytes | None) -> list[Pending]:
    return _pending.decode(packed) if packed else []


def refused(partition: TopicPartition) -> SessionLost:
    return SessionLost(f"another worker has moved the alert memory of {partition[0]}-{partition[1]}")


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as failure:  # away, loading, full, read-only: a person or time mends it, a retry finds out
        raise NeighbourDown("Redis", str(failure) or type(failure).__name__) from failure
