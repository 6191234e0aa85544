"""Kafka, PostgreSQL and Redis on this machine, from packages: `up`, `running`, `down`, or `with Stack(home)`.

Everything one stack is lies in its home: three data folders, their logs and ports, and `stack.json` while it runs.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from stream_app.local.kafka import Kafka
from stream_app.local.postgres import Postgres
from stream_app.local.process import POLL_S, Identity, identify, is_alive, kill_tree, wait_until_gone
from stream_app.local.redis import Redis
from stream_app.local.service import LocalStackError, Service

__all__ = ["Endpoints", "LocalStackError", "Stack", "down", "home", "running", "up"]

OnReady = Callable[[str, float], None]
STOP_TIMEOUT_S = 90.0


class Endpoints(msgspec.Struct, frozen=True):
    """Where the three servers answer, and the process that looks after them."""

    kafka: str
    database: str
    redis: str
    pid: int


class _Running(msgspec.Struct, frozen=True):
    """What `stack.json` holds."""

    endpoints: Endpoints
    supervisor: Identity


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The supervisor to the one who asked for it, a line of JSON each: this server has answered …"""

    name: str
    seconds: float


class Failed(msgspec.Struct, frozen=True, tag=True):
    """… or the stack cannot be had."""

    message: str


def home() -> Path:
    """MOODSTREAM_HOME, else the place the desktop standard gives to state that must survive a restart."""
    if chosen := os.environ.get("MOODSTREAM_HOME"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state").absolute() / "moodstream"


def running(home: Path) -> Endpoints | None:
    """The stack of this home, if the process that looks after it is alive."""
    try:
        record = msgspec.json.decode((home / "stack.json").read_bytes(), type=_Running)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
    return record.endpoints if is_alive(record.supervisor) else None


def up(home: Path, on_ready: OnReady) -> Endpoints:
    """Start the stack under a supervisor that outlives this process and its terminal; at once if it is running.

    `on_ready(name, seconds)` is called as each server answers. Two at a time do not race: one waits for the other.
    LocalStackError says in one sentence why it cannot be had; then nothing is left running.
    """
    home = home.absolute()
    _make(home)
    with _locked(home / "up.lock"):
        if already := running(home):
            return already
        _start_supervisor(home, on_ready)
        if started := running(home):
            return started
    raise LocalStackError(f"the local servers ended as soon as they had started (see {home / 'supervisor.log'})")


def down(home: Path) -> bool:
    """Stop the stack in good order and wait for it; False if it was not running."""
    endpoints = running(home)
    if endpoints is None or (supervisor := identify(endpoints.pid)) is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor.pid, signal.SIGTERM)
    if not wait_until_gone([supervisor], STOP_TIMEOUT_S):
        kill_tree(supervisor.pid)
    (home / "stack.json").unlink(missing_ok=True)
    return True


class Stack:
    """The three servers of one home, owned by this process: they end when it does, however it ends.

    A context manager: inside, all three have answered. One stack at a time has a home; a second is refused.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()  # the servers run in /
        self.kafka = Kafka(self.home)
        self.postgres = Postgres(self.home)
        self.redis = Redis(self.home)
        self._lock = contextlib.ExitStack()
        self._announced = False

    @property
    def services(self) -> tuple[Service, ...]:
        return (self.kafka, self.postgres, self.redis)

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(kafka=self.kafka.url, database=self.postgres.url, redis=self.redis.url, pid=os.getpid())

    def start(self, on_ready: OnReady = lambda name, seconds: None) -> Endpoints:
        """All three at once; back when each has answered. If one fails, the others are stopped and its error raised."""
        _make(self.home)
        self._lock.enter_context(_locked(self.home / "stack.lock", give_up=self._is_used))
        try:
            with ThreadPoolExecutor(len(self.services)) as pool:
                starts = {pool.submit(service.start): service for service in self.services}
                try:
                    for start in as_completed(starts):
                        on_ready(starts[start].name, start.result())
                except BaseException:
                    self._stop_services()  # makes the other starts fail now, or the pool would wait for them
                    raise
            self._announce()
        except BaseException:
            self.stop()
            raise
        return self.endpoints

    def stop(self) -> None:
        if self._announced:
            (self.home / "stack.json").unlink(missing_ok=True)  # first: nobody shall find servers that are leaving
            self._announced = False
        self._stop_services()
        self._lock.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _stop_services(self) -> None:
        with ThreadPoolExecutor(len(self.services)) as pool:
            list(pool.map(lambda service: service.stop(), self.services))

    def _is_used(self) -> bool:
        """A stack that runs keeps its home; one that is only leaving, or not yet to be found, is worth waiting for."""
        return running(self.home) is not None

    def _announce(self) -> None:
        ourselves = identify(os.getpid())
        assert ourselves is not None
        draft = self.home / "stack.json.draft"
        draft.write_bytes(msgspec.json.encode(_Running(self.endpoints, ourselves)))
        draft.replace(self.home / "stack.json")
        self._announced = True


def _start_supervisor(home: Path, on_ready: OnReady) -> None:
    """It says on a pipe what becomes ready, then closes it. Should we go away before, it stops what it has started."""
    command = [sys.executable, "-m", "stream_app.local.supervisor", str(home)]
    with (
        (home / "supervisor.log").open("ab") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log) as supervisor,
    ):
        assert supervisor.stdout is not None
        for line in supervisor.stdout:
            match msgspec.json.decode(line, type=Ready | Failed):
                case Ready(name, seconds):
                    on_ready(name, seconds)
                case Failed(message):
                    raise LocalStackError(message)


def _make(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        for name in ("up.lock", "stack.lock", "supervisor.log"):
            (home / name).touch()
    except OSError as error:
        why = error.strerror
        raise LocalStackError(
            f"{home} cannot be used as a data folder: {why}; set MOODSTREAM_HOME to another"
        ) from error


@contextlib.contextmanager
def _locked(path: Path, give_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
    with path.open("w") as file:
        while not _try_lock(file):
            if give_up():
                used = f"another moodstream stack is using {path.parent}"
                raise LocalStackError(f"{used}: `moodstream down` stops it")
            time.sleep(POLL_S)
        yield


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
