"""`moodstream up`: Kafka, PostgreSQL and Valkey on this machine."""

import signal
import threading

import click
from rich.text import Text

from stream_app.commands.terminal import console, json_option, print_json, say
from stream_app.local.stack import Endpoints, Stack, home, running, up
from stream_app.settings import PREFIX


@click.command("up")
@click.option("--foreground", "-f", is_flag=True, help="Stay, and stop everything on Ctrl-C.")
@json_option
def command(foreground: bool, as_json: bool) -> None:
    """Start Kafka, PostgreSQL and Redis on this machine.

    Real servers from packages; no Docker, no Java and no root needed. They run on after this command has ended, and
    every other command finds them by itself. Their data stays in MOODSTREAM_HOME (~/.local/state/moodstream).

    \b
    moodstream up && moodstream init && moodstream check
    """
    place = home()
    already = running(place)
    if foreground:
        with Stack(place) as stack:
            _show(stack.endpoints, "running; Ctrl-C stops it", as_json)
            _until_told()
        return
    quiet = as_json or already is not None

    def on_ready(name: str, seconds: float) -> None:
        if not quiet:
            say(Text.assemble(("✓ ", "green"), f"{name:<9}", (f"{seconds:5.1f} s", "dim")), to=console(stderr=True))

    endpoints = up(place, on_ready)
    _show(endpoints, "was running already" if already else "running; `moodstream down` stops it", as_json)


def _show(endpoints: Endpoints, state: str, as_json: bool) -> None:
    addresses = {"kafka": endpoints.kafka, "database": endpoints.database, "redis": endpoints.redis}
    if as_json:
        print_json({**addresses, "pid": endpoints.pid})
        return
    for name, address in addresses.items():
        say(Text.assemble((f"{PREFIX}{name.upper()}", "bold"), "=", address))
    say(Text(f"local stack {state}", "dim"))


def _until_told() -> None:
    """SIGTERM ends it as Ctrl-C does."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    told.wait()
