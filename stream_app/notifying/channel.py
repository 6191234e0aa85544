"""What every way to reach people promises the notifier."""

from typing import Protocol

from schemas.events import AlertRaised


class Undeliverable(Exception):
    """Not now: trying again may help, not before `retry_after` seconds if the receiver said so."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Refused(Exception):
    """The receiver will not take this alert however often it comes."""


class Channel(Protocol):
    """A way to reach people. May be asked to send several alerts at once."""

    name: str

    async def send(self, alert: AlertRaised) -> None:
        """Returns when the receiver has the alert. In bounded time, or else raises Undeliverable or Refused.

        The same alert may come again; receivers tell by its `alert_id`.
        """

    async def close(self) -> None:
        """Let go of connections. The channel is not used afterwards."""
