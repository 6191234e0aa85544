"""Apache Kafka itself: one node that is broker and controller, on a small heap."""

import base64
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from stream_app.local.java import KAFKA_VERSION, Java, find_java
from stream_app.local.ports import fixed_port
from stream_app.local.probes import kafka_answers
from stream_app.local.service import Service

# Small and quick to start: 1.1 s with the class cache and 2.3 s without, against 4 s with Java's defaults.
JVM = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
)
QUIET = ("-Xlog:disable", "-Xlog:all=error:stderr")  # the JVM's remarks about classes that it cannot cache
# The feature levels of a new cluster, as this version's formatting tool writes them; a test compares the two.
BOOTSTRAP = Path(__file__).with_name("data") / f"kafka-{KAFKA_VERSION}.bootstrap.checkpoint"
MESSAGE_MAX_BYTES = 8 * 2**20


class Kafka(Service):
    name = "kafka"
    title = "Apache Kafka"
    stop_timeout_s = 60.0  # a stop takes 0.3 s, but the one that writes the class cache 5 s and more

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._java: Java | None = None
        self._recording = False

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        self._java = find_java()
        self._configuration.write_text(self._settings())
        if not (self._data / "meta.properties").exists():
            self._format()

    def command(self) -> list[str | Path]:
        self._java = java = self._java or find_java()
        return [*java.command(*JVM, *self._class_cache_flags(java)), "kafka.Kafka", self._configuration]

    def answers(self) -> bool:
        return kafka_answers(self.port)

    def start(self) -> float:
        seconds = super().start()
        self._recording = self._class_cache_is_missing()  # of a run that got this far, not of a start that failed
        return seconds

    def stop(self) -> None:
        super().stop()
        if self._recording:
            self._keep_class_cache()

    def kill(self) -> None:
        self._recording = False  # what it was writing may be half a cache
        super().kill()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _class_cache_draft(self) -> Path:
        return self.folder / "classes.aot"

    @property
    def _configuration(self) -> Path:
        return self.folder / "server.properties"

    def _settings(self) -> str:
        controller_port = fixed_port(self.home / "kafka-controller.port")
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self._data,
            # Rights are asked for, and everybody has them until an ACL says otherwise: the tests refuse some.
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "auto.create.topics.enable": "false",
            "message.max.bytes": MESSAGE_MAX_BYTES,
            # One node, and few partitions for its internal topics: each costs files and start time.
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            # A consumer group of one need not wait for others to join.
            "group.initial.rebalance.delay.ms": 0,
            # A dead worker's open transaction hides later records: look for it every second, not every ten.
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
            # Back 6 s after a kill -9 instead of 13: the controller lets a broker in once its old session has ended.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            # 4 MiB instead of 128: it bounds how many keys one compaction holds, and here there are few.
            "log.cleaner.dedupe.buffer.size": 4 * 2**20,
        }
        return _properties(settings)

    def _format(self) -> None:
        """What `kafka-storage format` writes, without its Java (1.6 s, twice that on a busy machine)."""
        self._data.mkdir(exist_ok=True)
        shutil.copyfile(BOOTSTRAP, self._data / "bootstrap.checkpoint")
        properties = {"version": 1, "node.id": 1, "cluster.id": _random_id(), "directory.id": _random_id()}
        # Last, since it marks the folder as formatted.
        (self._data / "meta.properties").write_text(_properties(properties))

    def _class_cache_flags(self, java: Java) -> list[str]:
        """Use the ahead-of-time cache of classes (65 MB); where there is none, this run writes it as it stops."""
        if java.class_cache is None:
            return []
        if self._class_cache_is_missing():
            return [f"-XX:AOTCacheOutput={self._class_cache_draft}", *QUIET]
        return [f"-XX:AOTCache={java.class_cache}", *QUIET]

    def _class_cache_is_missing(self) -> bool:
        return self._java is not None and self._java.class_cache is not None and not self._java.class_cache.exists()

    def _keep_class_cache(self) -> None:
        """For every stack of this user from now on: a reader never sees half of it."""
        self._recording = False
        if self._java and self._java.class_cache and self._class_cache_draft.exists():
            draft = self._java.class_cache.with_suffix(f".{os.getpid()}.draft")
            shutil.copyfile(self._class_cache_draft, draft)
            draft.replace(self._java.class_cache)
            self._class_cache_draft.unlink()


def _properties(values: Mapping[str, object]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _random_id() -> str:
    """A UUID as Kafka writes it."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
