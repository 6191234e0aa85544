"""The loop's door to Kafka: what it needs (Port), and the two ways to keep the promise behind it.

- TransactionalPort: outputs and input offsets in one Kafka transaction. For stages from Kafka to Kafka.
- ReaderPort: the stage keeps its offsets itself, in the same database transaction as its rows; Kafka is told
  afterwards, so that lag tools work.

Definitions, used everywhere below: a partition is *held* from the moment it is assigned until it is revoked or lost; a
batch is *lost* when one of its partitions was revoked after it was polled, even if it came back since.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from stream_app.errors import SessionLost
from stream_app.flow.delivery import Delivery, Offsets, Record, TopicPartition
from stream_app.flow.kafka.clients import Outage, raise_if_setup

log = logging.getLogger("moodstream.kafka")

BATCH_BYTES = 32 * 1024 * 1024  # a batch ends here however few events it has: 2,000 messages of 1 MB must not fit
_CHUNK = 500  # messages a librdkafka call hands over, so that the byte bound is looked at in time
_CALL_S = 5.0  # one try of a transactional call; retriable failures are the same call again

ResumeFrom = Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]]


class Aborted(Exception):
    """The transaction was aborted: nothing of the batch happened. Rewind and take it again."""


class Port(Protocol):
    """One session with Kafka, from `open` to `close`, used by one thread.

    Any method may raise SessionLost (close and open again: reading goes on from what was committed) or SetupError.
    """

    def open(self, resume_from: ResumeFrom) -> None:
        """Join the group. `resume_from` is asked at each assignment where to start; see Stage."""
        ...

    def joined(self) -> bool:
        """Whether the group has assigned this member its partitions, possibly none, since `open`."""
        ...

    def poll(self, most: int, wait_s: float) -> list[Delivery]:
        """The next deliveries, at most `most`, waiting at most `wait_s` for a first and again for company."""
        ...

    def holds(self, offsets: Offsets) -> bool:
        """Whether every partition here has been held without interruption since the last poll returned."""
        ...

    def commit(self, records: Sequence[Record], offsets: Offsets) -> None:
        """Publish the records and move the offsets: both or neither. Raises Aborted when neither happened."""
        ...

    def rewind(self, first: Offsets) -> None:
        """Deliver again from these offsets, in the partitions still held."""
        ...

    def keep_alive(self) -> None:
        """Stay a member of the group during a long batch; delivers nothing."""
        ...

    def close(self) -> None:
        """Leave. An open transaction is left to its timeout or to this slot's next session, which aborts it."""
        ...


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
        self._consumer = Consumer(self._config | {"error_cb": self._on_error}, logger=log)
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
        if self._revoked:  # a rebalance inside this poll: what it took away is not ours to process
            deliveries = [d for d in deliveries if (d.topic, d.partition) not in self._revoked]
        return deliveries

    def holds(self, offsets: Offsets) -> bool:
        return not (self._revoked & offsets.keys())

    def commit(self, records: Sequence[Record], offsets: Offsets) -> None:
        if records:
            raise ValueError("a reading port publishes nothing")
        try:
            self._reader.commit(offsets=_positions(offsets), asynchronous=True)
        except KafkaException as failure:  # only lag tools would notice: the truth is in the database
            log.warning("offsets not shown to Kafka: %s", failure.args[0].str())
        self._resume()

    def rewind(self, first: Offsets) -> None:
        for delivery in self._carry:
            first = {(delivery.topic, delivery.partition): delivery.offset} | first
        self._carry = []
        self._resume()
        try:
            for partition, offset in first.items():
                if partition in self._held and partition not in self._revoked:
                    self._reader.seek(KafkaPartition(*partition, offset))
        except KafkaException as failure:
            raise SessionLost(f"seek: {failure.args[0].str()}") from failure

    def keep_alive(self) -> None:
        reader = self._reader
        reader.pause(reader.assignment())
        message = reader.poll(0)
        if message is not None:
            self._carry.extend(self._good([message]))
        reader.pause(reader.assignment())  # a rebalance inside poll may have brought partitions that are not paused
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


class TransactionalPort(ReaderPort):
    """Outputs and input offsets in one Kafka transaction; a slot has one owner, older ones are fenced."""

    def __init__(
        self, topics: Sequence[str], consumer: Mapping[str, Any], producer: Mapping[str, Any], give_up_s: float = 60.0
    ) -> None:
        super().__init__(topics, consumer)
        self._producer_config = dict(producer)
        self._give_up_s = give_up_s
        self._producer: Producer | None = None

    def open(self, resume_from: ResumeFrom) -> None:
        self._client_error = None
        self._producer = Producer(self._producer_config | {"error_cb": self._on_error}, logger=log)
        try:
            self._again(self._producer.init_transactions)  # fences and aborts the dead predecessor of this slot
        except KafkaException as failure:
            raise_if_setup(failure.args[0], "opening a transaction")
            raise SessionLost(f"init_transactions: {failure.args[0].str()}") from failure
        super().open(resume_from)

    def commit(self, records: Sequence[Record], offsets: Offsets) -> None:
        producer = self._writer
        try:
            producer.begin_transaction()
            for topic, key, value in records:
                self._produce(topic, key, value)
            self._again(
                producer.send_offsets_to_transaction, _positions(offsets), self._reader.consumer_group_metadata()
            )
            self._again(producer.commit_transaction)
        except KafkaException as failure:
            error: KafkaError = failure.args[0]
            raise_if_setup(error, "writing a transaction")
            if not error.txn_requires_abort():  # _FENCED: the transaction timed out, or the slot has another owner
                raise SessionLost(f"transaction: {error.str()}") from failure
            try:
                self._again(producer.abort_transaction)
            except KafkaException as second:
                raise SessionLost(f"abort: {second.args[0].str()}") from second
            raise Aborted(error.str()) from failure
        self._resume()

    def close(self) -> None:
        super().close()
        self._producer = None  # not flushed: see Port.close

    @property
    def _writer(self) -> Producer:
        if self._producer is None:
            raise SessionLost("the port is closed")
        return self._producer

    def _produce(self, topic: str, key: bytes | None, value: bytes) -> None:
        while True:
            try:
                self._writer.produce(topic, value, key)
            except BufferError:  # librdkafka's queue is full: let it send
                self._writer.poll(0.05)
            else:
                return

    def _again(self, call: Callable[..., Any], *arguments: Any) -> None:
        """The same call until it is through: librdkafka's transactional calls resume where they stopped."""
        deadline = time.monotonic() + self._give_up_s
        while True:
            try:
                call(*arguments, _CALL_S)
            except KafkaException as failure:
                error: KafkaError = failure.args[0]
                if self._client_error is not None:
                    raise_if_setup(self._client_error, "this worker")
                if not error.retriable():
                    raise
                if time.monotonic() > deadline:
                    raise SessionLost(f"{call.__name__}: {error.str()} for {self._give_up_s:.0f} s") from failure
                if not self._outage.is_one(error):
                    log.warning("again: %s: %s", call.__name__, error.str())
            else:
                return


def _positions(offsets: Offsets) -> list[KafkaPartition]:
    return [KafkaPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
