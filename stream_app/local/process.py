"""Processes: start one that dies with us, tell it from a later one with its number, end a whole tree of them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

POLL_S = 0.02
LAUNCHER = Path(__file__).with_name("launch.py")

# The kernel sends a death signal when the *thread* that forked ends. All servers are forked from this one thread, which
# lives as long as the interpreter, so that `Service.start` may be called from any.
_forks = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forks-servers")


class Identity(msgspec.Struct, frozen=True):
    """A process for certain: numbers are used again, a number with its start time is not."""

    pid: int
    started_ticks: int


class Account(msgspec.Struct, frozen=True):
    """Who a server runs as: `uid:gid` once launched, or a command that comes before it and maps the users."""

    ids: str = "-"
    prefix: tuple[str, ...] = ()


OURSELVES = Account()


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    death_signal: signal.Signals,
    account: Account = OURSELVES,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own; it gets `death_signal` when this interpreter ends, however it ends."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), account.ids]
    argv = [*account.prefix, *launcher, *map(str, command)]
    environment = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.environ.get("PATH", os.defpath)}
    with log.open("ab") as output:

        def fork() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment,
                start_new_session=True,
            )

        return _forks.submit(fork).result()


def identify(pid: int) -> Identity | None:
    """The living process with this number; None if there is none or it is a zombie."""
    fields = _stat(pid)
    return Identity(pid, int(fields[19])) if fields and fields[0] not in ("Z", "X") else None


def is_alive(identity: Identity) -> bool:
    return identify(identity.pid) == identity


def tree(pid: int) -> list[Identity]:
    """The process and everything below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        waiting += children.get(one, [])
        if identity := identify(one):
            found.append(identity)
    return found


def kill_tree(pid: int) -> None:
    """SIGKILL to the process and everything below it; returns when all of them are gone."""
    family = tree(pid)
    for identity in family:
        if is_alive(identity):
            with contextlib.suppress(ProcessLookupError):
                os.kill(identity.pid, signal.SIGKILL)
    wait_until_gone(family, timeout_s=10)


def wait_until_gone(identities: Sequence[Identity], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(map(is_alive, identities)):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on: state, parent, …; the start time is the twentieth."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
