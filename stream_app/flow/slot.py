"""The stable number of a worker: it names the transactional id and the static member id.

In order: `MOODSTREAM_SLOT`; the ordinal of a StatefulSet's host name (`moodstream-3` → 3, inside Kubernetes); the
lowest number free in Redis, leased for as long as the process lives. A lease whose owner died on this host is taken
over at once; one from another host after LEASE_S.
"""

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import redis

from stream_app.errors import NeighbourDown, SetupError
from stream_app.settings import Settings

LEASE_S = 15.0
MOST_SLOTS = 1000


class Slot:
    """A number and, where it is leased, its lease. `release` on a clean stop lets the next worker have it."""

    def __init__(self, number: int, lease: "Lease | None" = None) -> None:
        self.number = number
        self._lease = lease

    def when_lost(self, call: Callable[[], None]) -> None:
        """`call` once, from another thread, when somebody else has taken the number."""
        if self._lease is not None:
            self._lease.on_lost = call

    def release(self) -> None:
        if self._lease is not None:
            self._lease.release()


def take_slot(settings: Settings) -> Slot:
    """This worker's slot. Raises SetupError or NeighbourDown when it has to ask Redis and cannot."""
    if settings.slot is not None:
        return Slot(settings.slot)
    if "KUBERNETES_SERVICE_HOST" in os.environ and (ordinal := re.search(r"-(\d+)$", socket.gethostname())):
        return Slot(int(ordinal[1]))
    url = settings.redis.get_secret_value()
    if not url:
        raise SetupError("no slot: set MOODSTREAM_SLOT to this worker's own number, or MOODSTREAM_REDIS to lease one")
    try:
        client: redis.Redis = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
    except ValueError:  # the library's own message may quote the password
        raise SetupError("the Redis URL must be redis://[user:password@]host:port/number") from None
    return _lowest_free(client, settings.group)


def _lowest_free(client: redis.Redis, group: str) -> Slot:
    try:
        for number in range(MOST_SLOTS):
            lease = Lease(client, f"{group}:slot:{number}")
            if lease.take():
                return Slot(number, lease)
    except redis.RedisError as failure:
        raise NeighbourDown("Redis", f"leasing a slot: {failure}") from failure
    raise SetupError(f"all {MOST_SLOTS} slots of group {group} are taken")


class Lease:
    """One key in Redis that says who has the slot, renewed by a thread."""

    # Take it if nobody has it, or if the owner named in ARGV[3] (dead, on our host) still does.
    _TAKE = """
    local owner = redis.call('GET', KEYS[1])
    if (not owner) or owner == ARGV[3] then
      redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1
    end
    return 0"""
    _RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
    _RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

    def __init__(self, client: redis.Redis, key: str) -> None:
        self._client = client
        self._key = key
        self._me = _identity(os.getpid())
        self._over = threading.Event()
        self.on_lost: Callable[[], None] = lambda: None

    def take(self) -> bool:
        owner = self._client.get(self._key)
        dead = owner.decode() if isinstance(owner, bytes) and _died_here(owner.decode()) else ""
        taken = bool(self._client.eval(self._TAKE, 1, self._key, self._me, int(LEASE_S * 1000), dead))
        if taken:
            threading.Thread(target=self._renew, name="slot lease", daemon=True).start()
        return taken

    def release(self) -> None:
        self._over.set()
        with contextlib.suppress(redis.RedisError):  # it ends by itself after LEASE_S
            self._client.eval(self._RELEASE, 1, self._key, self._me)
        self._client.close()

    def _renew(self) -> None:
        """Keep the lease; take it again if Redis forgot it; say so if it is another's.

        Two owners of a slot lose nothing, for Kafka fences one of them, but then the other, and so on for ever.
        """
        while not self._over.wait(LEASE_S / 3):
            try:
                kept = self._client.eval(self._RENEW, 1, self._key, self._me, int(LEASE_S * 1000))
                if not kept and not self._client.set(self._key, self._me, px=int(LEASE_S * 1000), nx=True):
                    self._over.set()
                    self.on_lost()
            except redis.RedisError:
                continue


def _identity(pid: int) -> str:
    """host/pid/start time: a recycled pid is another process."""
    return f"{socket.gethostname()}/{pid}/{_started(pid)}"


def _died_here(owner: str) -> bool:
    host, _, rest = owner.partition("/")
    pid, _, started = rest.partition("/")
    return host == socket.gethostname() and pid.isdigit() and _started(int(pid)) != started


def _started(pid: int) -> str:
    """The kernel's start time of a process in clock ticks since boot; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
