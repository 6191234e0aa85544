"""The loop that moves every batch: poll, settle, commit. Three promises:

1. Nothing is committed before it is settled.
2. A replay changes nothing: whatever fails, the batch comes again from its first offset.
3. One bad event costs itself; a broken model or neighbour costs time, never events.

One loop is one thread with one port and one stage. What goes wrong has one of four ends:

    NeighbourDown, ScorerBroken   hold the batch, call the stage again with back-off, stay in the group meanwhile
    Aborted                       nothing happened: rewind, take the batch again
    SessionLost                   drop the clients, open new ones with back-off: reading goes on from what was committed
    anything else                 the loop ends with it, and the process with the loop
"""

import gc
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from stream_app import metrics
from stream_app.errors import NeighbourDown, ScorerBroken, SessionLost
from stream_app.flow.delivery import Delivery, Settled, first_offsets, next_offsets
from stream_app.flow.kafka.port import Aborted, Port
from stream_app.flow.stage import Stage
from stream_app.flow.watchdog import Watchdog

# A batch aims at this settle time: a killed worker repeats at most this much work, and a burst of long texts does not
# keep an angry customer waiting behind it.
SETTLE_TARGET_S = 0.5
SMALLEST_BATCH = 16
FIRST_BATCH = 64  # learn the pace on little: 4,000 texts at once would keep a slow model busy for minutes


