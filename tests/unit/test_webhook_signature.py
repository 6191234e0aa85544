"""A receiver believes a body only from a holder of the secret, and only while it is fresh."""

import pytest

from stream_app.errors import SetupError
from stream_app.notifying.webhook import WebhookChannel, sign, verify

SECRET, BODY, NOW = "a shared secret", '{"alert_id":"a-1","reason":"愤怒"}'.encode(), 1_750_000_000.9
HEADER = sign(SECRET, BODY, NOW)


def test_a_known_signature_is_what_it_always_was() -> None:
    """Made with: printf '1750000000.{"alert_id":"1"}' | openssl dgst -sha256 -hmac secret"""
    assert sign("secret", b'{"alert_id":"1"}', 1_750_000_000) == (
        "t=1750000000,v1=742908ac5cec058b3a292628aade263a674668db5ae740854524c75b2b1f1afe"
    )


def test_a_signed_body_is_believed() -> None:
    assert verify(SECRET, HEADER, BODY, NOW)
    assert verify(SECRET, HEADER, BODY, NOW + 299)
    assert verify(SECRET, HEADER, BODY, NOW - 299)


def test_a_second_signature_lets_the_secret_be_changed() -> None:
    old = sign("the old secret", BODY, NOW).partition(",")[2]

    assert verify("the old secret", f"{HEADER},{old}", BODY, NOW)
    assert verify(SECRET, f"{HEADER}, {old}", BODY, NOW)


@pytest.mark.parametrize(
    ("secret", "header", "body", "now"),
    [
        pytest.param("another secret", HEADER, BODY, NOW, id="another secret"),
        pytest.param("", sign("", BODY, NOW), BODY, NOW, id="no secret"),
        pytest.param(SECRET, HEADER, BODY + b" ", NOW, id="another body"),
        pytest.param(SECRET, HEADER, BODY, NOW + 302, id="an old request, sent again"),
        pytest.param(SECRET, HEADER, BODY, NOW - 302, id="from the future"),
        pytest.param(SECRET, HEADER.replace("t=1750000000", "t=1750000001"), BODY, NOW, id="another time"),
        pytest.param(SECRET, "", BODY, NOW, id="no header"),
        pytest.param(SECRET, "t=1750000000", BODY, NOW, id="no signature"),
        pytest.param(SECRET, HEADER.partition(",")[2], BODY, NOW, id="no time"),
        pytest.param(SECRET, f"t=1,{HEADER}", BODY, NOW, id="two times"),
        pytest.param(SECRET, HEADER.replace("1750000000", "now"), BODY, NOW, id="a time that is none"),
        pytest.param(SECRET, HEADER.replace("1750000000", "١٧٥٠٠٠٠٠٠٠"), BODY, NOW, id="a time in other digits"),
        pytest.param(SECRET, HEADER.replace("1750000000", "9" * 5000), BODY, NOW, id="a time without end"),
        pytest.param(SECRET, "t=1750000000,v1=\udcff愤怒", BODY, NOW, id="bytes that are no text"),
        pytest.param(SECRET, HEADER.replace("v1=", "v0="), BODY, NOW, id="another scheme"),
    ],
)
def test_everything_else_is_refused(secret: str, header: str, body: bytes, now: float) -> None:
    assert verify(secret, header, body, now) is False


@pytest.mark.parametrize("url", ["", "hooks.example.org/alerts", "ftp://example.org", "https:///alerts"])
def test_a_url_that_cannot_be_posted_to_is_a_setup_error(url: str) -> None:
    with pytest.raises(SetupError, match="the webhook's URL must begin with"):
        WebhookChannel(url, SECRET, 5)
