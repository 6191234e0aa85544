"""The webhook against real HTTP servers, each with a fault of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from schemas.codec import decode, encode
from stream_app.notifying.channel import Refused, Undeliverable
from stream_app.notifying.notify import Notifier, Patience
from stream_app.notifying.webhook import IDEMPOTENCY, SIGNATURE, WebhookChannel, verify
from tests.fakes_notifying import Listener, alert

SECRET, NOW = "a shared secret", 1_750_000_000.0


class Receiver:
    """A team's server: remembers what it was sent and answers 204."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((dict(request.headers), await request.read()))
        return await self.answer(request)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/alerts?team=care"
        try:
            yield self
        finally:
            await runner.cleanup()


class RefusingWebhook(Receiver):
    """Answers with one status, first to last, then 204."""

    def __init__(self, *statuses: int, **headers: str) -> None:
        super().__init__()
        self._statuses = list(statuses)
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        status = self._statuses.pop(0) if self._statuses else 204
        return web.Response(status=status, headers=self._headers)


class MuteWebhook(Receiver):
    """Takes every request and answers none."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("never")


class HangingUpWebhook(Receiver):
    """Closes the connection instead of answering."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()


def against(receiver: Receiver, work: Callable[[WebhookChannel], Awaitable[None]], timeout_s: float = 5.0) -> None:
    """Do this with a channel to a listening receiver."""

    async def run() -> None:
        async with receiver.listening():
            channel = WebhookChannel(receiver.url, SECRET, timeout_s, now=lambda: NOW)
            try:
                await work(channel)
            finally:
                await channel.close()

    asyncio.run(run())


def test_an_alert_arrives_whole_signed_and_with_its_key() -> None:
    receiver = Receiver()

    async def send(channel: WebhookChannel) -> None:
        await channel.send(alert("a-1"))

    against(receiver, send)

    [(headers, body)] = receiver.requests
    assert decode("alerts", body) == alert("a-1")
    assert headers["Content-Type"] == "application/json"
    assert headers[IDEMPOTENCY] == "a-1"
    assert verify(SECRET, headers[SIGNATURE], body, NOW)


def test_without_a_secret_nothing_is_signed() -> None:
    receiver = Receiver()

    async def run() -> None:
        async with receiver.listening():
            channel = WebhookChannel(receiver.url, "", 5.0)
            await channel.send(alert("a-1"))
            await channel.close()

    asyncio.run(run())

    assert SIGNATURE not in receiver.requests[0][0]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_receiver_in_trouble_is_tried_again(status: int) -> None:
    async def send(channel: WebhookChannel) -> None:
        with pytest.raises(Undeliverable, match=f"HTTP {status}"):
            await channel.send(alert("a-1"))
        await channel.send(alert("a-1"))

    against(RefusingWebhook(status), send)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_a_request_that_is_wrong_stays_wrong(status: int) -> None:
    async def send(channel: WebhookChannel) -> None:
        with pytest.raises(Refused, match=f"HTTP {status}"):
            await channel.send(alert("a-1"))

    against(RefusingWebhook(status), send)


def test_a_redirect_is_not_followed() -> None:
    receiver = RefusingWebhook(307, Location="/elsewhere")

    async def send(channel: WebhookChannel) -> None:
        with pytest.raises(Refused, match="HTTP 307"):
            await channel.send(alert("a-1"))

    against(receiver, send)

    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("17", 17.0, id="seconds"),
        pytest.param("Sun, 15 Jun 2025 15:07:40 GMT", 60.0, id="a date"),
        pytest.param("Sun, 15 Jun 2025 11:07:40 GMT", 0.0, id="a date gone by"),
        pytest.param("soon", None, id="nonsense"),
        pytest.param("-5", None, id="less than nothing"),
    ],
)
def test_the_receiver_may_say_when_to_come_back(header: str, seconds: float | None) -> None:
    async def send(channel: WebhookChannel) -> None:
        with pytest.raises(Undeliverable) as failure:
            await channel.send(alert("a-1"))
        assert failure.value.retry_after == seconds

    against(RefusingWebhook(429, Retry_After=header), send)


def test_a_mute_receiver_is_undeliverable_within_the_timeout() -> None:
    async def send(channel: WebhookChannel) -> None:
        with pytest.raises(Undeliverable, match=r"no answer within 0\.05 s"):
            await channel.send(alert("a-1"))

    against(MuteWebhook(), send, timeout_s=0.05)


def test_a_receiver_that_hangs_up_is_undeliverable() -> None:
    async def send(channel: WebhookChannel) -> None:
        with pytest.raises(Undeliverable, match="ServerDisconnectedError"):
            await channel.send(alert("a-1"))

    against(HangingUpWebhook(), send)


def test_a_receiver_that_is_not_there_is_undeliverable() -> None:
    receiver = Receiver()

    async def run() -> None:
        async with receiver.listening():
            pass
        channel = WebhookChannel(receiver.url, SECRET, 5.0)
        with pytest.raises(Undeliverable, match="Cannot connect"):
            await channel.send(alert("a-1"))
        await channel.close()

    asyncio.run(run())


def test_a_receiver_that_was_away_gets_the_alert_with_the_same_key() -> None:
    receiver = RefusingWebhook(503, 500)

    async def send(channel: WebhookChannel) -> None:
        await Notifier([channel], Patience(first_wait_s=0)).notify(encode(alert("a-1")))

    against(receiver, send)

    assert [headers[IDEMPOTENCY] for headers, _ in receiver.requests] == ["a-1", "a-1", "a-1"]


def test_a_mute_webhook_does_not_keep_later_alerts_from_the_log() -> None:
    receiver, log = MuteWebhook(), Listener("log")

    async def send(channel: WebhookChannel) -> None:
        team = Notifier([channel, log], Patience(attempts=2, first_wait_s=0))
        for number in range(4):
            await team.notify(encode(alert(f"a-{number}")))

    against(receiver, send, timeout_s=0.05)

    assert log.heard == ["a-0", "a-1", "a-2", "a-3"]
    assert len(receiver.requests) == 2 + 1 + 1 + 1
