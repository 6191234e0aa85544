"""Neighbours in memory. Each passes the contract suite of the real one (tests/contracts)."""

from collections.abc import Callable, Sequence

from stream_app.errors import SessionLost
from stream_app.flow.delivery import Delivery, Offsets, Record, Settled, TopicPartition
from stream_app.flow.kafka.port import ResumeFrom


class FakeBroker:
    """A cluster of lists: topics with one list a partition, and committed offsets a group."""

    def __init__(self, partitions: int = 2) -> None:
        self.partitions = partitions
        self.logs: dict[TopicPartition, list[Delivery]] = {}
        self.committed: dict[str, Offsets] = {}

    def publish(
        self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int = 1_700_000_000_000
    ) -> None:
        partition = sum(key or b"") % self.partitions
        log = self.logs.setdefault((topic, partition), [])
        log.append(Delivery(topic, partition, len(log), timestamp_ms, key, value))

    def values(self, topic: str) -> list[bytes | None]:
        return [d.value for (name, _), log in sorted(self.logs.items()) if name == topic for d in log]


class FakePort:
    """Satisfies `Port` over a FakeBroker.

    `fail_next(error)` makes the next commit fail with nothing done; `on_idle` is called when a poll finds nothing.
    """

    def __init__(self, broker: FakeBroker, topics: Sequence[str], group: str = "group") -> None:
        self._broker = broker
        self._topics = topics
        self._group = group
        self._failures: list[Exception] = []
        self._positions: Offsets = {}
        self._revoked: set[TopicPartition] = set()
        self._open = False
        self.kept_alive = 0
        self.on_idle: Callable[[], None] = lambda: None

    def fail_next(self, *failures: Exception) -> None:
        self._failures += failures

    def revoke(self, partition: TopicPartition) -> None:
        self._revoked.add(partition)
        self._positions.pop(partition, None)

    def open(self, resume_from: ResumeFrom) -> None:
        committed = self._broker.committed.setdefault(self._group, {})
        assigned = [(topic, number) for topic in self._topics for number in range(self._broker.partitions)]
        starts = resume_from(assigned)
        self._positions = {name: starts.get(name, committed.get(name, 0)) for name in assigned}
        self._revoked = set()
        self._open = True

    def joined(self) -> bool:
        return self._open

    def poll(self, most: int, wait_s: float) -> list[Delivery]:
        if not self._open:
            raise SessionLost("the port is closed")
        self._revoked.clear()
        batch: list[Delivery] = []
        for name, position in self._positions.items():
            taken = self._broker.logs.get(name, [])[position : position + most - len(batch)]
            self._positions[name] = position + len(taken)
            batch += taken
        if not batch:
            self.on_idle()
        return batch

    def holds(self, offsets: Offsets) -> bool:
        return not self._revoked & offsets.keys()

    def commit(self, records: Sequence[Record], offsets: Offsets) -> None:
        if self._failures:
            raise self._failures.pop(0)
        for topic, key, value in records:
            self._broker.publish(topic, key, value)
        self._broker.committed.setdefault(self._group, {}).update(offsets)

    def rewind(self, first: Offsets) -> None:
        self._positions.update({name: offset for name, offset in first.items() if name in self._positions})

    def keep_alive(self) -> None:
        self.kept_alive += 1

    def close(self) -> None:
        self._open = False


class EchoStage:
    """Sends every value on to the topic `out`."""

    name = "echo"
    inputs = ("in",)

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.closed = False

    def settle(self, batch: Sequence[Delivery]) -> Settled:
        self.batches.append(len(batch))
        return Settled([Record("out", delivery.key, delivery.value or b"") for delivery in batch])

    def resume_from(self, assigned: Sequence[TopicPartition]) -> Offsets:
        return {}

    def close(self) -> None:
        self.closed = True
