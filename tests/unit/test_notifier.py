"""Every alert reaches every channel or is given up aloud, and no channel keeps an alert from another."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from schemas.codec import encode
from schemas.events import AlertRaised
from stream_app import roles
from stream_app.metrics import NOTIFICATIONS
from stream_app.notifying.channel import Channel, Refused, Undeliverable
from stream_app.notifying.log import LogChannel
from stream_app.notifying.notify import Notifier, Patience
from stream_app.settings import Settings
from tests.fakes_notifying import Listener, alert


class MuteListener(Listener):
    """Takes the alert and never answers; `send` ends in a timeout after `timeout_s` of the test's time."""

    def __init__(self, name: str, time: "Time", timeout_s: float) -> None:
        super().__init__(name)
        self._time = time
        self._timeout_s = timeout_s

    async def send(self, alert: AlertRaised) -> None:
        self.tries += 1
        await self._time.sleep(self._timeout_s)
        raise Undeliverable("no answer")


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def notifier(channels: Sequence[Channel], time: Time, chance: Callable[[], float] = lambda: 1.0) -> Notifier:
    return Notifier(channels, Patience(), clock=lambda: time.now, sleep=time.sleep, chance=chance)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def counted(channel: str, outcome: str) -> float:
    return float(NOTIFICATIONS.labels(channel, outcome)._value.get())


def test_every_channel_gets_every_alert() -> None:
    one, two = Listener("one"), Listener("two")

    async def work() -> None:
        team = notifier([one, two], Time())
        await team.notify(encode(alert("a-1")))
        await team.notify(encode(alert("a-2")))

    run(work())

    assert one.heard == two.heard == ["a-1", "a-2"]


def test_a_channel_that_stumbles_is_tried_again_with_growing_waits() -> None:
    shy, time = Listener("shy", failures=4), Time()

    run(notifier([shy], time).notify(encode(alert("a-1"))))

    assert shy.heard == ["a-1"]
    assert time.slept == [1, 2, 4, 8]


def test_waits_are_spread_so_that_workers_do_not_come_back_in_step() -> None:
    patience = Patience()

    assert [patience.wait_s(attempt, 0.0) for attempt in (1, 2, 3, 10)] == [0.5, 1, 2, 10]
    assert [patience.wait_s(attempt, 1.0) for attempt in (1, 2, 3, 10)] == [1, 2, 4, 20]


def test_an_alert_is_given_up_in_bounded_time_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    mute = MuteListener("mute", time, timeout_s=5)
    before = counted("mute", "given_up")

    run(notifier([mute], time).notify(encode(alert("a-1"))))

    assert mute.tries == 5
    assert time.now < 60
    assert counted("mute", "given_up") == before + 1
    assert "channel mute: gave up alert a-1 after 5 tries: no answer" in caplog.text


def test_a_channel_that_is_down_costs_later_alerts_one_try_until_it_is_back() -> None:
    webhook, log, time = Listener("webhook", failures=7), Listener("log"), Time()

    async def work() -> None:
        team = notifier([webhook, log], time)
        for number in range(1, 6):
            await team.notify(encode(alert(f"a-{number}")))

    run(work())

    assert log.heard == ["a-1", "a-2", "a-3", "a-4", "a-5"]
    assert webhook.heard == ["a-4", "a-5"]
    assert webhook.tries == 5 + 1 + 1 + 1 + 1
    assert sum(time.slept) == 1 + 2 + 4 + 8


def test_a_channel_that_is_back_gets_its_patience_back() -> None:
    time = Time()
    webhook = Listener("webhook", failures=5)

    async def work() -> None:
        team = notifier([webhook], time)
        await team.notify(encode(alert("given up")))
        await team.notify(encode(alert("through")))
        webhook._failures = webhook.tries + 2
        await team.notify(encode(alert("late")))

    run(work())

    assert webhook.heard == ["through", "late"]