class Loop:
    """See the module. `batch_wait_s` is the longest a lone event waits for company."""

    def __init__(
        self,
        stage: Stage,
        port: Port,
        *,
        batch_events: int,
        batch_wait_s: float,
        watchdog: Watchdog,
        watchdog_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.stage = stage
        self._port = port
        self._batch_events = batch_events
        self._batch_wait_s = batch_wait_s
        self._watchdog = watchdog
        self._watchdog_s = watchdog_s
        self._clock = clock
        self._stopping = threading.Event()
        self._size = min(batch_events, FIRST_BATCH)
        self._waits = _back_off()
        self._log = logging.getLogger(f"moodstream.{stage.name}")
        self._last_progress = clock()
        self.settled = 0
        self.failed_in_a_row = 0  # sessions lost and transactions aborted since the last commit
        self.joined = False  # whether the group has given this worker its share, if only of nothing, at least once

    def stop(self) -> None:
        """End after the batch at hand. Safe from any thread and from signal handlers."""
        self._stopping.set()

    def idle_s(self) -> float:
        """Seconds since the loop last polled, held or committed: large when it hangs."""
        return self._clock() - self._last_progress

    def run(self) -> None:
        """Until `stop`. Raises what no retry can mend; nothing of the open batch is committed then."""
        try:
            while not self._stopping.is_set():
                try:
                    self._session()
                except (SessionLost, NeighbourDown) as lost:
                    self._failed("session over", lost)
        finally:
            self.stage.close()

    def _session(self) -> None:
        """From open clients to closed ones."""
        metrics.SESSIONS.labels(self.stage.name).inc()
        try:
            with self._watchdog.armed(self._watchdog_s):
                self._port.open(self.stage.resume_from)
            while not self._stopping.is_set():
                with self._watchdog.armed(self._watchdog_s):
                    batch = self._port.poll(self._size, self._batch_wait_s)
                self._progress()
                self.joined = self.joined or self._port.joined()
                if batch:
                    self._settle_then_commit(batch)
        finally:
            with self._watchdog.armed(self._watchdog_s):
                self._port.close()

    def _settle_then_commit(self, batch: Sequence[Delivery]) -> None:
        """One batch, first to last."""
        # 1. Settle. No transaction is open: a kill in here strands nothing.
        started = time.perf_counter()
        settled = self._settle(batch)
        took = time.perf_counter() - started
        if settled is None:
            return  # stopping: the batch stays uncommitted and comes again
        # 2. Were partitions taken away meanwhile? Then they are someone else's, and nothing was published yet.
        offsets = next_offsets(batch)
        if not self._port.holds(offsets):
            self._log.info("partitions were taken away during a batch; taking the rest of it again")
            self._take_again(batch)
            return
        # 3. Commit outputs and offsets together.
        try:
            with self._watchdog.armed(self._watchdog_s):
                self._port.commit(settled.records, offsets)
        except Aborted as aborted:
            self._failed("transaction aborted, taking the batch again", aborted)
            self._take_again(batch)
            return
        # 4. Only now does it count.
        self._count(batch, settled, took, time.perf_counter() - started - took)

    def _settle(self, batch: Sequence[Delivery]) -> Settled | None:
        """The settled batch, however long its neighbours are down; None when the loop is stopping."""
        waits = _back_off()
        while True:
            try:
                return self.stage.settle(batch)
            except (NeighbourDown, ScorerBroken) as held:
                metrics.BATCH_HELD.labels(self.stage.name, type(held).__name__).inc()
                pause = next(waits)
                self._log.warning("holding %d events, again in %.1f s: %s", len(batch), pause, held)
            if self._stopping.wait(pause):
                return None
            with self._watchdog.armed(self._watchdog_s):
                self._port.keep_alive()
            self._progress()

    def _take_again(self, batch: Sequence[Delivery]) -> None:
        """Half as much of it: perhaps it took so long that the group gave its partitions away."""
        self._size = max(SMALLEST_BATCH, self._size // 2)
        with self._watchdog.armed(self._watchdog_s):
            self._port.rewind(first_offsets(batch))

    def _failed(self, what: str, failure: Exception) -> None:
        """Say so, count it, wait before the next attempt; longer each time until a batch goes through."""
        metrics.BATCH_HELD.labels(self.stage.name, type(failure).__name__).inc()
        self.failed_in_a_row += 1
        pause = next(self._waits)
        self._log.warning("%s, next attempt in %.1f s: %s", what, pause, failure)
        self._stopping.wait(pause)

    def _count(self, batch: Sequence[Delivery], settled: Settled, settle_s: float, commit_s: float) -> None:
        name = self.stage.name
        self.settled += len(batch)
        self.failed_in_a_row = 0
        self._waits = _back_off()
        self._size = _next_size(self._size, self._batch_events, len(batch), settle_s)
        metrics.EVENTS.labels(name).inc(len(batch))
        metrics.BATCH_EVENTS.labels(name).observe(len(batch))
        metrics.SETTLE_SECONDS.labels(name).observe(settle_s)
        metrics.COMMIT_SECONDS.labels(name).observe(commit_s)
        metrics.DELAY_SECONDS.labels(name).observe(max(self._clock() - batch[0].timestamp_ms / 1000, 0.0))
        for topic, count in Counter(record.topic for record in settled.records).items():
            metrics.RECORDS.labels(name, topic).inc(count)
        self._progress()

    def _progress(self) -> None:
        self._last_progress = self._clock()
        metrics.LAST_PROGRESS.labels(self.stage.name).set(self._last_progress)


def calm_garbage_collector() -> None:
    """Take what the start has built (models, modules: a million objects) out of every later collection.

    A batch makes thousands of short-lived objects; at the default thresholds the collector walks the whole heap several
    times a second: 8 % of the score stage's time without text.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def _next_size(size: int, most: int, events: int, settle_s: float) -> int:
    """The next batch's bound: what this pace settles in SETTLE_TARGET_S, moving half-way there each time."""
    if events < size // 2 and settle_s < SETTLE_TARGET_S:
        return size  # a small batch says nothing about a full one
    reachable = events * SETTLE_TARGET_S / max(settle_s, 1e-6)
    return int(min(most, max(SMALLEST_BATCH, (size + reachable) / 2)))


def _back_off(first_s: float = 0.1, most_s: float = 5.0) -> Iterator[float]:
    """Waits that double up to `most_s`, with jitter so that workers do not return in step."""
    wait = first_s
    while True:
        yield wait * random.uniform(0.5, 1.0)
        wait = min(wait * 2, most_s)


def utc_now() -> datetime:
    """The wall clock, where a stage is given one."""
    return datetime.now(UTC)
