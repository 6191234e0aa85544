"""A wrong setting stops the start with one readable line that names it, and shows no secret."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stream_app.settings import Settings
from tests.worker import environment

pytestmark = pytest.mark.services

SASL = {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_password": "S3CRET-PA"}


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        pytest.param({"redis": "redis://localhost:abc"}, "MOODSTREAM_REDIS", id="a port that is no number"),
        pytest.param({"redis": "redis://user:S3CRET-PA/ss@host"}, "MOODSTREAM_REDIS", id="a password with a slash"),
        pytest.param({"redis": "redis://user:6379/S3CRET-PA@host"}, "MOODSTREAM_REDIS", id="a password like a port"),
        pytest.param(
            {"redis": "redis://user:S3CRET-PA@host/0?socket_timeout=abc", "slot": ""},
            "Redis URL",
            id="an option Redis's client refuses, in the slot's lease",
        ),
        pytest.param(
            {"redis": "redis://user:S3CRET-PA@host/0?socket_timeout=abc"},
            "Redis URL",
            id="an option Redis's client refuses, in the alert memory",
        ),
        pytest.param(
            {"database": "postgresql://u:S3CRET-PA/ss@h:abc/x"},
            "MOODSTREAM_DATABASE",
            id="a database's password with a slash",
        ),
        pytest.param({"kafka_ca_file": "/no/such.pem"}, "MOODSTREAM_KAFKA_CA_FILE", id="a certificate that is missing"),
        pytest.param(SASL, "MOODSTREAM_KAFKA_USERNAME", id="a login without a user"),
        pytest.param(
            {"kafka_security_protocol": "SASL_SSL", "kafka_username": "u"},
            "MOODSTREAM_KAFKA_PASSWORD",
            id="a login without a password",
        ),
        pytest.param({"pseudonym_key": "密" * 32}, "MOODSTREAM_PSEUDONYM_KEY", id="a key of too many bytes"),
        pytest.param(
            {"event_max_age_days": "9999999999"}, "MOODSTREAM_EVENT_MAX_AGE_DAYS", id="an age beyond all time"
        ),
        pytest.param({"transaction_timeout_ms": "1000000"}, "MOODSTREAM_TRANSACTION_TIMEOUT_MS", id="a long timeout"),
        pytest.param({"watchdog_s": "19"}, "MOODSTREAM_WATCHDOG_S", id="a watchdog quicker than a transaction"),
        pytest.param({"roles": ""}, "MOODSTREAM_ROLES", id="nothing to do"),
        pytest.param({"roles": "score,dance"}, "MOODSTREAM_ROLES", id="a role nobody has"),
        pytest.param({"webhook_url": "http://host:99999/x"}, "MOODSTREAM_WEBHOOK_URL", id="a port that cannot be"),
        pytest.param({"webhook_url": "ftp://host/x"}, "MOODSTREAM_WEBHOOK_URL", id="a webhook by ftp"),
        pytest.param({"webhook_url": "http://host:0/x"}, "MOODSTREAM_WEBHOOK_URL", id="a port nobody has"),
        pytest.param({"web_host": "192.0.2.1"}, "MOODSTREAM_WEB_HOST", id="an address of another machine"),
        pytest.param({"web_host": "a" * 70}, "MOODSTREAM_WEB_HOST", id="a name no host can have"),
        pytest.param({"batch_evens": "10"}, "MOODSTREAM_BATCH_EVENS", id="a misspelt name"),
    ],
)
def test_a_wrong_setting_is_one_readable_line(settings: Settings, wrong: dict[str, str], names: str) -> None:
    assert_one_line(settings, names, **wrong)


def test_a_web_port_in_use_is_one_readable_line(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert_one_line(settings, "MOODSTREAM_WEB_PORT", web_port=str(taken.getsockname()[1]))


def test_a_certificate_that_is_none_is_one_readable_line(settings: Settings, tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.write_text("no certificate")
    assert_one_line(settings, "Kafka", kafka_security_protocol="SSL", kafka_ca_file=str(certificate))


@pytest.mark.parametrize(
    ("kafka", "key", "warns"),
    [
        ("kafka-1.example:9092", None, True),
        ("localhost:9092,kafka-1.example:9092", None, True),
        ("kafka-1.example:9092", "a secret of our own", False),
        ("127.0.0.1:9092, localhost:9093", None, False),
    ],
)
def test_the_built_in_pseudonym_key_beyond_this_machine_is_warned_of(kafka: str, key: str | None, warns: bool) -> None:
    given = f"kafka={kafka!r}" + (f", pseudonym_key={key!r}" if key else "")
    code = f"from stream_app import app, settings; app._warn_of_known_key(settings.Settings({given}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ("MOODSTREAM_PSEUDONYM_KEY" in ran.stderr) == warns


def assert_one_line(settings: Settings, names: str, **wrong: str) -> None:
    given = {"kafka_password": "", "slot": "0", "log_level": "error", "model": "quick"} | wrong
    if not given["slot"]:
        del given["slot"]  # then one is leased in Redis
    ran = subprocess.run(
        [sys.executable, "-m", "stream_app", "worker"],
        env=environment(settings, **given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith("moodstream worker:")
    assert names in line
    assert "Traceback" not in line
    assert "S3CRET" not in line
