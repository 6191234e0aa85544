"""From an alert on the topic to the people it is for: every alert to every channel, until it is there or given up.

Channels are tried side by side, so a mute one never keeps an alert from another. `notify` returns when all of them are
done, and only then does the host acknowledge the alert: a worker that dies in between sends it again, with the same
`alert_id`. What one alert may cost the alerts behind it is bounded:

1. A channel gets `attempts` tries with growing waits, `give_up_after_s` in all. Then the alert is given up for this
   channel, logged and counted; it stays in the topic and in the table.
2. A channel that has just given up is known to be down: until something gets through, each alert has one try there.
   An outage so costs an alert one timeout instead of a minute, and the first alert after it goes through at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from schemas import codec
from schemas.events import AlertRaised
from schemas.topics import ALERTS
from stream_app.metrics import NOTIFICATIONS
from stream_app.notifying.channel import Channel, Refused, Undeliverable

log = logging.getLogger("moodstream.notify")


class Patience(msgspec.Struct, frozen=True):
    """How long one alert is worth waiting for: by default five tries over about a minute."""

    attempts: int = 5
    give_up_after_s: float = 60.0
    first_wait_s: float = 1.0
    longest_wait_s: float = 20.0

    def wait_s(self, attempt: int, chance: float) -> float:
        """The pause after the nth failure: doubling, and spread over its upper half by `chance` in [0, 1)."""
        return min(self.longest_wait_s, self.first_wait_s * 2.0 ** (attempt - 1)) * (0.5 + chance / 2)


class Notifier:
    """See the module. Lives in one event loop. `clock`, `sleep` and `chance` are arguments for the tests' sake."""

    def __init__(
        self,
        channels: Sequence[Channel],
        patience: Patience | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._channels = channels
        self._patience = patience or Patience()
        self._down: set[str] = set()
        self._clock = clock
        self._sleep = sleep
        self._chance = chance

    async def notify(self, payload: bytes | None) -> None:
        """Returns when every channel has the alert or will not get it. Raises nothing but CancelledError."""
        try:
            alert = codec.decode(ALERTS.name, payload)
        except codec.Undecodable as mistake:
            log.error("a payload on %s is no alert: %s", ALERTS.name, mistake)
            NOTIFICATIONS.labels("none", "undecodable").inc()
            return
        assert isinstance(alert, AlertRaised)  # the topic carries nothing else: schemas/topics.py
        await asyncio.gather(*(self._deliver(channel, alert) for channel in self._channels))

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def _deliver(self, channel: Channel, alert: AlertRaised) -> None:
        try:
            outcome = await self._until_settled(channel, alert)
        except Exception:  # a defect in one channel must not cost the others the alert, nor crash the worker for ever
            log.exception("channel %s failed on alert %s", channel.name, alert.alert_id)
            outcome = "failed"
        NOTIFICATIONS.labels(channel.name, outcome).inc()

    async def _until_settled(self, channel: Channel, alert: AlertRaised) -> str:
        """How it ended: delivered, refused or given_up."""
        began = self._clock()
        attempt = 0
        while True:
            attempt += 1
            try:
                await channel.send(alert)
            except Refused as no:
                log.error("channel %s refused alert %s: %s", channel.name, alert.alert_id, no)
                self._down.discard(channel.name)  # it answers
                return "refused"
            except Undeliverable as failure:
                pause = self._pause_s(channel, attempt, self._clock() - began, failure)
                if pause is None:
                    log.error(
                        "channel %s: gave up alert %s after %d tries: %s",
                        channel.name,
                        alert.alert_id,
                        attempt,
                        failure,
                    )
                    self._down.add(channel.name)
                    return "given_up"
                log.warning("channel %s: alert %s again in %.1f s: %s", channel.name, alert.alert_id, pause, failure)
                NOTIFICATIONS.labels(channel.name, "retried").inc()
            else:
                self._down.discard(channel.name)
                return "delivered"
            await self._sleep(pause)

    def _pause_s(self, channel: Channel, attempt: int, spent_s: float, failure: Undeliverable) -> float | None:
        """How long to wait before the next try; None: there is none."""
        if channel.name in self._down or attempt >= self._patience.attempts:
            return None
        pause = max(self._patience.wait_s(attempt, self._chance()), failure.retry_after or 0.0)
        return pause if spent_s + pause < self._patience.give_up_after_s else None
