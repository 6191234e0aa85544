"""Somebody to notify, and something to notify about."""

from datetime import UTC, datetime

from schemas.events import AlertRaised
from stream_app.notifying.channel import Undeliverable

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def alert(alert_id: str) -> AlertRaised:
    return AlertRaised(
        alert_id=alert_id, incident="i-1", rule="angry_message", severity=2, reason="Angry message: anger 0.93.",
        event_id="e-1", event_time=NOON, raised_at=NOON, source="chat", customer="customer-1", turns=(), anger=0.93,
        score=-0.9, language="en", model="test-model", rules_version="1", conversation_id="c-1",
    )  # fmt: skip


class Listener:
    """A channel that hears everything, or fails the first `failures` times with `failure`."""

    def __init__(self, name: str, failures: float = 0, failure: Exception | None = None) -> None:
        self.name = name
        self.heard: list[str] = []
        self.tries = 0
        self.closed = False
        self._failures = failures
        self._failure = failure or Undeliverable("no answer")

    async def send(self, alert: AlertRaised) -> None:
        self.tries += 1
        if self.tries <= self._failures:
            raise self._failure
        self.heard.append(alert.alert_id)

    async def close(self) -> None:
        self.closed = True
