"""Settings → librdkafka configuration, and librdkafka's errors → the branch of our tree they hang on.

Values that are not librdkafka's defaults were measured on Apache Kafka 4.1 with confluent-kafka 2.16.1; the reasons
stand beside them.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from stream_app.errors import NeighbourDown, SetupError
from stream_app.settings import Settings

log = logging.getLogger("moodstream.kafka")

Client = TypeVar("Client")

# Only a person can mend these: rights and passwords.
_RIGHTS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "no right on a topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "no right on the consumer group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "no right on the cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "no right on the transactional id",
    KafkaError.SASL_AUTHENTICATION_FAILED: "user or password refused",
    KafkaError._AUTHENTICATION: "user or password refused",
}
_AWAY = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT}
_MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}


def connection(settings: Settings) -> dict[str, Any]:
    """What every client needs to reach the brokers."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka,
        "security.protocol": settings.kafka_security_protocol,
        "log_level": 2,  # while a broker is down each client logs 20 lines a second; `Outage` says it once
        "reconnect.backoff.max.ms": 2000,
        "socket.keepalive.enable": True,
    }
    if settings.kafka_security_protocol.startswith("SASL"):
        config |= {
            "sasl.mechanism": settings.kafka_sasl_mechanism,
            "sasl.username": settings.kafka_username,
            "sasl.password": settings.kafka_password.get_secret_value(),
        }
    if settings.kafka_ca_file:
        config["ssl.ca.location"] = str(settings.kafka_ca_file)
    return config


def make(kind: Callable[..., Client], config: Mapping[str, Any]) -> Client:
    """A Consumer, Producer or AdminClient. Raises SetupError when librdkafka refuses the settings."""
    try:
        return kind(dict(config), logger=log)
    except KafkaException as failure:  # a certificate that is none, …
        raise SetupError(f"Kafka's client refuses its settings: {failure.args[0].str()}") from failure


def stage_consumer(settings: Settings, stage: str, slot: int) -> dict[str, Any]:
    """A stage's consumer: static member, read committed, offsets moved by us alone."""
    return connection(settings) | {
        "group.id": f"{settings.group}-{stage}",
        # A stable member id brings a killed worker's partitions back in 2–4.5 s; random ids take 9–11 s.
        "group.instance.id": f"{settings.group}-{stage}-{slot}",
        "client.id": f"{settings.group}-{stage}-{slot}",
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 1000,
        "partition.assignment.strategy": "cooperative-sticky",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 100,  # 10 ms is worse: p99 80 → 549 ms
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": 16 * 1024,  # bounds memory by bytes, a partition
    }


def stage_producer(settings: Settings, stage: str, slot: int) -> dict[str, Any]:
    """A stage's transactional producer, fenced by its slot."""
    return connection(settings) | {
        "transactional.id": f"{settings.group}-{stage}-{slot}",
        "client.id": f"{settings.group}-{stage}-{slot}",
        "transaction.timeout.ms": settings.transaction_timeout_ms,
        "retry.backoff.ms": 10,  # the default 100 more than doubles the two-hop p99 (80 → 215 ms)
        "linger.ms": 2,
        "compression.type": "lz4",  # 14.1 → 3.3 MB per 100k events; zstd is smaller and slower
        "message.max.bytes": 8 * 1024 * 1024,  # a dead letter holds a whole raw message in base64
        "queue.buffering.max.kbytes": 256 * 1024,
    }


def for_a_person(error: KafkaError) -> bool:
    """Whether no retry mends this. What follows it ("all brokers are down") must not hide it."""
    return error.code() in _RIGHTS


def raise_if_setup(error: KafkaError, about: str) -> None:
    """Raise SetupError where only a person can mend it; otherwise return."""
    if (what := _RIGHTS.get(error.code())) is not None:
        raise SetupError(f"Kafka refuses {about}: {what} ({error.str()})")
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        raise SetupError(f"Kafka refuses {about}: a message is too large for its topic; see `moodstream check`")
    if error.code() in _MISSING:
        raise SetupError(f"Kafka has no topic for {about}: run `moodstream init` ({error.str()})")


def explain(failure: KafkaException, settings: Settings, about: str) -> SetupError | NeighbourDown:
    """The failure of a command's Kafka call, as an error with one readable line."""
    error: KafkaError = failure.args[0]
    try:
        raise_if_setup(error, about)
    except SetupError as mistake:
        return mistake
    return NeighbourDown(f"Kafka at {settings.kafka}", f"{about}: {error.str()}")


def no_topic(settings: Settings, names: Iterable[str]) -> SetupError:
    """To Kafka, a topic that one may not see is one that does not exist."""
    what = f"Kafka at {settings.kafka} has no topic {', '.join(names)}"
    return SetupError(f"{what}: run `moodstream init`, or give this user its rights")


class Outage:
    """Says that Kafka is away when it begins and every `every_s` while it lasts, not 20 times a second."""

    def __init__(self, every_s: float = 10.0) -> None:
        self._every_s = every_s
        self._quiet_until = 0.0

    def is_one(self, error: KafkaError) -> bool:
        """Whether this error only means "not answering"; then it was logged, if it was time."""
        if error.code() not in _AWAY:
            return False
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + self._every_s
            log.warning("Kafka is not answering: %s", error.str())
        return True
