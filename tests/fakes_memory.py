"""The alert memory without Redis. Passes the contract suite of the real one, see tests/contracts."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta

from stream_app.alerting.memory import (
    Mark,
    Memory,
    Pending,
    Remembered,
    pack,
    pack_mark,
    pack_pending,
    refused,
    unpack,
    unpack_pending,
)
from stream_app.alerting.state import Conversation
from stream_app.flow.delivery import TopicPartition

Store = dict[tuple[TopicPartition, str], bytes]


class FakeMemory:
    """Satisfies `Memory` over a dict, in the real one's bytes. Several over one dict are several workers."""

    def __init__(self, store: Store | None = None) -> None:
        self.store: Store = {} if store is None else store

    def read(self, wanted: Mapping[TopicPartition, Collection[str]]) -> dict[TopicPartition, Remembered]:
        return {
            partition: unpack(
                self.store.get((partition, "mark")), {about: self.store.get((partition, about)) for about in subjects}
            )
            for partition, subjects in wanted.items()
        }

    def pending(self, partition: TopicPartition) -> list[Pending]:
        return unpack_pending(self.store.get((partition, "pending")))

    def write(
        self,
        partition: TopicPartition,
        seen: Mark | None,
        mark: Mark,
        conversations: Mapping[str, Conversation],
        pending: Sequence[Pending],
        keep: timedelta,
    ) -> None:
        if self.store.get((partition, "mark"), b"") != pack_mark(seen):
            raise refused(partition)
        for about, packed in pack(mark, conversations).items():
            self.store[partition, about] = packed
        self.store[partition, "pending"] = pack_pending(pending)
        self.store[partition, "mark"] = pack_mark(mark)

    def close(self) -> None:
        return None


class InterruptedMemory:
    """A memory with something happening right before or right after its next writes: a kill, an outage, a rival."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.before_write: Callable[[], None] = lambda: None
        self.after_write: Callable[[], None] = lambda: None

    def read(self, wanted: Mapping[TopicPartition, Collection[str]]) -> dict[TopicPartition, Remembered]:
        return self._memory.read(wanted)

    def pending(self, partition: TopicPartition) -> list[Pending]:
        return self._memory.pending(partition)

    def write(
        self,
        partition: TopicPartition,
        seen: Mark | None,
        mark: Mark,
        conversations: Mapping[str, Conversation],
        pending: Sequence[Pending],
        keep: timedelta,
    ) -> None:
        before, self.before_write = self.before_write, lambda: None
        before()
        self._memory.write(partition, seen, mark, conversations, pending, keep)
        after, self.after_write = self.after_write, lambda: None
        after()

    def close(self) -> None:
        self._memory.close()
