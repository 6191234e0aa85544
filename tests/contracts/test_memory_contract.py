"""What every alert memory promises, asked of the fake one and of the real one."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
import redis

from stream_app.alerting.memory import Mark, Memory, Pending, RedisMemory
from stream_app.alerting.state import Conversation, Incident, KeptTurn
from stream_app.errors import NeighbourDown, SessionLost, SetupError
from stream_app.local.redis import Redis
from tests.fakes_memory import FakeMemory

WEEK = timedelta(days=7)
P0, P1 = ("sentiment", 0), ("sentiment", 1)
MARK = Mark(next_offset=10, newest_ms=1_700_000_000_000, era="one", writes=1)
MOVED = Mark(next_offset=20, newest_ms=1_700_000_000_500, era="one", writes=2)
ANGRY = Conversation((KeptTurn("e-1", 1_700_000_000_000, 0.9, -0.8, "退款在哪里 {}"),), Incident("i-1", 2))
ALERT = Pending(7, b"customer", b'{"type":"alert_raised"}')

_groups = count()


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Redis]:
    """A server of this test's own, to be harmed."""
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()


Workers = Callable[[], Memory]


@pytest.fixture(params=["fake", pytest.param("valkey", marks=pytest.mark.services)])
def worker(request: pytest.FixtureRequest) -> Iterator[Workers]:
    """Makes the memories of several workers over one empty store."""
    made: list[Memory] = []
    if request.param == "fake":
        fake = FakeMemory()
        yield lambda: FakeMemory(fake.store)
        return
    server: Redis = request.getfixturevalue("valkey")
    group = f"group-{next(_groups)}"

    def connect() -> Memory:
        made.append(RedisMemory(server.url, group))
        return made[-1]

    yield connect
    for memory in made:
        memory.close()


def test_a_partition_never_written_has_no_mark_and_no_conversations(worker: Workers) -> None:
    memory = worker()

    assert memory.read({P0: ["chat:a"]}) == {P0: (None, {})}
    assert memory.pending(P0) == []


def test_what_one_worker_wrote_the_next_one_reads(worker: Workers) -> None:
    worker().write(P0, None, MARK, {"chat:a": ANGRY}, [ALERT], WEEK)

    heir = worker()

    assert heir.read({P0: ["chat:a", "chat:unknown"]}) == {P0: (MARK, {"chat:a": ANGRY})}
    assert heir.pending(P0) == [ALERT]


def test_partitions_do_not_see_each_other(worker: Workers) -> None:
    memory = worker()
    memory.write(P0, None, MARK, {"chat:a": ANGRY}, [ALERT], WEEK)

    assert memory.read({P0: [], P1: ["chat:a"]}) == {P0: (MARK, {}), P1: (None, {})}
    assert memory.pending(P1) == []


def test_a_write_on_an_outdated_mark_is_refused_and_changes_nothing(worker: Workers) -> None:
    owner, zombie = worker(), worker()
    owner.write(P0, None, MARK, {}, [], WEEK)
    owner.write(P0, MARK, MOVED, {"chat:a": ANGRY}, [ALERT], WEEK)

    with pytest.raises(SessionLost, match="another worker has moved the alert memory of sentiment-0"):
        zombie.write(P0, MARK, MOVED, {"chat:a": Conversation(), "chat:b": ANGRY}, [], WEEK)

    assert owner.read({P0: ["chat:a", "chat:b"]}) == {P0: (MOVED, {"chat:a": ANGRY})}
    assert owner.pending(P0) == [ALERT]


def test_a_first_write_is_refused_where_somebody_was_first(worker: Workers) -> None:
    worker().write(P0, None, MARK, {}, [], WEEK)

    with pytest.raises(SessionLost):
        worker().write(P0, None, MARK, {}, [], WEEK)


def test_pending_decisions_are_replaced_as_a_whole(worker: Workers) -> None:
    memory = worker()
    memory.write(P0, None, MARK, {}, [ALERT], WEEK)
    memory.write(P0, MARK, MOVED, {}, [], WEEK)

    assert memory.pending(P0) == []


