"""Two workers under load, something that kills, and the count at the end."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2

from schemas.codec import decode
from schemas.events import AlertRaised, DeadLetter, SentimentScored
from schemas.topics import ALERTS, CHATS, DEAD_LETTERS, REVIEWS, SENTIMENT
from stream_app.alerting.alert import AlertStage
from stream_app.alerting.rules import Rules
from stream_app.flow.delivery import Delivery
from stream_app.flow.kafka.publisher import Publisher
from stream_app.flow.kafka.reader import read
from stream_app.flow.loop import utc_now
from stream_app.settings import Settings
from tests.conftest import wait_until
from tests.fakes_memory import FakeMemory
from tests.worker import environment

TEXTS = [
    "质量很差，不好用",
    "好评，谢谢",
    "你们就是骗子！！我要投诉",
    "什么时候发货",
    "it broke after a day",
    "great, thanks!",
]


class Workers:
    """`moodstream worker` processes that are started again whenever they end, as systemd or Kubernetes would."""

    def __init__(self, settings: Settings, count: int, logs: Path, **more: str) -> None:
        self._environment = environment(settings, **({"model": "quick", "watchdog_s": "20"} | more))
        self._logs = logs
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._over = threading.Event()
        self.starts = 0
        for slot in range(count):
            self._start(slot)
        self._keeper = threading.Thread(target=self._keep, name="keeper")
        self._keeper.start()

    def kill_one(self, chance: random.Random) -> None:
        """SIGKILL: no handler, no flush, no goodbye."""
        self._processes[chance.choice(sorted(self._processes))].kill()

    def freeze_one(self, chance: random.Random, seconds: float) -> None:
        """SIGSTOP and SIGCONT: a virtual machine that was paused, a laptop that slept."""
        process = self._processes[chance.choice(sorted(self._processes))]
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)  # longer than the group waits for it
        process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM to all. Every worker leaves in bounded time; one still starting may be ended by the signal itself."""
        self._over.set()
        self._keeper.join()
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(30) for process in self._processes.values()]
        assert set(codes) <= {0, -signal.SIGTERM}, f"exit codes {codes}"

    def _start(self, slot: int) -> None:
        self.starts += 1
        with (self._logs / f"worker-{slot}.log").open("ab") as log:
            self._processes[slot] = subprocess.Popen(
                [sys.executable, "-m", "stream_app", "worker"],
                env=self._environment | {"MOODSTREAM_SLOT": str(slot)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _keep(self) -> None:
        while not self._over.wait(0.1):
            for slot, process in self._processes.items():
                if process.poll() is not None:
                    self._start(slot)


@contextmanager
def workers(settings: Settings, count: int, logs: Path, **more: str) -> Iterator[Workers]:
    """`more` are settings, as in `environment`."""
    running = Workers(settings, count, logs, **more)
    try:
        yield running
    finally:
        running._over.set()
        running._keeper.join()
        for process in running._processes.values():
            process.kill()
            process.wait()


class Load(threading.Thread):
    """Publishes at a steady rate until told to stop; one event in a hundred is malformed."""

    def __init__(self, settings: Settings, per_second: float) -> None:
        super().__init__(name="load")
        self._publisher = Publisher(settings, patience_s=180)
        self._per_second = per_second
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self.events: set[str] = set()
        self.malformed = 0

    def run(self) -> None:
        try:
            begin = time.monotonic()
            number = 0
            while not self._over.wait(0.01):
                while number < (time.monotonic() - begin) * self._per_second:
                    self._publish(number)
                    number += 1
            self._publisher.flush()
        except BaseException as failure:
            self._failure = failure

    def finish(self) -> None:
        self._over.set()
        self.join()
        if self._failure is not None:
            raise self._failure

    def _publish(self, number: int) -> None:
        if number % 100 == 99:
            self.malformed += 1
            self._publisher.send(REVIEWS.name, b"nobody", f'{{"number": {number}, "cut off'.encode())
            return
        event_id = f"event-{number:07d}"
        self.events.add(event_id)
        event = {
            "event_id": event_id,
            "event_time": (datetime.now(UTC) - timedelta(seconds=1)).isoformat(),
            "version": 1,
            "text": f"{TEXTS[number % len(TEXTS)]} {number}",
            "customer_id": f"customer-{number % 97}",
        }
        if number % 2:
            conversation = f"conversation-{number % 97}"
            chat = {
                "type": "chat_message",
                "conversation_id": conversation,
                "side": "customer",
                "turn": 1 + number // 97,
            }
            self._publisher.send(CHATS.name, conversation.encode(), json.dumps(event | chat).encode())
        else:
            review = {"type": "review_posted", "product_id": f"P-{number % 13}"}
            self._publisher.send(REVIEWS.name, b"%d" % (number % 97), json.dumps(event | review).encode())


def wait_until_drained(settings: Settings, load: Load, within_s: float) -> None:
    """Until every event has its row, every malformed one its dead letter, and every alert that is due is there."""

    def recorded() -> bool:
        counts = rows(settings)
        return counts["sentiment"] >= len(load.events) and counts["dead_letter"] >= load.malformed

    wait_until(recorded, within_s, f"{len(load.events)} events and {load.malformed} dead letters to be recorded")
    due = len(undisturbed_alerts(topic(settings, SENTIMENT.name)))
    wait_until(lambda: len(topic(settings, ALERTS.name)) >= due, within_s, f"{due} alerts")
    wait_until(lambda: rows(settings)["alert"] >= due, within_s, f"{due} alerts to be recorded")


def rows(settings: Settings) -> dict[str, int]:
    connection = psycopg2.connect(settings.database.get_secret_value())
    try:
        with connection.cursor() as cursor:
            counts = {}
            for table in ("sentiment", "alert", "dead_letter"):
                cursor.execute(f"SELECT count(*) FROM {table}")
                counts[table] = cursor.fetchone()[0]
            return counts
    finally:
        connection.close()


def topic(settings: Settings, name: str) -> list[Delivery]:
    """What a read-committed reader sees."""
    return [delivery for delivery in read(settings, [name]) if delivery is not None]


def assert_each_exactly_once(settings: Settings, load: Load) -> dict[str, int]:
    """Read-committed topics and tables hold every event once, and the alerts are those of an undisturbed run."""
    scored = [decode(SENTIMENT.name, delivery.value) for delivery in topic(settings, SENTIMENT.name)]
    ids = Counter(event.event_id for event in scored if isinstance(event, SentimentScored))
    assert ids.keys() == load.events, f"lost {len(load.events - ids.keys())}"
    assert max(ids.values()) == 1, f"doubled {[event for event, count in ids.items() if count > 1][:5]}"

    letters = [decode(DEAD_LETTERS.name, delivery.value) for delivery in topic(settings, DEAD_LETTERS.name)]
    places = Counter(letter.raw for letter in letters if isinstance(letter, DeadLetter))
    assert len(places) == load.malformed
    assert max(places.values(), default=1) == 1

    alerts = [decode(ALERTS.name, delivery.value) for delivery in topic(settings, ALERTS.name)]
    raised = Counter(alert.alert_id for alert in alerts if isinstance(alert, AlertRaised))
    assert max(raised.values(), default=1) == 1
    assert raised.keys() == undisturbed_alerts(topic(settings, SENTIMENT.name))

    counts = rows(settings)
    assert counts == {"sentiment": len(load.events), "alert": len(raised), "dead_letter": load.malformed}
    return counts


def undisturbed_alerts(sentiment: Sequence[Delivery]) -> set[str]:
    """The ids of the alerts that one stage raises over the same topic when nothing fails."""
    stage = AlertStage(FakeMemory(), Rules(), utc_now)
    by_partition = sorted(sentiment, key=lambda delivery: (delivery.partition, delivery.offset))
    settled = stage.settle(by_partition)
    events = [decode(ALERTS.name, record.value) for record in settled.records]
    return {event.alert_id for event in events if isinstance(event, AlertRaised)}
