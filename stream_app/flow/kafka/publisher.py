"""An idempotent producer: for `moodstream publish`, `replay`, labels and everything outside a transaction."""

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream_app.errors import NeighbourDown
from stream_app.flow.kafka.clients import connection, explain, for_a_person, make, raise_if_setup
from stream_app.settings import Settings


class Publisher:
    """Sends in the background; nothing counts as published before `flush` has returned.

    Raises SetupError or NeighbourDown from `send` and `flush`, as soon as one delivery has failed for good.
    """

    def __init__(self, settings: Settings, *, compression: str = "lz4", patience_s: float = 30.0) -> None:
        self._settings = settings
        self._failed: KafkaError | None = None
        self._refused: KafkaError | None = None
        self._producer = make(
            Producer,
            connection(settings)
            | {
                "enable.idempotence": True,
                "compression.type": compression,
                "linger.ms": 5,
                "message.max.bytes": 8 * 1024 * 1024,
                "message.timeout.ms": int(patience_s * 1000),
                "error_cb": self._on_error,
            },
        )
        self.delivered = 0

    def send(self, topic: str, key: bytes | None, value: bytes | None, timestamp_ms: int = 0) -> None:
        """Hand one message over; blocks while the queue is full. `timestamp_ms` 0 is now."""
        while True:
            self._raise_failure(topic)
            try:
                self._producer.produce(topic, value, key, timestamp=timestamp_ms, on_delivery=self._on_delivery)
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as failure:
                raise explain(failure, self._settings, f"publishing to {topic}") from failure
            else:
                self._producer.poll(0)
                return

    def flush(self) -> None:
        """Until every message was acknowledged by all replicas in sync, or one failed."""
        while self._producer.flush(1.0):
            self._raise_failure("the topic")
        self._raise_failure("the topic")

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.delivered += 1
        else:
            self._failed = error

    def _on_error(self, error: KafkaError) -> None:
        if for_a_person(error):
            self._refused = error

    def _raise_failure(self, topic: str) -> None:
        if self._refused is not None:
            error, self._refused = self._refused, None
            raise_if_setup(error, f"publishing to {topic}")
        if self._failed is not None:
            raise_if_setup(self._failed, f"publishing to {topic}")
            raise NeighbourDown(f"Kafka at {self._settings.kafka}", f"publishing to {topic}: {self._failed.str()}")
