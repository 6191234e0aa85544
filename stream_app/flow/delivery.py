"""What moves through the flow: a delivery comes in, records go out, and every hand-over has a type."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message as Kafka delivered it. The position and the timestamp travel with it and are never re-derived.

    `timestamp_ms` is the broker's record timestamp (UTC epoch milliseconds).
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Record(NamedTuple):
    """One message to publish."""

    topic: str
    key: bytes | None
    value: bytes


class Settled(NamedTuple):
    """A batch in which every delivery has become an output or a dead letter: it may be committed.

    `records` are to be published in the same transaction that moves the input offsets.
    """

    records: Sequence[Record]


TopicPartition = tuple[str, int]
Offsets = dict[TopicPartition, int]


def first_offsets(batch: Sequence[Delivery]) -> Offsets:
    """Where each partition of the batch begins: the place to seek back to when the batch did not go through."""
    first: Offsets = {}
    for delivery in batch:
        first.setdefault((delivery.topic, delivery.partition), delivery.offset)
    return first


def next_offsets(batch: Sequence[Delivery]) -> Offsets:
    """The offsets to commit once the batch is settled: one past the last of each partition."""
    return {(delivery.topic, delivery.partition): delivery.offset + 1 for delivery in batch}
