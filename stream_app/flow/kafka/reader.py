"""A topic as an iterator of deliveries: for people (`tail`, `trace`), for `replay` and for tests.

Joins no group and commits nothing; reads committed records only.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from stream_app.flow.delivery import Delivery
from stream_app.flow.kafka.clients import connection, explain, make, no_topic, raise_if_setup
from stream_app.settings import Settings

_CALL_S = 10.0


def read(
    settings: Settings,
    topics: Sequence[str],
    *,
    since: datetime | None = None,
    from_end: bool = False,
    follow: bool = False,
    idle: float = 0.2,
) -> Iterator[Delivery | None]:
    """Every committed record of these topics, oldest first within a partition, up to what was there at the start.

    `since` skips records with an earlier broker timestamp; `from_end` starts at the end; `follow` never ends and yields
    None whenever nothing came for `idle` seconds, so that the caller can look at its clock.
    Raises SetupError (no such topic, no rights) or NeighbourDown.
    """
    consumer = make(
        Consumer,
        connection(settings)
        | {
            "group.id": f"{settings.group}-reader",  # required by librdkafka; with assign() no group is joined
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
        },
    )
    try:
        starts = _starts(consumer, settings, topics, since, from_end)
        consumer.assign(starts)
        open_partitions = {(p.topic, p.partition) for p in starts}
        last = time.monotonic()
        while follow or open_partitions:
            messages = consumer.consume(1000, idle if follow else 0.5)
            for message in messages:
                if (error := message.error()) is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        open_partitions.discard((message.topic(), message.partition()))
                        continue
                    raise_if_setup(error, f"reading {message.topic()}")
                    continue
                yield Delivery(
                    message.topic(),
                    message.partition(),
                    message.offset(),
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                )
                last = time.monotonic()
            if follow and time.monotonic() - last >= idle:
                yield None
    except KafkaException as failure:
        raise explain(failure, settings, f"reading {', '.join(topics)}") from failure
    finally:
        consumer.close()


def fetch(settings: Settings, topic: str, partition: int, offset: int) -> Delivery | None:
    """The record at this position, or None when it is gone (retention) or not there yet."""
    consumer = make(
        Consumer,
        connection(settings)
        | {
            "group.id": f"{settings.group}-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        },
    )
    try:
        low, high = consumer.get_watermark_offsets(KafkaPartition(topic, partition), timeout=_CALL_S)
        if not low <= offset < high:
            return None
        consumer.assign([KafkaPartition(topic, partition, offset)])
        message = consumer.poll(_CALL_S)
        if message is None or message.error() or message.offset() != offset:
            return None
        return Delivery(topic, partition, offset, message.timestamp()[1], message.key(), message.value())
    except KafkaException as failure:
        raise explain(failure, settings, f"reading {topic}") from failure
    finally:
        consumer.close()


def _starts(
    consumer: Consumer, settings: Settings, topics: Sequence[str], since: datetime | None, from_end: bool
) -> list[KafkaPartition]:
    known = consumer.list_topics(timeout=_CALL_S).topics
    if missing := [topic for topic in topics if topic not in known or known[topic].error]:
        raise no_topic(settings, missing)
    partitions = [KafkaPartition(topic, number) for topic in topics for number in known[topic].partitions]
    if from_end:
        return [KafkaPartition(p.topic, p.partition, OFFSET_END) for p in partitions]
    if since is not None:
        stamp = int(since.timestamp() * 1000)
        wanted = [KafkaPartition(p.topic, p.partition, stamp) for p in partitions]
        return list(consumer.offsets_for_times(wanted, timeout=_CALL_S))
    return [KafkaPartition(p.topic, p.partition, 0) for p in partitions]
