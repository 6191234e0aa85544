"""One run of the demo: the sample through the real pipeline, and what came of it, counted from the topics.

1. watch the topics  2. publish  3. wait until every event has become something  4. read back and count
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import quantiles

import msgspec

from schemas.codec import Undecodable, decode
from schemas.events import AlertRaised, DeadLetter, Event, SentimentScored
from schemas.topics import ALERTS, CHATS, DEAD_LETTERS, REVIEWS, SENTIMENT
from stream_app.errors import SetupError
from stream_app.flow.delivery import Delivery, Offsets
from stream_app.flow.kafka.admin import Admin
from stream_app.flow.kafka.publisher import Publisher
from stream_app.flow.kafka.reader import read
from stream_app.local import sample
from stream_app.recording.lookup import query
from stream_app.settings import Settings

TOPICS = (SENTIMENT.name, ALERTS.name, DEAD_LETTERS.name)
DEADLINE_S = 120.0
_LOOK_S = 0.1
_CLOCKS_S = 60.0  # the broker's clock may be this far from ours


class Counts(msgspec.Struct, frozen=True):
    """What became of one run. `latency_ms` is from publishing to a committed sentiment record in a reader's hands."""

    published: int
    scored: int
    dead_letters: int
    alerts: int
    rows: int
    lost: int
    duplicates: int
    texts_per_second: float
    latency_ms: dict[str, float]


