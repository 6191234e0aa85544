"""A consumer as a port, for a stage that keeps its offsets itself, in the same database transaction as its rows.

Kafka is told the offsets afterwards, so that lag tools work. Also the consuming half of TransactionalPort.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from stream_app.errors import SessionLost
from stream_app.flow.delivery import Delivery, Offsets, Record, TopicPartition
from stream_app.flow.kafka.clients import Outage, log, make, raise_if_setup
from stream_app.flow.kafka.port import ResumeFrom

BATCH_BYTES = 32 * 1024 * 1024  # a batch ends here however few events it has: 2,000 messages of 1 MB must not fit
_CHUNK = 500  # messages a librdkafka call hands over, so that the byte bound is looked at in time


class ReaderPort:
    """A consumer whose offsets the stage keeps; also the consuming half of TransactionalPort."""

    def __init__(self, topics: Sequence[str], consumer: Mapping[str, Any]) -> None:
        self._topics = list(topics)
        self._config = dict(consumer)
        self._held: set[TopicPartition] = set()
        self._revoked: set[TopicPartition] = set()
        self._carry: list[Delivery] = []
        self._paused = False
        self._joined = False
        self._client_error: KafkaError | None = None
        self._outage = Outage()
        self._resume_from: ResumeFrom = lambda _: {}
        self._consumer: Consumer | None = None

    def open(self, resume_from: ResumeFrom) -> None:
        self._held, self._revoked, self._carry, self._paused, self._joined = set(), set(), [], False, False
        self._client_error = None
        self._resume_from = resume_from
        self._consumer = make(Consumer, self._config | {"error_cb": self._on_error})
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def joined(self) -> bool:
        return self._joined

    def poll(self, most: int, wait_s: float) -> list[Delivery]:
        self._revoked.clear()
        deliveries, self._carry = self._carry, []
        size = sum(len(delivery.value or b"") for delivery in deliveries)
        # 1. a first message, however long it takes; 2. company for it, no longer than wait_s
        if not deliveries:
            size += self._take(deliveries, 1, 0.25)
        deadline = time.monotonic() + wait_s
        while deliveries and len(deliveries) < most and size < BATCH_BYTES:
            left = deadline - time.monotonic()
            before = len(deliveries)
            size += self._take(deliveries, min(_CHUNK, most - before), max(left, 0))
            if left <= 0 or len(deliveries) == before:
                break
        # A rebalance inside this poll. What it took away is not ours to process; of a partition that came back at once
        # (a worker that was frozen rejoins in milliseconds) the old deliveries and the new cannot be told apart.
        if back := self._revoked & self._held:
            raise SessionLost(f"{len(back)} partitions were lost and given back within one poll")
        if self._revoked:
            deliveries = [d for d in deliveries if (d.topic, d.partition) not in self._revoked]
        return deliveries

    def holds(self, offsets: Offsets) -> bool:
        return not (self._revoked & offsets.keys())

    def commit(self, records: Sequence[Record], offsets: Offsets) -> None:
        if records:
            raise ValueError("a reading port publishes nothing")
        try:
            self._reader.commit(offsets=positions(offsets), asynchronous=True)
        except KafkaException as failure:  # only lag tools would notice: the truth is in the database
            log.warning("offsets not shown to Kafka: %s", failure.args[0].str())
        self._resume()

    def rewind(self, first: Offsets) -> None:
        # Of a partition that went and came back, the batch's offsets are the old owner's; what is carried is the new's.
        targets = {name: offset for name, offset in first.items() if name in self._held and name not in self._revoked}
        for delivery in self._carry:
            targets.setdefault((delivery.topic, delivery.partition), delivery.offset)
        self._carry = []
        self._resume()
        try:
            for name, offset in targets.items():
                self._reader.seek(KafkaPartition(*name, offset))
        except KafkaException as failure:
            raise SessionLost(f"seek: {failure.args[0].str()}") from failure

    def keep_alive(self) -> None:
        reader = self._reader
        try:
            reader.pause(reader.assignment())
            message = reader.poll(0)
            if message is not None:
                self._carry.extend(self._good([message]))
            reader.pause(reader.assignment())  # a rebalance inside poll may have brought partitions that are not paused
        except KafkaException as failure:
            raise SessionLost(f"pause: {failure.args[0].str()}") from failure
        self._paused = True

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    # --- the rest is private --------------------------------------------------------------------------------------

    @property
    def _reader(self) -> Consumer:
        if self._consumer is None:
            raise SessionLost("the port is closed")
        return self._consumer

    def _take(self, into: list[Delivery], most: int, wait_s: float) -> int:
        """Append good messages; the bytes they hold."""
        taken = self._good(self._reader.consume(most, wait_s))
        into.extend(taken)
        return sum(len(delivery.value or b"") for delivery in taken)

    def _good(self, messages: Sequence[Message]) -> list[Delivery]:
        deliveries = []
        for message in messages:
            error = message.error()
            if error is None:
                deliveries.append(
                    Delivery(
                        message.topic(),
                        message.partition(),
                        message.offset(),
                        message.timestamp()[1],
                        message.key(),
                        message.value(),
                    )
                )
            else:
                self._react(error)
        if self._client_error is not None:
            error, self._client_error = self._client_error, None
            self._react(error)
        return deliveries

    def _react(self, error: KafkaError) -> None:
        raise_if_setup(error, f"reading {', '.join(self._topics)}")
        # A consumed _FATAL says fatal() == False, and the consumer is silent for ever after.
        if error.fatal() or error.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID):
            raise SessionLost(f"consumer: {error.str()}")
        if error.code() != KafkaError._PARTITION_EOF and not self._outage.is_one(error):
            log.warning("consumer: %s", error.str())

    def _on_error(self, error: KafkaError) -> None:
        """Runs inside poll: a wrong password shows up here and nowhere else."""
        if not self._outage.is_one(error):
            self._client_error = error

    def _on_assign(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        names = [(p.topic, p.partition) for p in partitions]
        self._held.update(names)
        self._joined = True
        starts = self._resume_from(names) if names else {}
        consumer.incremental_assign(
            [
                KafkaPartition(*name, starts[name]) if name in starts else p
                for name, p in zip(names, partitions, strict=True)
            ]
        )

    def _on_revoke(self, _: Consumer, partitions: list[KafkaPartition]) -> None:
        gone = {(p.topic, p.partition) for p in partitions}
        self._held -= gone
        self._revoked |= gone
        self._carry = [d for d in self._carry if (d.topic, d.partition) in self._held]

    def _resume(self) -> None:
        if self._paused:
            self._reader.resume(self._reader.assignment())
            self._paused = False


def positions(offsets: Offsets) -> list[KafkaPartition]:
    """As librdkafka wants them."""
    return [KafkaPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
