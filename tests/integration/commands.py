"""The command line in tests: its environment, stages at work beside it, events to publish."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import Result

from stream_app import roles
from stream_app.flow.kafka.reader import read
from stream_app.flow.watchdog import Watchdog
from stream_app.model import load_model
from stream_app.recording.lookup import query
from stream_app.settings import Settings

Run = Callable[..., Result]
NOW = datetime.now(UTC).isoformat(timespec="milliseconds")
NO_DATABASE = {"MOODSTREAM_DATABASE": "postgresql://nobody@127.0.0.1:1/none"}


def environment(settings: Settings, home: Path) -> dict[str, str]:
    return {
        "MOODSTREAM_HOME": str(home / "home"),
        "MOODSTREAM_KAFKA": settings.kafka,
        "MOODSTREAM_DATABASE": settings.database.get_secret_value(),
        "MOODSTREAM_REDIS": settings.redis.get_secret_value(),
        "MOODSTREAM_GROUP": settings.group,
        "MOODSTREAM_MODEL": "quick",
        "MOODSTREAM_SLOT": "0",
    }


@contextmanager
def at_work(settings: Settings, *names: str) -> Iterator[None]:
    """These stages, running in this process."""
    make: dict[str, Callable[[], Any]] = {
        "score": lambda: roles.score_stage(settings, load_model(settings)),
        "alert": lambda: roles.alert_stage(settings),
        "record": lambda: roles.record_stage(settings),
    }
    with ExitStack() as ended:
        for name in names or make:
            loop = roles.loop(settings, make[name](), 0, Watchdog())
            thread = threading.Thread(target=loop.run, name=name)
            thread.start()
            ended.callback(thread.join)
            ended.callback(loop.stop)
        yield


def values(settings: Settings, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    return [(delivery.key, delivery.value) for delivery in read(settings, [topic]) if delivery]


def rows(settings: Settings, table: str) -> int:
    _, ((count,),) = query(settings.database.get_secret_value(), f"SELECT count(*) FROM {table}")
    return int(count)


def review(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "review_posted", "version": 1, "event_id": name, "event_time": NOW, "text": text} | more


def turn(name: str, number: int, text: str) -> dict[str, Any]:
    about = {"conversation_id": "c-1", "side": "customer", "turn": number, "customer_id": "u-1"}
    return {"type": "chat_message", "version": 1, "event_id": name, "event_time": NOW, "text": text} | about


def file(folder: Path, *lines: dict[str, Any] | bytes, name: str = "events.jsonl") -> str:
    path = folder / name
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    return str(path)


def one_line(outcome: Result) -> str:
    assert outcome.exit_code == 2, outcome.output
    assert outcome.stderr.count("\n") == 1
    assert "Traceback" not in outcome.output
    return outcome.stderr