class Demo:
    """`show` is called with each event of this run as it comes, from another thread.

    `still_working` raises when the worker has ended: nobody waits for a dead one.
    """

    def __init__(self, settings: Settings, show: Callable[[Event], None], still_working: Callable[[], None]) -> None:
        self._settings = settings
        self._show = show
        self._still_working = still_working
        self.run_id = uuid.uuid4().hex[:8]
        self.start = datetime.now(UTC)
        self.published = 0
        self._raw_before = Offsets()  # where the raw topics ended before this run
        self._sent_at: dict[str, float] = {}
        self._payloads: set[bytes] = set()
        self._seen_at: dict[str, float] = {}
        self._settled: Counter[str] = Counter()
        self._watching = threading.Event()
        self._over = threading.Event()
        self._watch_failure: Exception | None = None

    @property
    def seen(self) -> Counter[str]:
        """How many of each topic came so far, for a progress line."""
        return self._settled

    def run(self, seconds: float) -> Counts:
        """Raises SetupError when events have not become anything in time, saying which step is behind."""
        admin = Admin(self._settings)
        self._raw_before = admin.end_offsets(REVIEWS.name) | admin.end_offsets(CHATS.name)
        watch = threading.Thread(target=self._watch, name="demo-watch", daemon=True)
        watch.start()
        try:
            self._wait(self._watching.is_set, lambda: "Kafka does not let the topics be read")
            self._publish(seconds)
            return self._settle()
        finally:
            self._over.set()
            watch.join(10)

    # --- 1. watch -------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        try:
            for delivery in read(self._settings, TOPICS, from_end=True, follow=True):
                if self._over.is_set():
                    return
                if delivery is None:
                    self._watching.set()  # the ends are known: what comes from now on is seen
                elif (event := self._mine(delivery)) is not None:
                    if isinstance(event, SentimentScored):
                        self._seen_at.setdefault(event.event_id, time.time())
                    self._settled[delivery.topic] += 1
                    self._show(event)
        except Exception as failure:
            self._watch_failure = failure

    def _mine(self, delivery: Delivery) -> Event | None:
        """The event, if it came of this run."""
        try:
            event = decode(delivery.topic, delivery.value)
        except Undecodable:
            return None
        match event:
            case SentimentScored() | AlertRaised():
                return event if event.event_id.endswith(f"-{self.run_id}") else None
            case DeadLetter():
                before = self._raw_before.get((event.raw.topic, event.raw.partition), 0)
                return event if event.raw.offset >= before and (event.payload or b"") in self._payloads else None
            case _:
                return None

    # --- 2. publish -----------------------------------------------------------------------------------------------

    def _publish(self, seconds: float) -> None:
        publisher = Publisher(self._settings)
        self.start = datetime.now(UTC)
        began = time.monotonic()
        for message in sample.messages(self.run_id, self.start, seconds):
            if (early := began + message.at_s - time.monotonic()) > 0:
                time.sleep(early)
            self._payloads.add(message.value)
            if message.event_id:
                self._sent_at[message.event_id] = time.time()
            publisher.send(message.topic, message.key, message.value)
            self.published += 1
        publisher.flush()

    # --- 3. wait --------------------------------------------------------------------------------------------------

    def _settle(self) -> Counts:
        self._wait(
            lambda: len(self._seen_at) + self._settled[DEAD_LETTERS.name] >= self.published,
            lambda: (
                f"of {self.published} events {len(self._seen_at)} are scored and"
                f" {self._settled[DEAD_LETTERS.name]} are dead letters"
            ),
        )
        last_seen = max(self._seen_at.values())
        events = self._read_back()
        scored = {event.event_id for event in events if isinstance(event, SentimentScored)}
        self._wait(self._alerts_are_through, lambda: "the alert role has not come to every scored event")
        self._wait(
            lambda: self._rows("sentiment") >= len(scored),
            lambda: f"of {len(scored)} scored events {self._rows('sentiment')} are rows",
        )
        return self._count(last_seen)

    def _wait(self, condition: Callable[[], bool], problem: Callable[[], str]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            self._still_working()
            if self._watch_failure is not None:
                raise self._watch_failure
            if time.monotonic() > deadline:
                raise SetupError(f"gave up after {DEADLINE_S:.0f} s: {problem()}")
            time.sleep(_LOOK_S)

    def _alerts_are_through(self) -> bool:
        done = Admin(self._settings).committed(f"{self._settings.group}-alert", SENTIMENT.name)
        return all(done.get(partition, -1) >= offset for partition, offset in self._ends.items())

    def _rows(self, table: str) -> int:
        statement = f"SELECT count(*) FROM {table} WHERE event_id LIKE %s AND event_time >= %s"
        since = self.start - timedelta(seconds=1)
        _, ((count,),) = query(self._settings.database.get_secret_value(), statement, (f"%-{self.run_id}", since))
        return int(count)

    # --- 4. count -------------------------------------------------------------------------------------------------

    def _read_back(self) -> list[Event]:
        """Every event of this run, from the topics; also notes where its sentiment events end."""
        events, self._ends = [], Offsets()
        for delivery in read(self._settings, TOPICS, since=self.start - timedelta(seconds=_CLOCKS_S)):
            if delivery is not None and (event := self._mine(delivery)) is not None:
                events.append(event)
                if delivery.topic == SENTIMENT.name:
                    self._ends[delivery.topic, delivery.partition] = delivery.offset + 1
        return events

    def _count(self, last_seen: float) -> Counts:
        events = self._read_back()
        names = Counter(_identity(event) for event in events)
        scored, letters, alerts = (
            sum(kind is wanted for kind, _ in names) for wanted in (SentimentScored, DeadLetter, AlertRaised)
        )
        waits_ms = sorted((at - self._sent_at[name]) * 1000 for name, at in self._seen_at.items())
        return Counts(
            published=self.published,
            scored=scored,
            dead_letters=letters,
            alerts=alerts,
            rows=self._rows("sentiment"),
            lost=self.published - scored - letters,
            duplicates=names.total() - len(names),
            texts_per_second=round(scored / max(last_seen - min(self._sent_at.values()), 1e-3), 1),
            latency_ms={"p50": _percentile(waits_ms, 50), "p99": _percentile(waits_ms, 99)},
        )


def _identity(event: Event) -> tuple[type[Event], str]:
    match event:
        case SentimentScored():
            return SentimentScored, event.event_id
        case AlertRaised():
            return AlertRaised, event.alert_id
        case DeadLetter():
            return DeadLetter, f"{event.raw.topic}/{event.raw.partition}/{event.raw.offset}"
        case _:
            raise AssertionError(event)


def _percentile(ordered: list[float], percent: int) -> float:
    if len(ordered) < 2:
        return round(ordered[0], 1) if ordered else 0.0
    return round(quantiles(ordered, n=100, method="inclusive")[percent - 1], 1)
