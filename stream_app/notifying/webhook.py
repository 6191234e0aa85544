"""Alerts to a team's own system: one signed POST each.

The receiver gets the alert as JSON with

    Idempotency-Key: <alert_id>                                     the same alert may come twice
    X-Moodstream-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256>   over "<t>.<body>", with the shared secret

and checks it with `verify`. It answers 2xx once it has the alert.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from urllib.parse import urlsplit

import aiohttp

from schemas import codec
from schemas.events import AlertRaised
from stream_app.errors import SetupError
from stream_app.notifying.channel import Refused, Undeliverable

SIGNATURE = "X-Moodstream-Signature"
IDEMPOTENCY = "Idempotency-Key"

# 408 and 425 say "again"; 429 "later". Every other 4xx says that this request is wrong and will stay wrong.
RETRIED_4XX = {408, 425, 429}


def sign(secret: str, body: bytes, now: float) -> str:
    """The signature header for a body sent now (unix seconds)."""
    return f"t={int(now)},v1={_digest(secret, str(int(now)), body)}"


def verify(secret: str, header: str, body: bytes, now: float, tolerance_s: float = 300) -> bool:
    """Whether a body comes from a holder of the secret and was signed within `tolerance_s` of `now` (unix seconds).

    An old signature is refused, or whoever recorded a request could send it again. Several `v1=` may stand in the
    header: one that fits is enough, so a secret can be changed without a gap.
    """
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if not secret or len(times) != 1 or not (times[0].isascii() and times[0].isdigit()) or len(times[0]) > 15:
        return False
    if abs(now - int(times[0])) > tolerance_s:
        return False
    expected = _digest(secret, times[0], body).encode()
    given = [value.encode("utf-8", "surrogateescape") for name, _, value in parts if name == "v1"]
    return any(hmac.compare_digest(expected, one) for one in given)


def _digest(secret: str, at: str, body: bytes) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, sha256).hexdigest()


class WebhookChannel:
    """Satisfies `Channel`. Without a secret requests are unsigned. `now` gives unix seconds."""

    name = "webhook"

    def __init__(self, url: str, secret: str, timeout_s: float, now: Callable[[], float] = time.time) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SetupError("the webhook's URL must begin with http:// or https:// and name a host")
        self._url = url
        self._secret = secret
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def send(self, alert: AlertRaised) -> None:
        body = codec.encode(alert)
        headers = {"Content-Type": "application/json", "User-Agent": "moodstream", IDEMPOTENCY: alert.alert_id}
        if self._secret:
            headers[SIGNATURE] = sign(self._secret, body, self._now())
        if self._session is None:  # here, because a session belongs to a running event loop
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            # A redirect would carry the alert to a place nobody set up.
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                self._judge(response)
        except TimeoutError:
            raise Undeliverable(f"no answer within {self._timeout.total} s") from None
        except (aiohttp.ClientError, OSError) as failure:
            raise Undeliverable(f"{type(failure).__name__}: {failure}") from failure

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _judge(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if 200 <= status < 300:
            return
        said = f"HTTP {status} {response.reason or ''}".rstrip()
        if status >= 500 or status in RETRIED_4XX:
            raise Undeliverable(said, _retry_after(response.headers.get("Retry-After"), self._now()))
        raise Refused(said)


def _retry_after(header: str | None, now: float) -> float | None:
    """Seconds, from either form of the header; None if there is none or it makes no sense."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now, UTC)).total_seconds())