def test_conversations_of_another_era_are_not_believed(worker: Workers) -> None:
    memory = worker()
    memory.write(P0, None, MARK, {"chat:a": ANGRY, "chat:b": ANGRY}, [], WEEK)
    anew = Mark(next_offset=1, newest_ms=5, era="two", writes=1)
    memory.write(P0, MARK, anew, {"chat:b": ANGRY}, [], WEEK)

    assert memory.read({P0: ["chat:a", "chat:b"]}) == {P0: (anew, {"chat:b": ANGRY})}


def test_ten_thousand_conversations_move_in_one_write(worker: Workers) -> None:
    memory = worker()
    many = {f"chat:{number}": ANGRY for number in range(10_000)}
    memory.write(P0, None, MARK, many, [], WEEK)

    assert memory.read({P0: list(many)})[P0].conversations == many


# --- what only the real one can promise ------------------------------------------------------------------------------


@pytest.mark.services
def test_conversations_expire_and_marks_do_not(valkey: Redis) -> None:
    memory = RedisMemory(valkey.url, "expiring")
    memory.write(P0, None, MARK, {"chat:a": ANGRY}, [ALERT], timedelta(hours=2))
    memory.close()

    with redis.Redis.from_url(valkey.url) as client:
        key = "expiring:alert-1:{sentiment-0}:"
        assert 7190 <= int(client.ttl(key + "chat:a")) <= 7200
        assert client.ttl(key + "mark") == -1
        assert client.ttl(key + "pending") == -1


@pytest.mark.services
def test_a_dead_server_is_a_neighbour_down_and_the_next_call_reconnects(mortal: Redis) -> None:
    memory = RedisMemory(mortal.url, "group")
    memory.write(P0, None, MARK, {"chat:a": ANGRY}, [ALERT], WEEK)

    mortal.kill()
    for call in (
        lambda: memory.read({P0: []}),
        lambda: memory.pending(P0),
        lambda: memory.write(P0, MARK, MOVED, {}, [], WEEK),
        memory.check_config,
    ):
        with pytest.raises(NeighbourDown, match="Redis is not answering"):
            call()

    mortal.start()
    assert memory.read({P0: ["chat:a"]}) == {P0: (MARK, {"chat:a": ANGRY})}
    memory.write(P0, MARK, MOVED, {}, [], WEEK)
    memory.close()


@pytest.mark.services
def test_a_full_server_refuses_the_whole_write(mortal: Redis) -> None:
    memory = RedisMemory(mortal.url, "group")
    memory.write(P0, None, MARK, {"chat:a": ANGRY}, [ALERT], WEEK)
    with redis.Redis.from_url(mortal.url) as client:
        client.config_set("maxmemory", 1)

        with pytest.raises(NeighbourDown, match="used memory > 'maxmemory'"):
            memory.write(P0, MARK, MOVED, {"chat:b": ANGRY}, [], WEEK)

        client.config_set("maxmemory", 0)
    assert memory.read({P0: ["chat:a", "chat:b"]}) == {P0: (MARK, {"chat:a": ANGRY})}
    assert memory.pending(P0) == [ALERT]
    memory.close()


@pytest.mark.services
def test_a_server_that_evicts_is_warned_about(valkey: Redis) -> None:
    memory = RedisMemory(valkey.url, "group")
    with redis.Redis.from_url(valkey.url) as client:
        assert memory.check_config() is None
        client.config_set("maxmemory-policy", "allkeys-lru")
        warning = memory.check_config()
        client.config_set("maxmemory-policy", "noeviction")
    memory.close()

    assert warning == (
        "Redis has maxmemory-policy allkeys-lru and may silently forget open incidents: set it to noeviction"
    )


def test_a_url_that_is_none_is_a_setup_error() -> None:
    with pytest.raises(SetupError, match="the Redis URL must be"):
        RedisMemory("localhost:6379", "group")
