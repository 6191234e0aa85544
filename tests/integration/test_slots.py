"""Every worker a number of its own, and the number of a dead one is free at once."""

import socket
import subprocess
import sys
import threading

import pytest
import redis
from pydantic import SecretStr

from stream_app.errors import NeighbourDown, SetupError
from stream_app.flow.slot import take_slot
from stream_app.settings import Settings
from tests.worker import environment

pytestmark = pytest.mark.services


@pytest.fixture
def leasing(settings: Settings) -> Settings:
    return settings.model_copy(update={"slot": None})


def test_workers_get_the_lowest_free_numbers(leasing: Settings) -> None:
    first, second = take_slot(leasing), take_slot(leasing)
    assert (first.number, second.number) == (0, 1)

    first.release()
    third = take_slot(leasing)
    assert third.number == 0

    second.release()
    third.release()


def test_the_slot_of_a_killed_worker_is_taken_over_at_once(leasing: Settings) -> None:
    script = (
        "import os, signal; from stream_app.flow.slot import take_slot; from stream_app.settings import load;"
        "take_slot(load()); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script], env=environment(leasing), check=False)
    assert killed.returncode == -9

    slot = take_slot(leasing)
    assert slot.number == 0
    slot.release()


def test_a_worker_on_another_host_keeps_its_slot(leasing: Settings) -> None:
    client = redis.Redis.from_url(leasing.redis.get_secret_value())
    client.set(f"{leasing.group}:slot:0", "another-host/1/1", px=60_000)
    client.close()

    slot = take_slot(leasing)
    assert slot.number == 1
    slot.release()


def test_a_worker_whose_number_is_taken_by_another_is_told(leasing: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two owners of one slot would fence each other in Kafka, in turns, for ever."""
    monkeypatch.setattr("stream_app.flow.slot.LEASE_S", 0.3)
    told = threading.Event()
    slot = take_slot(leasing)
    slot.when_lost(told.set)

    client = redis.Redis.from_url(leasing.redis.get_secret_value())
    client.set(f"{leasing.group}:slot:{slot.number}", "another-host/1/1", px=60_000)
    client.close()

    assert told.wait(10)
    slot.release()


def test_a_stateful_sets_ordinal_needs_no_lease(monkeypatch: pytest.MonkeyPatch, leasing: Settings) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(socket, "gethostname", lambda: "moodstream-7")

    assert take_slot(leasing.model_copy(update={"redis": dead_redis()})).number == 7


def test_without_a_number_and_without_redis_the_worker_says_what_to_set(leasing: Settings) -> None:
    with pytest.raises(SetupError, match="MOODSTREAM_SLOT"):
        take_slot(leasing.model_copy(update={"redis": SecretStr("")}))
    with pytest.raises(NeighbourDown, match="Redis"):
        take_slot(leasing.model_copy(update={"redis": dead_redis()}))


def dead_redis() -> SecretStr:
    return SecretStr("redis://127.0.0.1:1/0")
