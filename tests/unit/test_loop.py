"""The three promises of the loop, on a broker in memory."""

import threading
from collections.abc import Sequence

import pytest

from stream_app.errors import NeighbourDown, ScorerBroken, SessionLost
from stream_app.flow.delivery import Delivery, Settled
from stream_app.flow.kafka.port import Aborted
from stream_app.flow.loop import Loop, _next_size
from stream_app.flow.watchdog import Watchdog
from tests.fakes import EchoStage, FakeBroker, FakePort

EVENTS = [f"event {number}".encode() for number in range(10)]


@pytest.fixture
def broker() -> FakeBroker:
    broker = FakeBroker()
    for event in EVENTS:
        broker.publish("in", event, event)
    return broker


def make(broker: FakeBroker, stage: EchoStage) -> tuple[Loop, FakePort]:
    """A loop that ends when there is nothing left to read."""
    port = FakePort(broker, ["in"])
    loop = Loop(stage, port, batch_events=4, batch_wait_s=0, watchdog=Watchdog(), watchdog_s=60)
    port.on_idle = loop.stop
    return loop, port


def published(broker: FakeBroker) -> list[bytes]:
    return sorted(value for value in broker.values("out") if value is not None)


def test_every_event_is_published_once_and_its_offset_committed(broker: FakeBroker) -> None:
    loop, _ = make(broker, EchoStage())
    loop.run()

    assert published(broker) == EVENTS
    assert sum(broker.committed["group"].values()) == len(EVENTS)


class CrashingStage(EchoStage):
    def settle(self, batch: Sequence[Delivery]) -> Settled:
        raise ZeroDivisionError("a defect of ours")


def test_nothing_is_committed_before_it_is_settled(broker: FakeBroker) -> None:
    stage = CrashingStage()
    loop, _ = make(broker, stage)

    with pytest.raises(ZeroDivisionError):
        loop.run()

    assert broker.committed["group"] == {}
    assert published(broker) == []
    assert stage.closed


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Aborted("rebalance"), id="a transaction that was aborted is taken again from its first event"),
        pytest.param(SessionLost("fenced"), id="a lost session goes on from what was committed"),
    ],
)
def test_a_failed_commit_loses_and_doubles_nothing(broker: FakeBroker, failure: Exception) -> None:
    loop, port = make(broker, EchoStage())
    port.fail_next(failure)
    loop.run()

    assert published(broker) == EVENTS


def test_attempts_that_fail_are_counted_until_one_goes_through(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    loop, port = make(broker, EchoStage())
    monkeypatch.setattr(loop._stopping, "wait", lambda pause: counts.append(loop.failed_in_a_row))
    port.fail_next(Aborted("one"), Aborted("two"), SessionLost("three"))
    loop.run()

    assert counts == [1, 2, 3], "the health check looks at this number"
    assert loop.failed_in_a_row == 0
    assert published(broker) == EVENTS


class DownTwice(EchoStage):
    """A neighbour that is back at the third call."""

    def __init__(self) -> None:
        super().__init__()
        self._failures: list[Exception] = [NeighbourDown("Redis", "connection refused"), ScorerBroken("canary fails")]

    def settle(self, batch: Sequence[Delivery]) -> Settled:
        if self._failures:
            raise self._failures.pop()
        return super().settle(batch)


def test_a_neighbour_that_is_down_costs_time_and_no_event(broker: FakeBroker) -> None:
    loop, port = make(broker, DownTwice())
    loop.run()

    assert published(broker) == EVENTS
    assert port.kept_alive == 2, "the group must not lose a worker that waits for its neighbour"


def test_a_partition_taken_away_during_a_batch_is_neither_published_nor_committed(broker: FakeBroker) -> None:
    class LosesAPartition(EchoStage):
        def settle(self, batch: Sequence[Delivery]) -> Settled:
            if not self.batches:
                port.revoke(("in", 0))
            return super().settle(batch)

    loop, port = make(broker, LosesAPartition())
    loop.run()

    kept = [delivery.value for delivery in broker.logs["in", 1]]
    assert published(broker) == sorted(value for value in kept if value is not None)
    assert set(broker.committed["group"]) == {("in", 1)}


def test_stopping_while_a_neighbour_is_down_leaves_the_batch_uncommitted(broker: FakeBroker) -> None:
    class DownForGood(EchoStage):
        def settle(self, batch: Sequence[Delivery]) -> Settled:
            loop.stop()
            raise NeighbourDown("PostgreSQL", "connection refused")

    loop, _ = make(broker, DownForGood())
    loop.run()

    assert broker.committed["group"] == {}


def test_a_call_that_never_comes_back_ends_the_process() -> None:
    expired = threading.Event()
    watchdog = Watchdog(expired.set, look_every_s=0.01)

    with watchdog.armed(0.0):
        assert expired.wait(10)

    expired.clear()
    with watchdog.armed(60.0):
        pass
    assert not expired.is_set()


@pytest.mark.parametrize(
    ("size", "events", "settle_s", "expected"),
    [
        pytest.param(2000, 2000, 10.0, 1050, id="a batch that took 10 s: half-way to the 100 that take half a second"),
        pytest.param(100, 100, 0.01, 1000, id="a quick full batch grows, up to the bound"),
        pytest.param(2000, 1, 0.02, 2000, id="a lone event says nothing"),
        pytest.param(16, 16, 60.0, 16, id="never below the smallest"),
    ],
)
def test_the_batch_follows_the_pace(size: int, events: int, settle_s: float, expected: int) -> None:
    assert _next_size(size, 1000 if expected == 1000 else 2000, events, settle_s) == expected
