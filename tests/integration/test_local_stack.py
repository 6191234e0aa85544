"""The local stack keeps its promises to whoever kills, restarts or misuses it. Real servers, started here."""

import os
import signal
import subprocess
import sys
import threading
import time
import types
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psycopg2
import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from stream_app.errors import SetupError
from stream_app.local import java
from stream_app.local.kafka import BOOTSTRAP
from stream_app.local.ports import HIGHEST, fixed_port
from stream_app.local.process import Identity, is_alive, tree
from stream_app.local.service import Service
from stream_app.local.stack import Endpoints, LocalStackError, Stack, down, running, up

pytestmark = pytest.mark.services

Store = Callable[[Service, str], None]
Stored = Callable[[Service], list[str]]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture
def detached_home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    down(tmp_path)


def test_every_server_is_ready_for_its_own_client(stack: Stack) -> None:
    admin = AdminClient({"bootstrap.servers": stack.endpoints.kafka})
    assert len(admin.list_topics(timeout=10).brokers) == 1

    with psycopg2.connect(stack.endpoints.database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('TimeZone'), current_setting('shared_preload_libraries')")
        assert cursor.fetchone() == ("UTC", "pg_stat_statements")
        cursor.execute("SELECT datcollate, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'postgres'")
        assert cursor.fetchone() == ("C.UTF-8", "UTF8")
    connection.close()

    with redis.Redis.from_url(stack.endpoints.redis) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("append*ync") == {"appendfsync": "everysec"}


def keep_in_kafka(service: Service, text: str) -> None:
    admin = AdminClient({"bootstrap.servers": service.url})
    for created in admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)]).values():
        created.result(timeout=10)
    producer = Producer({"bootstrap.servers": service.url, "acks": "all"})
    producer.produce("kept", text.encode())
    assert producer.flush(10) == 0


