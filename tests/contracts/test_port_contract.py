"""What the loop may rely on at its door to Kafka: one suite for the fake and for the real one."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import pytest

from schemas.topics import CHATS, SENTIMENT
from stream_app.errors import SessionLost
from stream_app.flow.delivery import Delivery, Record, first_offsets, next_offsets
from stream_app.flow.kafka.clients import stage_consumer, stage_producer
from stream_app.flow.kafka.port import Port, ResumeFrom
from stream_app.flow.kafka.publisher import Publisher
from stream_app.flow.kafka.reader import read
from stream_app.flow.kafka.transactional_port import TransactionalPort
from stream_app.settings import Settings
from tests.fakes import FakeBroker, FakePort

IN, OUT = CHATS.name, SENTIMENT.name
FIVE = [f"event {number}".encode() for number in range(5)]


class Broker(Protocol):
    def publish(self, topic: str, key: bytes | None, value: bytes | None) -> None: ...
    def values(self, topic: str) -> list[bytes | None]: ...
    def port(self) -> Port: ...


class InMemory(FakeBroker):
    def port(self) -> Port:
        return FakePort(self, [IN])


class Real:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings.model_copy(update={"group": f"contract-{uuid.uuid4().hex[:8]}"})
        self._publisher = Publisher(self._settings)

    def publish(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        self._publisher.send(topic, key, value)
        self._publisher.flush()

    def values(self, topic: str) -> list[bytes | None]:
        return [delivery.value for delivery in read(self._settings, [topic]) if delivery]

    def port(self) -> Port:
        consumer = stage_consumer(self._settings, "contract", 0)
        return TransactionalPort([IN], consumer, stage_producer(self._settings, "contract", 0))


@pytest.fixture(params=["in memory", pytest.param("Apache Kafka", marks=pytest.mark.services)])
def broker(request: pytest.FixtureRequest) -> Broker:
    return InMemory() if request.param == "in memory" else Real(request.getfixturevalue("settings"))


@contextmanager
def opened(broker: Broker, resume_from: ResumeFrom = lambda assigned: {}) -> Iterator[Port]:
    port = broker.port()
    port.open(resume_from)
    try:
        yield port
    finally:
        port.close()


def take(port: Port, count: int) -> list[Delivery]:
    """Poll until `count` deliveries are there."""
    batch: list[Delivery] = []
    deadline = time.monotonic() + 30
    while len(batch) < count and time.monotonic() < deadline:
        batch += port.poll(count - len(batch), 0.05)
    return batch


def values(batch: Sequence[Delivery]) -> list[bytes | None]:
    return [delivery.value for delivery in batch]


@pytest.fixture
def filled(broker: Broker) -> Broker:
    for value in FIVE:
        broker.publish(IN, b"one key, one partition, one order", value)
    return broker


def test_deliveries_of_a_partition_come_in_offset_order(filled: Broker) -> None:
    with opened(filled) as port:
        batch = take(port, 5)

    assert values(batch) == FIVE
    assert [delivery.offset for delivery in batch] == sorted(delivery.offset for delivery in batch)


def test_a_commit_publishes_the_records_and_moves_the_offsets(filled: Broker) -> None:
    with opened(filled) as port:
        batch = take(port, 3)
        port.commit([Record(OUT, b"key", b"first three")], next_offsets(batch))
    assert filled.values(OUT) == [b"first three"]

    with opened(filled) as port:
        assert values(take(port, 2)) == FIVE[3:]


def test_without_a_commit_everything_comes_again(filled: Broker) -> None:
    with opened(filled) as port:
        take(port, 5)
    with opened(filled) as port:
        assert values(take(port, 5)) == FIVE


def test_after_a_rewind_the_same_batch_comes_again(filled: Broker) -> None:
    with opened(filled) as port:
        batch = take(port, 4)
        port.rewind(first_offsets(batch))
        assert values(take(port, 5)) == FIVE


def test_a_stage_that_keeps_its_offsets_decides_where_to_start(filled: Broker) -> None:
    asked: list[tuple[str, int]] = []

    with opened(filled) as port:
        where = take(port, 1)[0]

    def from_the_third(assigned: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        asked.extend(assigned)
        return {(where.topic, where.partition): where.offset + 2}

    with opened(filled, from_the_third) as port:
        assert values(take(port, 3)) == FIVE[2:]
    assert (where.topic, where.partition) in asked


def test_keeping_alive_delivers_nothing_and_loses_nothing(filled: Broker) -> None:
    with opened(filled) as port:
        batch = take(port, 2)
        for _ in range(5):
            port.keep_alive()
        assert port.holds(next_offsets(batch))
        port.commit([], next_offsets(batch))
        assert values(take(port, 3)) == FIVE[2:]


def test_a_closed_port_says_so(broker: Broker) -> None:
    port = broker.port()
    with pytest.raises(SessionLost):
        port.poll(1, 0)
