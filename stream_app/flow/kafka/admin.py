"""Topics and offsets: made, checked, counted."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

from schemas.topics import Topic
from stream_app.errors import NeighbourDown
from stream_app.flow.delivery import Offsets
from stream_app.flow.kafka.clients import connection, explain, for_a_person, make, no_topic
from stream_app.settings import Settings

_CALL_S = 10.0
# A broker has just come or gone and its groups are being handed over, or this is the first group of a new cluster:
# librdkafka does not ask again by itself, or waits where asking again would help.
_COORDINATOR_MOVES = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError._TIMED_OUT,
}
_COORDINATOR_S = 30.0


@dataclass(frozen=True)
class Finding:
    """What is not as `schemas/topics.py` says; `mended` when `create_topics` put it right."""

    topic: str
    what: str
    mended: bool


class Admin:
    """Raises SetupError or NeighbourDown from every method."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._problem: KafkaError | None = None
        self._client = make(AdminClient, connection(settings) | {"error_cb": self._on_error})

    def _on_error(self, error: KafkaError) -> None:
        if self._problem is None or for_a_person(error):
            self._problem = error

    def brokers(self) -> int:
        """How many brokers answer."""
        try:
            return len(self._client.list_topics(timeout=_CALL_S).brokers)
        except KafkaException as failure:
            self._client.poll(0)
            if self._problem is not None:
                raise explain(KafkaException(self._problem), self._settings, "connecting") from failure
            raise explain(failure, self._settings, "connecting") from failure

    def create_topics(self, topics: Iterable[Topic], replication: int = -1) -> list[Finding]:
        """Make what is missing, add partitions that are missing, correct settings. Never removes anything.

        `replication` -1 is the broker's default.
        """
        topics = list(topics)
        existing = self._partitions()
        made = []
        new = [
            NewTopic(t.name, t.partitions, replication_factor=replication, config=t.config())
            for t in topics
            if t.name not in existing
        ]
        if new:
            for name, future in self._client.create_topics(new, operation_timeout=_CALL_S).items():
                try:
                    future.result()
                except KafkaException as failure:
                    if failure.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another `init` was quicker
                        raise explain(failure, self._settings, f"creating topic {name}") from failure
                made.append(Finding(name, "created", True))
            self._until(lambda: {t.topic for t in new} <= self._partitions().keys(), "new topics to be there")
        for topic in topics:
            if 0 < existing.get(topic.name, 0) < topic.partitions:
                wanted = NewPartitions(topic.name, topic.partitions)
                self._wait(self._client.create_partitions([wanted]), f"partitions of {topic.name}")
                made.append(Finding(topic.name, f"{existing[topic.name]} → {topic.partitions} partitions", True))
        return made

    def delete_topics(self, topics: Iterable[Topic]) -> None:
        """Remove those that exist, with all they hold, and wait until they are gone. For tests and demos only."""
        existing = self._partitions()
        doomed = [topic.name for topic in topics if topic.name in existing]
        if doomed:
            self._wait(self._client.delete_topics(doomed, operation_timeout=_CALL_S), "deleting topics")
            self._until(lambda: not set(doomed) & self._partitions().keys(), "deleted topics to be gone")

    def missing(self, topics: Iterable[Topic]) -> list[str]:
        """The names of those that are not there, or that this user may not see. Needs no right but to see them."""
        existing = self._partitions()
        return [topic.name for topic in topics if topic.name not in existing]

    def check_topics(self, topics: Iterable[Topic]) -> list[Finding]:
        """What is missing or differs."""
        topics = list(topics)
        existing = self._partitions()
        findings = [Finding(t.name, "missing: run `moodstream init`", False) for t in topics if t.name not in existing]
        there = [t for t in topics if t.name in existing]
        resources = [ConfigResource(ResourceType.TOPIC, t.name) for t in there]
        configs = self._client.describe_configs(resources, request_timeout=_CALL_S) if resources else {}
        by_name = {resource.name: future for resource, future in configs.items()}
        for topic in there:
            if existing[topic.name] < topic.partitions:
                findings.append(
                    Finding(topic.name, f"{existing[topic.name]} partitions, {topic.partitions} expected", False)
                )
            try:
                actual = by_name[topic.name].result()
            except KafkaException as failure:
                raise explain(failure, self._settings, f"settings of {topic.name}") from failure
            for name, value in topic.config().items():
                if name in actual and actual[name].value != value:
                    findings.append(Finding(topic.name, f"{name} is {actual[name].value}, {value} expected", False))
        return findings

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """The ids Kafka gave these topics: a topic that was deleted and made again has another one."""
        found = {}
        for name, future in self._client.describe_topics(TopicCollection(list(names)), request_timeout=_CALL_S).items():
            try:
                found[name] = str(future.result().topic_id)
            except KafkaException as failure:
                raise explain(failure, self._settings, f"describing {name}") from failure
        return found

    def end_offsets(self, topic: str) -> Offsets:
        """One past the last committed-or-not record of each partition."""
        return {name: high for name, (_, high) in self._watermarks(topic).items()}

    def committed(self, group: str, topic: str) -> Offsets:
        """The group's committed offsets; a partition without one is left out."""
        request = ConsumerGroupTopicPartitions(group, [KafkaPartition(*name) for name in self._watermarks(topic)])
        (future,) = self._client.list_consumer_group_offsets([request], request_timeout=_CALL_S).values()
        try:
            found = future.result().topic_partitions
        except KafkaException as failure:
            if failure.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return {}
            raise explain(failure, self._settings, f"offsets of {group}") from failure
        return {(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def members(self, group: str) -> set[str]:
        """The static ids of the group's members; none where there is no such group."""
        deadline = time.monotonic() + _COORDINATOR_S
        while True:
            (future,) = self._client.describe_consumer_groups([group], request_timeout=_COORDINATOR_S / 10).values()
            try:
                return {member.group_instance_id for member in future.result().members if member.group_instance_id}
            except KafkaException as failure:
                code = failure.args[0].code()
                if code == KafkaError.GROUP_ID_NOT_FOUND:
                    return set()
                if code not in _COORDINATOR_MOVES or time.monotonic() > deadline:
                    raise explain(failure, self._settings, f"members of {group}") from failure
            time.sleep(0.1)

    def lag(self, group: str, topic: str) -> int:
        """Records of the topic the group has not committed yet (transaction markers count as records)."""
        committed = self.committed(group, topic)
        return sum(high - committed.get(name, low) for name, (low, high) in self._watermarks(topic).items())

    # --- the rest is private --------------------------------------------------------------------------------------

    def _partitions(self) -> dict[str, int]:
        self.brokers()
        metadata = self._client.list_topics(timeout=_CALL_S)
        return {
            name: len(topic.partitions)
            for name, topic in metadata.topics.items()
            if topic.error is None and topic.partitions
        }

    def _watermarks(self, topic: str) -> dict[tuple[str, int], tuple[int, int]]:
        count = self._partitions().get(topic)
        if count is None:
            raise no_topic(self._settings, [topic])
        consumer = make(Consumer, connection(self._settings) | {"group.id": "watermarks"})
        try:
            return {
                (topic, number): consumer.get_watermark_offsets(KafkaPartition(topic, number), timeout=_CALL_S)
                for number in range(count)
            }
        except KafkaException as failure:
            raise explain(failure, self._settings, f"offsets of {topic}") from failure
        finally:
            consumer.close()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        """The controller has said yes; the brokers' metadata follows."""
        deadline = time.monotonic() + _CALL_S
        while not condition():
            if time.monotonic() > deadline:
                raise NeighbourDown(f"Kafka at {self._settings.kafka}", f"waited {_CALL_S:.0f} s for {what}")
            time.sleep(0.02)

    def _wait(self, futures: dict[str, object], about: str) -> None:
        for future in futures.values():
            try:
                future.result()  # type: ignore[attr-defined]
            except KafkaException as failure:
                raise explain(failure, self._settings, about) from failure
