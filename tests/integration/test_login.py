"""A broker that asks who is there: librdkafka's clients and Faust's agents log in alike."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from pydantic import SecretStr

from schemas.topics import ALL, REVIEWS
from stream_app.flow.kafka.admin import Admin
from stream_app.flow.kafka.publisher import Publisher
from stream_app.local.kafka import Kafka
from stream_app.local.ports import fixed_port
from stream_app.settings import Settings
from tests.conftest import wait_until
from tests.e2e.test_one_review import REVIEW, Receiver
from tests.worker import environment, worker

pytestmark = pytest.mark.services

USER, PASSWORD = "moodstream", "correct horse"


class GuardedKafka(Kafka):
    """A second listener that wants a user and a password, by PLAIN or SCRAM-SHA-512."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.guarded_port = fixed_port(home / "kafka-guarded.port")

    def _settings(self) -> str:
        login = "org.apache.kafka.common.security"
        return (
            super()
            ._settings()
            .replace("listeners=", f"listeners=GUARDED://127.0.0.1:{self.guarded_port},", 1)
            .replace("protocol.map=", "protocol.map=GUARDED:SASL_PLAINTEXT,", 1)
            + "inter.broker.listener.name=PLAINTEXT\n"
            + "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n"
            + f"listener.name.guarded.plain.sasl.jaas.config={login}.plain.PlainLoginModule required"
            + f' user_{USER}="{PASSWORD}";\n'
            + f"listener.name.guarded.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;\n"
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    home = tmp_path_factory.mktemp("guarded")
    kafka = GuardedKafka(home)
    kafka.start()
    admin = AdminClient({"bootstrap.servers": kafka.url})
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    for future in admin.alter_user_scram_credentials(
        [UserScramCredentialUpsertion(USER, scram, PASSWORD.encode())]
    ).values():
        future.result()
    yield kafka
    kafka.stop()


def login(settings: Settings, guarded: GuardedKafka, mechanism: str, password: str = PASSWORD) -> Settings:
    return settings.model_copy(
        update={
            "kafka": f"127.0.0.1:{guarded.guarded_port}",
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_sasl_mechanism": mechanism,
            "kafka_username": USER,
            "kafka_password": SecretStr(password),
        }
    )


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_one_login_serves_the_loops_and_the_agents(
    settings: Settings, guarded: GuardedKafka, tmp_path: Path, mechanism: str
) -> None:
    known = login(settings, guarded, mechanism)
    admin = Admin(known)
    admin.delete_topics(ALL)
    admin.create_topics(ALL)
    with (
        Receiver() as receiver,
        worker(known, tmp_path, webhook_url=f"http://127.0.0.1:{receiver.port}/alerts"),
    ):
        publisher = Publisher(known)
        publisher.send(REVIEWS.name, b"customer-17", json.dumps(REVIEW).encode())
        publisher.flush()
        wait_until(lambda: receiver.received, what="an alert at the webhook")


@pytest.mark.parametrize("command", [["worker"], ["check"], ["tail", "alerts", "--no-follow"]], ids=lambda c: c[0])
def test_a_wrong_password_is_one_readable_line(settings: Settings, guarded: GuardedKafka, command: list[str]) -> None:
    stranger = login(settings, guarded, "SCRAM-SHA-512", "battery staple")

    ran = subprocess.run(
        [sys.executable, "-m", "stream_app", *command],
        env=environment(stranger, slot="0"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    said = ran.stdout + ran.stderr
    assert ran.returncode == 2
    assert "password refused" in said or "Authentication failed" in said
    assert "Traceback" not in said
    assert "battery staple" not in said
