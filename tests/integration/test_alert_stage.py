"""The alert stage loses nothing and doubles nothing, whatever happens between its memory and the commit to Kafka."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.codec import decode
from schemas.events import AlertRaised, DeadLetter, SentimentScored
from stream_app import metrics
from stream_app.alerting.alert import AlertStage
from stream_app.alerting.memory import Memory, RedisMemory
from stream_app.alerting.rules import RULES, Rules
from stream_app.alerting.wording import SENTENCES, Language
from stream_app.errors import NeighbourDown, SessionLost
from stream_app.flow.delivery import Delivery, Record
from stream_app.local.redis import Redis
from tests.fakes_memory import FakeMemory, InterruptedMemory, Store
from tests.scored_events import chat, delivery, minutes, review


def ticking() -> Callable[[], datetime]:
    """A clock that never gives the same time twice: what is equal in two alerts does not come from it."""
    seconds = count()
    return lambda: datetime(2025, 6, 2, tzinfo=UTC) + timedelta(seconds=next(seconds))


NOW = ticking()


def stage(memory: Memory) -> AlertStage:
    return AlertStage(memory, Rules(), NOW)


def alerts(records: Sequence[Record]) -> list[AlertRaised]:
    found = [decode("alerts", record.value) for record in records if record.topic == "alerts"]
    return [alert for alert in found if isinstance(alert, AlertRaised)]


def caused_by(records: Sequence[Record]) -> list[str]:
    return [alert.event_id for alert in alerts(records)]


def memory_losses() -> float:
    return float(metrics.ALERT_MEMORY_LOST._value.get())


# --- one batch -------------------------------------------------------------------------------------------------------


def test_an_alert_carries_its_conversation_and_its_customer() -> None:
    batch = [
        delivery(chat("a", 0.2, minutes(0), text="hello"), 0),
        delivery(chat("b", 0.1, minutes(1), side="agent"), 1),
        delivery(chat("c", 0.9, minutes(2), text="give me my money"), 2),
    ]

    settled = stage(FakeMemory()).settle(batch)

    [record] = settled.records
    [alert] = alerts(settled.records)
    assert (record.topic, record.key) == ("alerts", b"customer-1")
    assert (alert.rule, alert.severity, alert.event_id, alert.conversation_id) == ("angry_message", 2, "c", "c-1")
    assert [(turn.event_id, turn.text) for turn in alert.turns] == [("a", "hello"), ("c", "give me my money")]
    assert alert.turns[1].event_time == alert.event_time == minutes(2)
    assert alert.rules_version == Rules().version()


def test_the_reason_is_a_sentence_with_its_numbers() -> None:
    batch = [
        delivery(chat("a", 0.8), 0),
        delivery(chat("b", 0.97), 1),
        delivery(chat("c", 0.44, conversation="c-2"), 2),
        delivery(chat("d", 0.46, conversation="c-2"), 3),
        delivery(chat("e", 0.51, conversation="c-2"), 4),
    ]

    def reasons(language: Language) -> list[str]:
        settled = AlertStage(FakeMemory(), Rules(), NOW, language=language).settle(batch)
        return [alert.reason for alert in alerts(settled.records)]

    assert reasons("en") == [
        "Angry message: anger 0.80, score -0.80, intensity 5 of 5.",
        "Escalated from severity 2 to 3. Angry message: anger 0.97, score -0.97, intensity 5 of 5.",
        "Anger lasts: mean 0.47 over the last 3 turns (0.44, 0.46, 0.51), limit 0.40.",
    ]
    assert reasons("zh") == [
        "愤怒消息：愤怒值 0.80，情感分 -0.80，强度 5/5。",
        "严重程度由 2 级升至 3 级。愤怒消息：愤怒值 0.97，情感分 -0.97，强度 5/5。",
        "持续愤怒：最近 3 轮平均愤怒值 0.47（0.44, 0.46, 0.51），上限 0.40。",
    ]


def test_every_rule_has_a_sentence_in_every_language() -> None:
    names = {"escalated", *(rule.__name__ for rule in RULES)}

    assert {language: set(sentences) for language, sentences in SENTENCES.items()} == {"en": names, "zh": names}


def test_a_review_is_its_own_incident() -> None:
    settled = stage(FakeMemory()).settle([delivery(review("a", 0.9), 0), delivery(review("b", 0.9), 1)])

    first, second = alerts(settled.records)
    assert first.incident != second.incident
    assert first.conversation_id is None
    assert first.product_id == "p-1"


def test_what_is_no_event_becomes_a_dead_letter_and_its_neighbours_go_on() -> None:
    batch = [delivery(None, 0), delivery(b'{"type":', 1), delivery(chat("a", 0.9), 2)]

    settled = stage(FakeMemory()).settle(batch)

    assert caused_by(settled.records) == ["a"]
    letters = [decode("dead.letters", one.value) for one in settled.records if one.topic == "dead.letters"]
    assert [(one.stage, one.reason, one.raw.offset) for one in letters if isinstance(one, DeadLetter)] == [
        ("alert", "empty_payload", 0),
        ("alert", "not_json", 1),
    ]


def test_an_incident_stays_open_over_batches_and_restarts() -> None:
    memory = FakeMemory()
    assert caused_by(stage(memory).settle([delivery(chat("a", 0.9, minutes(0)), 0)]).records) == ["a"]

    assert caused_by(stage(memory).settle([delivery(chat("b", 0.9, minutes(1)), 1)]).records) == []


# --- a replay --------------------------------------------------------------------------------------------------------


def test_a_batch_that_was_applied_but_not_committed_gives_the_same_bytes_again() -> None:
    memory = FakeMemory()
    batch = [delivery(chat("a", 0.9), 0), delivery(b"junk", 1), delivery(review("r", 0.9), 2)]
    first = stage(memory).settle(batch)

    again = stage(memory).settle(batch)

    assert alerts(again.records) == alerts(first.records)
    assert [one.topic for one in again.records] == ["alerts", "alerts", "dead.letters"]


def test_a_replay_with_shorter_batches_gives_every_alert_in_its_own_batch() -> None:
    memory = FakeMemory()
    batch = [delivery(review(f"r-{offset}", 0.9), offset) for offset in range(6)]
    stage(memory).settle(batch)

    heir = stage(memory)

    assert [caused_by(heir.settle(batch[n : n + 2]).records) for n in (0, 2, 4)] == [
        ["r-0", "r-1"],
        ["r-2", "r-3"],
        ["r-4", "r-5"],
    ]


def test_a_replay_with_longer_batches_gives_old_and_new_alerts_together() -> None:
    memory = FakeMemory()
    events = [delivery(review(f"r-{offset}", 0.9), offset) for offset in range(6)]
    stage(memory).settle(events[:2])

    assert caused_by(stage(memory).settle(events).records) == [f"r-{offset}" for offset in range(6)]


def test_decisions_that_are_through_are_forgotten() -> None:
    memory = FakeMemory()
    worker = stage(memory)
    worker.settle([delivery(review("a", 0.9), 0)])
    worker.settle([delivery(review("b", 0.9), 3)])  # 1 and 2 are markers of transactions

    assert [one.offset for one in memory.pending(("sentiment", 0))] == [3]


def test_an_old_owner_that_comes_back_is_refused_and_changes_nothing() -> None:
    store: Store = {}
    batch = [delivery(chat("a", 0.9), 0)]
    zombie_memory = InterruptedMemory(FakeMemory(store))
    zombie_memory.before_write = lambda: _settle_beside(lambda: FakeMemory(store), batch)

    with pytest.raises(SessionLost):
        stage(zombie_memory).settle(batch)

    assert caused_by(stage(FakeMemory(store)).settle(batch).records) == ["a"]


def test_an_old_owner_is_refused_even_where_the_new_one_only_replayed() -> None:
    store: Store = {}
    batch = [delivery(chat("a", 0.9), 0)]
    stage(FakeMemory(store)).settle(batch)
    zombie_memory = InterruptedMemory(FakeMemory(store))
    zombie_memory.before_write = lambda: _settle_beside(lambda: FakeMemory(store), batch)

    with pytest.raises(SessionLost):
        stage(zombie_memory).settle(batch)


# --- memory that is not what it was ----------------------------------------------------------------------------------


def test_the_beginning_of_a_topic_is_no_lost_memory() -> None:
    before = memory_losses()
    stage(FakeMemory()).settle([delivery(chat("a", 0.9), 0)])

    assert memory_losses() == before


def test_lost_memory_is_counted_and_alerts_go_on(caplog: pytest.LogCaptureFixture) -> None:
    memory = FakeMemory()
    worker = stage(memory)
    worker.settle([delivery(chat("a", 0.9), 0)])
    memory.store.clear()
    before = memory_losses()

    settled = worker.settle([delivery(chat("b", 0.9, minutes(1)), 1)])

    assert caused_by(settled.records) == ["b"]
    assert memory_losses() == before + 1
    assert "no alert memory for sentiment-0 at offset 1: going on with an empty one" in caplog.text
    worker.settle([delivery(chat("c", 0.9, minutes(2)), 2)])
    assert memory_losses() == before + 1


def test_memory_that_went_back_is_counted_and_alerts_go_on(caplog: pytest.LogCaptureFixture) -> None:
    memory = FakeMemory()
    worker = stage(memory)
    worker.settle([delivery(chat("a", 0.2), 0)])
    earlier = dict(memory.store)
    worker.settle([delivery(chat("b", 0.2, minutes(1)), 1)])
    memory.store.clear()
    memory.store.update(earlier)
    before = memory_losses()

    settled = worker.settle([delivery(chat("c", 0.9, minutes(2)), 2)])

    assert caused_by(settled.records) == ["c"]
    assert memory_losses() == before + 1
    assert "went back from offset 2 to 1" in caplog.text


def test_a_topic_made_anew_is_not_taken_for_a_replay(caplog: pytest.LogCaptureFixture) -> None:
    """Its offsets begin at 0 again, far below the mark; what gives it away is that its records are newer."""
    memory = FakeMemory()
    worker = stage(memory)
    worker.settle([delivery(review("old", 0.9), offset) for offset in range(50)])
    newer = 1_700_000_000_050

    first = worker.settle([delivery(review("new-1", 0.9), 0, timestamp_ms=newer)])
    second = worker.settle([delivery(review("new-2", 0.9), 1, timestamp_ms=newer + 1)])

    assert caused_by([*first.records, *second.records]) == ["new-1", "new-2"]
    assert caplog.text.count("sentiment-0 is another topic than the one remembered") == 1


def test_incidents_of_a_topic_that_is_gone_do_not_silence_the_new_one() -> None:
    memory = FakeMemory()
    worker = stage(memory)
    worker.settle([delivery(chat("a", 0.9), 0), delivery(chat("b", 0.9, conversation="c-2"), 1)])
    newer = 1_700_000_000_050
    worker.settle([delivery(chat("c", 0.1), 0, timestamp_ms=newer)])

    settled = worker.settle([delivery(chat("d", 0.9, conversation="c-2"), 1, timestamp_ms=newer + 1)])

    assert caused_by(settled.records) == ["d"]


def test_an_operator_who_rewinds_the_group_raises_no_alert_again() -> None:
    memory = FakeMemory()
    worker = stage(memory)
    events = [delivery(review(f"r-{offset}", 0.9), offset) for offset in range(6)]
    worker.settle(events[:3])
    worker.settle(events[3:])

    assert caused_by(worker.settle(events[:3]).records) == []


# --- any history -----------------------------------------------------------------------------------------------------

Fault = Literal["none", "not committed", "killed", "killed before the write", "reply lost", "rival"]
FAULTS: tuple[Fault, ...] = ("none", "not committed", "killed", "killed before the write", "reply lost", "rival")


class Step(NamedTuple):
    """How many deliveries of each partition a batch takes, and what happens to it."""

    sizes: tuple[int, int]
    fault: Fault


class Kafka:
    """A topic of two partitions, what the group has committed of it, and what readers of committed records see."""

    def __init__(self, logs: Sequence[Sequence[Delivery]]) -> None:
        self._logs = logs
        self._next = [0] * len(logs)
        self.published: list[Record] = []

    def poll(self, sizes: Sequence[int]) -> list[Delivery]:
        return [one for log, at, size in zip(self._logs, self._next, sizes, strict=True) for one in log[at : at + size]]

    def commit(self, records: Sequence[Record], sizes: Sequence[int]) -> None:
        self.published += records
        self._next = [min(at + size, len(log)) for log, at, size in zip(self._logs, self._next, sizes, strict=True)]


def history(logs: Sequence[Sequence[Delivery]], steps: Sequence[Step], connect: Callable[[], Memory]) -> list[Record]:
    """Run a stage through these steps, and then undisturbed to the end; what was published, in order."""
    kafka = Kafka(logs)
    seen: dict[str, bytes] = {}
    memory = InterruptedMemory(connect())
    worker = stage(memory)
    for step in (*steps, *[Step((7, 7), "none")] * 20):
        batch = kafka.poll(step.sizes)
        if not batch:
            continue
        if step.fault == "killed before the write":
            memory.before_write = _raise(NeighbourDown("Redis", "killed"))
        elif step.fault == "reply lost":
            memory.after_write = _raise(NeighbourDown("Redis", "killed"))
        elif step.fault == "rival":
            memory.before_write = lambda batch=batch: _settle_beside(connect, batch)  # type: ignore[misc]
        try:
            settled = worker.settle(batch)
        except (NeighbourDown, SessionLost):
            continue
        for alert, record in zip(alerts(settled.records), settled.records, strict=False):
            assert seen.setdefault(alert.alert_id, record.value) == record.value, "an alert came again in other bytes"
        if step.fault == "none":
            kafka.commit(settled.records, step.sizes)
        elif step.fault == "killed":
            memory = InterruptedMemory(connect())
            worker = stage(memory)
    return kafka.published


def _settle_beside(connect: Callable[[], Memory], batch: Sequence[Delivery]) -> None:
    stage(connect()).settle(batch)


def _raise(failure: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise failure

    return fail


def told(records: Sequence[Record]) -> list[tuple[str | object, ...]]:
    """What the alerts say, partition by partition, without the wall clock."""
    found = [(a.customer, a.alert_id, a.incident, a.rule, a.severity, a.reason, a.turns) for a in alerts(records)]
    letters = sorted((one.key or b"",) for one in records if one.topic == "dead.letters")
    return [*sorted(found, key=lambda alert: alert[0]), *letters]  # stable: the order in a partition stays


@st.composite
def logs(draw: st.DrawFn) -> list[list[Delivery]]:
    """Two partitions of conversations and reviews, with gaps in the offsets, repeated events and junk."""
    made: list[list[Delivery]] = []
    for partition in range(2):
        log: list[Delivery] = []
        at, offset = minutes(0), 0
        event: SentimentScored | bytes = b"junk"
        for number in range(draw(st.integers(0, 25))):
            at += timedelta(minutes=draw(st.sampled_from([1, 5, 300, 2000])))
            anger = draw(st.sampled_from([0.1, 0.45, 0.5, 0.8, 0.97]))
            name = f"{partition}-{number}"
            match draw(st.sampled_from(["chat", "chat", "chat", "agent", "review", "repeated", "junk"])):
                case "chat":
                    event = chat(name, anger, at, conversation=f"c-{draw(st.integers(0, 2))}")
                case "agent":
                    event = chat(name, anger, at, side="agent")
                case "review":
                    event = review(name, anger, at)
                case "junk":
                    event = b"junk"
            if isinstance(event, SentimentScored):
                event = replace(event, customer=f"customer-{partition}")
            log.append(delivery(event, offset, partition))
            offset += draw(st.sampled_from([1, 1, 1, 2, 5]))
        made.append(log)
    return made


steps = st.lists(st.builds(Step, st.tuples(st.integers(0, 9), st.integers(0, 9)), st.sampled_from(FAULTS)), max_size=25)


def undisturbed(logs: Sequence[Sequence[Delivery]]) -> list[Record]:
    memory = FakeMemory()
    one_by_one = [Step(sizes, "none") for size in range(30) for sizes in ((1, 0), (0, 1))]
    return history(logs, one_by_one, lambda: memory)


@hypothesis_settings(max_examples=300, deadline=None)
@given(logs=logs(), steps=steps)
def test_whatever_happens_the_same_alerts_are_published_once_each(
    logs: list[list[Delivery]], steps: list[Step]
) -> None:
    store: Store = {}

    assert told(history(logs, steps, lambda: FakeMemory(store))) == told(undisturbed(logs))


# --- on the real server ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


_groups = count()


@pytest.mark.services
@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs=logs(), steps=steps)
def test_whatever_happens_the_same_alerts_are_published_once_each_on_valkey(
    valkey: Redis, logs: list[list[Delivery]], steps: list[Step]
) -> None:
    group = f"group-{next(_groups)}"
    connections: list[RedisMemory] = []

    def connect() -> Memory:
        connections.append(RedisMemory(valkey.url, group))
        return connections[-1]

    assert told(history(logs, steps, connect)) == told(undisturbed(logs))
    for connection in connections:
        connection.close()


@pytest.mark.services
@pytest.mark.faults
@pytest.mark.parametrize("moment", ["before the write", "after the write"])
def test_a_killed_valkey_holds_the_batch_and_loses_nothing(valkey: Redis, moment: str) -> None:
    memory = InterruptedMemory(RedisMemory(valkey.url, f"killed {moment}"))
    worker = stage(memory)
    assert caused_by(worker.settle([delivery(chat("a", 0.8, minutes(0)), 0)]).records) == ["a"]
    batch = [delivery(chat("b", 0.97, minutes(1)), 1), delivery(review("r", 0.9), 2)]

    def kill() -> None:
        valkey.kill()
        if moment == "after the write":
            raise NeighbourDown("Redis", "the reply never came")

    if moment == "before the write":
        memory.before_write = kill
    else:
        memory.after_write = kill
    with pytest.raises(NeighbourDown):
        worker.settle(batch)
    with pytest.raises(NeighbourDown):
        worker.settle(batch)
    valkey.start()
    losses = memory_losses()

    settled = worker.settle(batch)

    assert [(alert.event_id, alert.severity) for alert in alerts(settled.records)] == [("b", 3), ("r", 2)]
    assert memory_losses() == losses
    worker.close()
