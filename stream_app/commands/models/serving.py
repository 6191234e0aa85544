"""What promote and rollback share: who acts, where the message goes, and whether the workers have heard it."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from schemas.codec import encode
from schemas.events import ModelPromoted
from schemas.topics import MODELS, SERVING
from stream_app import settings as configuration
from stream_app.commands.reach import reach_kafka
from stream_app.commands.terminal import print_json
from stream_app.commands.utf8 import utf8
from stream_app.errors import MoodstreamError
from stream_app.flow.delivery import Offsets
from stream_app.settings import Settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
UNCONFIRMED = 1


def move_options(command: Decorated) -> Decorated:
    """--reason, --by, --wait, --json."""
    options = [
        click.option("--reason", required=True, callback=utf8, help="Why; kept with the promotion."),
        click.option("--by", default=getpass.getuser, show_default="your login", callback=utf8, help="Who promotes."),
        click.option(
            "--wait", "wait_s", type=click.FloatRange(0), default=10.0, show_default=True, metavar="SECONDS",
            help="How long to wait for all running workers to serve it; 0 does not wait.",
        ),
        click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def reached() -> Settings:
    """Settings with which one can promote. Raises SetupError or NeighbourDown before anything has changed."""
    settings = configuration.load()
    configuration.need(settings, "kafka", "database")
    reach_kafka(settings, MODELS, SERVING)
    return settings


class Announcer:
    """Publishes a promotion and returns when the brokers have it; remembers where the answers to it begin."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.answers_from: Offsets = {}

    def __call__(self, promoted: ModelPromoted) -> None:
        from stream_app.flow.kafka.publisher import Publisher
        from stream_app.serving.confirm import answers_end

        self.answers_from = answers_end(self._settings)
        kafka = Publisher(self._settings)
        kafka.send(MODELS.name, MODELS.key.encode(), encode(promoted))
        kafka.flush()


def tell(
    settings: Settings, promoted: ModelPromoted, since: Offsets, what: str, wait_s: float, *, as_json: bool
) -> None:
    """Wait for the workers and say who serves. Ends the command with 1 when one of them does not, or nobody knows.

    The model is promoted by now, so whatever happens here is told beside that, never in place of it.
    """
    from stream_app.serving.confirm import SERVES, confirmed

    if not as_json:
        click.echo(what)
    began = time.monotonic()
    workers: dict[str, str] = {}
    unknown = None
    try:
        workers = confirmed(settings, promoted, since, wait_s) if wait_s else {}
    except MoodstreamError as failure:
        unknown = " ".join(str(failure).split())
    seconds = time.monotonic() - began
    wanting = {worker: why for worker, why in workers.items() if why != SERVES}
    if as_json:
        print_json(
            {
                "model": promoted.model,
                "previous": promoted.previous,
                "promoted_at": promoted.promoted_at,
                "serving": sorted(workers.keys() - wanting.keys()),
                "not_serving": wanting,
                "unknown": unknown,
                "seconds": round(seconds, 3),
            }
        )
    elif unknown:
        click.echo(f"it is promoted, but who serves it is not known: {unknown}", err=True)
    elif wait_s:
        for worker, why in wanting.items():
            click.echo(f"{worker} does not serve it: {why}", err=True)
        click.echo(_summary(len(workers), len(wanting), seconds))
    if wanting or unknown:
        raise click.exceptions.Exit(UNCONFIRMED)


def _summary(running: int, wanting: int, seconds: float) -> str:
    if not running:
        return "no worker is scoring; each serves it from its start"
    return f"{running - wanting} of {running} workers serve it after {seconds:.1f} s"