def kept_in_kafka(service: Service) -> list[str]:
    consumer = Consumer(
        {"bootstrap.servers": service.url, "group.id": f"reader-{uuid.uuid4()}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["kept"])
    message = consumer.poll(20)
    consumer.close()
    return [] if message is None or message.error() else [message.value().decode()]


def keep_in_postgres(service: Service, text: str) -> None:
    connection = psycopg2.connect(service.url)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (text text)")
        cursor.execute("INSERT INTO kept VALUES (%s)", (text,))
    connection.close()


def kept_in_postgres(service: Service) -> list[str]:
    connection = psycopg2.connect(service.url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT text FROM kept")
        rows = cursor.fetchall()
    connection.close()
    return [text for (text,) in rows]


def keep_in_redis(service: Service, text: str) -> None:
    with redis.Redis.from_url(service.url) as client:
        client.rpush("kept", text)


def kept_in_redis(service: Service) -> list[str]:
    with redis.Redis.from_url(service.url, decode_responses=True) as client:
        return list(client.lrange("kept", 0, -1))


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "keep", "kept"),
    [
        pytest.param("kafka", keep_in_kafka, kept_in_kafka, id="Kafka keeps an acknowledged record"),
        pytest.param("postgres", keep_in_postgres, kept_in_postgres, id="PostgreSQL keeps a committed row"),
        pytest.param("redis", keep_in_redis, kept_in_redis, id="Redis keeps an answered write"),
    ],
)
def test_a_killed_server_comes_back_with_its_data_on_its_port(
    stack: Stack, name: str, keep: Store, kept: Stored
) -> None:
    service: Service = getattr(stack, name)
    url = service.url
    keep(service, "物流太慢了")

    service.kill()
    assert not service.alive
    service.start()

    assert service.alive
    assert service.url == url
    assert kept(service) == ["物流太慢了"]


def test_a_server_may_be_started_from_a_thread_that_ends(stack: Stack) -> None:
    """The kernel's death signal is tied to the thread that forked: it must not be this one."""
    stack.redis.stop()
    thread = threading.Thread(target=stack.redis.start)
    thread.start()
    thread.join()
    pid = stack.redis.pid

    stack.redis.start()  # nothing to do while it is running

    assert stack.redis.answers()
    assert stack.redis.pid == pid


def test_a_home_has_one_stack_at_a_time(stack: Stack) -> None:
    with pytest.raises(LocalStackError, match="another moodstream stack is using"), Stack(stack.home):
        pass
    assert up(stack.home, fail_if_called) == stack.endpoints, "the running one is found instead"
    assert stack.redis.answers()


def test_up_survives_its_starter_and_a_second_up_finds_the_same_servers(detached_home: Path) -> None:
    ready: dict[str, float] = {}

    endpoints = up(detached_home, ready.__setitem__)

    assert set(ready) == {"kafka", "postgres", "redis"}
    assert running(detached_home) == endpoints
    assert os.getsid(endpoints.pid) != os.getsid(0), "it has left our terminal"
    assert up(detached_home, fail_if_called) == endpoints

    servers = tree(endpoints.pid)
    assert down(detached_home)
    assert running(detached_home) is None
    assert not any(map(is_alive, servers))
    assert not down(detached_home), "there is nothing left to stop"


def test_two_at_a_time_start_one_stack(detached_home: Path) -> None:
    found: list[Endpoints] = []
    threads = [threading.Thread(target=lambda: found.append(up(detached_home, ignore))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert found[0] == found[1]


@pytest.mark.faults
def test_a_killed_supervisor_leaves_no_orphans_and_its_home_can_be_used_again(detached_home: Path) -> None:
    first = up(detached_home, ignore)
    servers = [process for process in tree(first.pid) if process.pid != first.pid]
    assert len(servers) >= 3

    os.kill(first.pid, signal.SIGKILL)

    eventually(lambda: not any(map(is_alive, servers)), "the servers follow their supervisor")
    assert running(detached_home) is None
    second = up(detached_home, ignore)
    assert (second.kafka, second.database, second.redis) == (first.kafka, first.database, first.redis)


@pytest.mark.faults
def test_the_next_up_need_not_wait_for_the_servers_of_a_killed_supervisor(detached_home: Path) -> None:
    first = up(detached_home, ignore)
    os.kill(first.pid, signal.SIGKILL)
    second = up(detached_home, ignore)
    assert (second.kafka, second.database, second.redis) == (first.kafka, first.database, first.redis)


@pytest.mark.faults
@pytest.mark.parametrize("name", ["kafka", "postgres", "redis"])
def test_the_supervisor_starts_a_crashed_server_again(detached_home: Path, name: str) -> None:
    up(detached_home, ignore)
    [before] = recorded_servers(detached_home, name)

    os.kill(before.pid, signal.SIGKILL)

    log = detached_home / "supervisor.log"
    eventually(lambda: "answers again" in log.read_text(), "the supervisor notices and starts it")
    [after] = recorded_servers(detached_home, name)
    assert after != before
    assert is_alive(after)


def test_if_the_starter_gives_up_nothing_is_left_running(detached_home: Path) -> None:
    def interrupted(name: str, seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        up(detached_home, interrupted)

    log = detached_home / "supervisor.log"
    eventually(lambda: "stopped" in log.read_text(), "the supervisor notices that nobody listens any more")
    assert running(detached_home) is None
    assert not any(map(is_alive, recorded_servers(detached_home)))


def test_up_waits_for_a_stack_that_is_still_stopping(detached_home: Path) -> None:
    first = up(detached_home, ignore)
    os.kill(first.pid, signal.SIGTERM)
    eventually(lambda: running(detached_home) is None, "it is leaving")
    assert up(detached_home, ignore).kafka == first.kafka


def test_a_stale_record_of_another_process_is_not_taken_for_a_running_stack(tmp_path: Path) -> None:
    endpoints = Endpoints(kafka="k", database="d", redis="r", pid=os.getpid())
    record = {"endpoints": endpoints, "supervisor": Identity(pid=os.getpid(), started_ticks=1)}
    (tmp_path / "stack.json").write_bytes(msgspec.json.encode(record))
    assert running(tmp_path) is None
    assert not down(tmp_path)


def test_a_home_that_is_a_file_gives_one_readable_sentence(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.touch()
    with pytest.raises(SetupError, match=r"notes\.txt cannot be used as a data folder: .*; set MOODSTREAM_HOME"):
        up(file, fail_if_called)


def test_data_of_another_postgresql_is_refused_in_its_words_and_nothing_is_left_running(detached_home: Path) -> None:
    up(detached_home, ignore)
    down(detached_home)
    (detached_home / "postgres" / "PG_VERSION").write_text("11\n")

    with pytest.raises(LocalStackError, match="PostgreSQL did not start: database files are incompatible with server"):
        up(detached_home, ignore)

    assert running(detached_home) is None
    assert not any(map(is_alive, recorded_servers(detached_home))), "the other two are stopped"


def test_without_a_network_the_two_ways_out_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class UnreachableMaven(types.ModuleType):
        def build(self, coordinates: str) -> None:
            raise ConnectionError("no route to host")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jgo", UnreachableMaven("jgo"))
    with pytest.raises(LocalStackError, match=r"could not be fetched.*MOODSTREAM_KAFKA=host:port.*docker compose up"):
        java.find_java()


def test_the_shipped_bootstrap_checkpoint_is_what_the_formatting_tool_of_this_kafka_writes(
    stack: Stack, tmp_path: Path
) -> None:
    settings = (stack.kafka.folder / "server.properties").read_text()
    configuration = tmp_path / "server.properties"
    configuration.write_text(settings.replace(str(stack.kafka.folder), str(tmp_path)))
    tool = java.find_java().command("-XX:TieredStopAtLevel=1")
    random_id = "MkU3OEVBNTcwNTJENDM2Qg"
    subprocess.run(
        [*tool, "kafka.tools.StorageTool", "format", "-t", random_id, "-c", configuration],
        check=True,
        capture_output=True,
    )

    written = (tmp_path / "data" / "bootstrap.checkpoint").read_bytes()

    assert without_times(BOOTSTRAP.read_bytes()) == without_times(written)
    assert b"metadata.version" in written


def without_times(checkpoint: bytes) -> list[bytes]:
    """The record batches of a snapshot, less their two timestamps and the checksum over them."""
    batches = []
    while checkpoint:
        size = 12 + int.from_bytes(checkpoint[8:12], "big")
        batch, checkpoint = checkpoint[:size], checkpoint[size:]
        batches.append(batch[:17] + batch[21:27] + batch[43:])
    return batches


def test_a_port_is_chosen_once_and_no_outgoing_connection_can_take_it(tmp_path: Path) -> None:
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    port = fixed_port(tmp_path / "port")
    assert fixed_port(tmp_path / "port") == port
    assert port < HIGHEST <= lowest_outgoing


def recorded_servers(home: Path, name: str = "*") -> list[Identity]:
    return [msgspec.json.decode(file.read_bytes(), type=Identity) for file in home.glob(f"{name}.pid")]


def ignore(name: str, seconds: float) -> None:
    pass


def fail_if_called(name: str, seconds: float) -> None:
    raise AssertionError(f"{name} was started")


def eventually(condition: Callable[[], bool], promise: str, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {promise}"
        time.sleep(0.05)