def test_a_mute_channel_does_not_keep_the_alert_from_the_others() -> None:
    """The log has the alert while the webhook has not even answered the first time."""
    logged = asyncio.Event()

    class WaitingListener(Listener):
        async def send(self, alert: AlertRaised) -> None:
            await logged.wait()
            await super().send(alert)

    class TellingListener(Listener):
        async def send(self, alert: AlertRaised) -> None:
            await super().send(alert)
            logged.set()

    waiting, log = WaitingListener("waiting"), TellingListener("log")

    run(notifier([waiting, log], Time()).notify(encode(alert("a-1"))))

    assert waiting.heard == log.heard == ["a-1"]


def test_a_receiver_that_asks_for_time_gets_it() -> None:
    busy, time = Listener("busy", failures=1, failure=Undeliverable("HTTP 429", retry_after=17)), Time()

    run(notifier([busy], time).notify(encode(alert("a-1"))))

    assert busy.heard == ["a-1"]
    assert time.slept == [17]


def test_a_receiver_that_asks_for_too_much_time_is_given_up_at_once() -> None:
    busy, time = Listener("busy", failures=9, failure=Undeliverable("HTTP 503", retry_after=3600)), Time()

    run(notifier([busy], time).notify(encode(alert("a-1"))))

    assert busy.tries == 1
    assert time.slept == []


def test_a_refusal_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    strict = Listener("strict", failures=9, failure=Refused("HTTP 400 Bad Request"))
    before = counted("strict", "refused")

    run(notifier([strict], Time()).notify(encode(alert("a-1"))))

    assert strict.tries == 1
    assert counted("strict", "refused") == before + 1
    assert "channel strict refused alert a-1: HTTP 400 Bad Request" in caplog.text


def test_a_defect_in_one_channel_costs_only_that_channel() -> None:
    broken, log = Listener("broken", failures=9, failure=ZeroDivisionError("a defect of ours")), Listener("log")
    before = counted("broken", "failed")

    run(notifier([broken, log], Time()).notify(encode(alert("a-1"))))

    assert log.heard == ["a-1"]
    assert counted("broken", "failed") == before + 1


@pytest.mark.parametrize("payload", [None, b"", b"{", b'{"type":"sentiment_scored","version":1}', b"\xff\xfe"])
def test_a_payload_that_is_no_alert_is_counted_and_passed_over(
    payload: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    log, before = Listener("log"), counted("none", "undecodable")

    run(notifier([log], Time()).notify(payload))

    assert log.heard == []
    assert counted("none", "undecodable") == before + 1
    assert caplog.records[0].levelno == logging.ERROR


def test_a_stop_ends_the_waiting_and_leaves_the_alert_unacknowledged() -> None:
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    async def work() -> None:
        team = Notifier([Listener("mute", failures=9)], sleep=sleep)
        task = asyncio.ensure_future(team.notify(encode(alert("a-1"))))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work())


def test_closing_closes_every_channel() -> None:
    one, two = Listener("one"), Listener("two")

    run(notifier([one, two], Time()).close())

    assert one.closed
    assert two.closed


# --- the log, and the wiring -----------------------------------------------------------------------------------------


def test_the_log_line_says_where_to_look_and_quotes_no_customer() -> None:
    with capture_logs() as lines:
        run(LogChannel().send(alert("a-1")))

    [line] = lines
    assert line["event"] == "alert"
    assert (line["alert_id"], line["severity"], line["conversation_id"]) == ("a-1", 2, "c-1")
    assert "turns" not in line


def test_the_log_is_always_told_and_the_webhook_where_there_is_one() -> None:
    alone, both = roles.notifier(settings()), roles.notifier(settings(webhook_url="https://example.org/alerts"))

    assert [channel.name for channel in alone._channels] == ["log"]
    assert [channel.name for channel in both._channels] == ["log", "webhook"]
    with pytest.raises(ValidationError):
        settings(webhook_url="example.org")


def settings(**given: str) -> Settings:
    return Settings.model_validate(given)
