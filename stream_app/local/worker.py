"""One `moodstream worker` as a child process, for the demo."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from stream_app.errors import SetupError
from stream_app.local.process import LAUNCHER, POLL_S, kill_tree
from stream_app.settings import PREFIX, ROLES, Settings

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0


class WorkerProcess:
    """Started with these settings on a free web port; its log goes to a file.

    It ends with this process, however that ends, unless it is to be `kept`.
    """

    def __init__(self, settings: Settings, log: Path, *, kept: bool) -> None:
        self.log = log
        self.port = _free_port(settings.web_host)
        self.health_url = f"http://{settings.web_host}:{self.port}/health"
        roles = ",".join(ROLES)
        command = [sys.executable, "-m", "stream_app", "worker", "--roles", roles, "--web-port", str(self.port)]
        if not kept:
            command = [
                sys.executable,
                "-I",
                "-S",
                str(LAUNCHER),
                str(os.getpid()),
                str(int(signal.SIGTERM)),
                "-",
                *command,
            ]
        addresses = {
            f"{PREFIX}KAFKA": settings.kafka,
            f"{PREFIX}DATABASE": settings.database.get_secret_value(),
            f"{PREFIX}REDIS": settings.redis.get_secret_value(),
        }
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | addresses,
                start_new_session=True,  # Ctrl-C in the terminal is for the demo; it stops the worker in order
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_healthy(self) -> None:
        """Until every role is at work. Raises SetupError with the worker's last words."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self.health() or {}).get("healthy"):
            self.check_alive()
            if time.monotonic() > deadline:
                raise SetupError(f"the worker was not ready within {START_TIMEOUT_S:.0f} s (see {self.log})")
            time.sleep(POLL_S * 5)

    def check_alive(self) -> None:
        """Raises SetupError with the worker's last words if it has ended."""
        if (status := self._process.poll()) is not None:
            raise SetupError(f"the worker ended with status {status}: {self._last_words()} (see {self.log})")

    def health(self) -> dict[str, Any] | None:
        """What `/health` says; None while nobody answers."""
        try:
            with urllib.request.urlopen(self.health_url, timeout=5) as answer:
                report: dict[str, Any] = json.load(answer)
                return report
        except (urllib.error.URLError, OSError, ValueError):
            return None

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            kill_tree(self.pid)
            self._process.wait()

    def _last_words(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
