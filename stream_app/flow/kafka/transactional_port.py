"""A consumer and a producer as a port: outputs and input offsets in one Kafka transaction.

A slot has one owner: opening a session fences older ones and aborts what they left open.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from stream_app.errors import SessionLost
from stream_app.flow.delivery import Offsets, Record
from stream_app.flow.kafka.clients import log, make, raise_if_setup
from stream_app.flow.kafka.port import Aborted, ResumeFrom
from stream_app.flow.kafka.reader_port import ReaderPort, positions

_CALL_S = 5.0  # one try of a transactional call; retriable failures are the same call again


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
        self._producer = make(Producer, self._producer_config | {"error_cb": self._on_error})
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
            self._produce(producer, records)
            self._again(
                producer.send_offsets_to_transaction, positions(offsets), self._reader.consumer_group_metadata()
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

    @staticmethod
    def _produce(producer: Producer, records: Sequence[Record]) -> None:
        produce = producer.produce
        for topic, key, value in records:
            while True:
                try:
                    produce(topic, value, key)
                except BufferError:  # librdkafka's queue is full: let it send
                    producer.poll(0.05)
                else:
                    break

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
