"""`moodstream demo`: the whole product on this machine, in a minute."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.status import Status
from rich.syntax import Syntax
from rich.text import Text

from schemas.events import Event
from schemas.topics import ALERTS, ALL, DEAD_LETTERS, SENTIMENT
from stream_app import settings as configuration
from stream_app.commands.lines import line
from stream_app.commands.reach import reach_kafka
from stream_app.commands.terminal import console, print_json, say, table
from stream_app.local.stack import down, home, running, up
from stream_app.settings import Settings


@click.command("demo")
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=6.0, show_default=True, help="The sample lasts so long."
)
@click.option("--keep", is_flag=True, help="Leave the local stack and the worker running.")
@click.option("--json", "as_json", is_flag=True, help="For programs: only the summary, as one JSON object.")
def command(seconds: float, keep: bool, as_json: bool) -> None:
    """See it run: real servers, a sample, every event as it comes.

    Starts the local stack if no addresses are configured and none is running, a worker, and publishes some four
    hundred made-up reviews and chat turns: conversations that turn sour, a product that smokes, a few malformed
    events. Ends with what came of them and three questions answered in SQL, and stops what it started.

    \b
    moodstream demo
    moodstream demo --seconds 0 --json
    """
    to = Console(quiet=True) if as_json else console()
    with ExitStack() as cleanup:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops what was started, as Ctrl-C does
        cleanup.callback(signal.signal, signal.SIGTERM, before)
        # 1. The servers, the topics, the tables.
        settings = _settings(cleanup, to, keep)
        with _step(to, "topics and tables"):
            _init(settings)
        # 2. A worker.
        from stream_app.local.worker import WorkerProcess

        log = home() / "demo-worker.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with _step(to, "worker: model loaded, all roles at work"):
            worker = WorkerProcess(settings, log, kept=keep)
            if not keep:
                cleanup.callback(_stop, worker.stop, to, "worker")
            worker.wait_until_healthy()
        # 3. The sample through it.
        counts, since = _run(settings, seconds, to, worker.check_alive)
        # 4. What came of it.
        if not as_json:
            _summary(counts)
            _answers(to, settings, since)
            if keep:
                say(Text(f"still running: worker {worker.pid}, {worker.health_url}; `moodstream down` stops the stack"))
    if as_json:
        print_json(counts)


def _settings(cleanup: ExitStack, to: Console, keep: bool) -> Settings:
    """With addresses: those given, those of a running stack, or those of one started now."""
    settings = configuration.load()
    if not (settings.kafka or settings.database.get_secret_value() or settings.redis.get_secret_value()):
        place = home()
        with _step(to, "Kafka, PostgreSQL and Redis on this machine"):
            started = running(place) is None
            up(place, lambda name, seconds: None)
        if started and not keep:
            cleanup.callback(_stop, lambda: down(place), to, "servers")
        settings = configuration.load()
    configuration.need(settings, "kafka", "database", "redis")
    return settings


def _init(settings: Settings) -> None:
    from stream_app.flow.kafka.admin import Admin
    from stream_app.recording.migrate import migrate

    reach_kafka(settings)
    Admin(settings).create_topics(ALL)
    migrate(settings.database.get_secret_value())


def _run(settings: Settings, seconds: float, to: Console, still_working: Callable[[], None]) -> tuple[Any, Any]:
    from stream_app.local.demo import Demo

    with _status(to, "") as status:

        def show(event: Event) -> None:
            if not to.quiet:
                say(line(event), to=to)
            if status is not None:
                seen = demo.seen
                status.update(
                    f"published {demo.published} · scored {seen[SENTIMENT.name]} · alerts {seen[ALERTS.name]}"
                    f" · dead letters {seen[DEAD_LETTERS.name]}"
                )

        demo = Demo(settings, show, still_working)
        return demo.run(seconds), demo.start


def _summary(counts: Any) -> None:
    values = msgspec.to_builtins(counts)
    latency = values.pop("latency_ms")
    rows = [[name.replace("_", " "), f"{value:,}"] for name, value in values.items()]
    rows += [[f"latency {name}", f"{value:,.0f} ms"] for name, value in latency.items()]
    click.echo()
    table(["what came of it", ""], rows, right=[""])


def _answers(to: Console, settings: Settings, since: Any) -> None:
    from stream_app.local.answers import answers

    for answer in answers(settings.database.get_secret_value(), since):
        click.echo()
        say(Text(answer.question, "bold cyan"), to=to)
        if to.is_terminal:
            to.print(Syntax(answer.sql, "sql", background_color="default"))
        else:
            click.echo(answer.sql)
        table(answer.columns, answer.rows, right=[c for c in answer.columns if c not in _WORDS])


_WORDS = ("product_id", "category", "conversation_id", "angry_turns_last_first", "channel", "language")


@contextmanager
def _step(to: Console, what: str) -> Iterator[None]:
    began = time.monotonic()
    with _status(to, what):
        yield
    if not to.quiet:
        say(Text.assemble(("✓ ", "green"), f"{what} ", (f"{time.monotonic() - began:.1f} s", "dim")), to=to)


@contextmanager
def _status(to: Console, what: str) -> Iterator[Status | None]:
    """A line at the bottom that moves, where somebody sees it."""
    if to.quiet or not to.is_terminal:
        yield None
        return
    with to.status(what) as status:
        yield status


def _stop(stop: Callable[[], Any], to: Console, what: str) -> None:
    with _status(to, f"stopping the {what}"):
        stop()
