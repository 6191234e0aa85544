"""`moodstream worker` as its own process, the way people run it."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stream_app.settings import Settings
from tests.conftest import wait_until


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The settings as variables; `more` in lower case, as in Settings."""
    given = {
        "kafka": settings.kafka,
        "database": settings.database.get_secret_value(),
        "redis": settings.redis.get_secret_value(),
        "group": settings.group,
        "model": settings.model,
        "kafka_security_protocol": settings.kafka_security_protocol,
        "kafka_sasl_mechanism": settings.kafka_sasl_mechanism,
        "kafka_username": settings.kafka_username,
        "kafka_password": settings.kafka_password.get_secret_value(),
        "web_port": "0",
    } | more
    return os.environ | {f"MOODSTREAM_{name.upper()}": value for name, value in given.items()}


class Worker:
    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self._port = port
        self._log = log

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
            content: bytes = answer.read()
            return content.decode()

    def healthy(self) -> bool:
        try:
            report: dict[str, Any] = json.loads(self.get("/health"))
        except OSError:
            assert self.process.poll() is None, f"the worker ended:\n{self.log()}"
            return False
        return bool(report["healthy"])

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def worker(settings: Settings, folder: Path, **more: str) -> Iterator[Worker]:
    """A healthy worker, ended when the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "worker.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "worker"],
            env=environment(settings, **({"slot": "0", "web_port": str(port)} | more)),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        running = Worker(process, port, log)
        wait_until(running.healthy, 60, "a healthy worker")
        yield running
    finally:
        process.kill()
        process.wait()
