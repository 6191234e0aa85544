"""`moodstream trace`: one event's story on one page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from schemas.events import SentimentScored
from stream_app import settings as configuration
from stream_app.commands.lines import LABEL_STYLE, excerpt, line, mood_bar
from stream_app.commands.reach import reach_kafka
from stream_app.commands.terminal import console, json_option, print_json
from stream_app.commands.whereabouts import Whereabouts, find, hops
from stream_app.errors import SetupError


@click.command("trace")
@click.argument("event_id")
@json_option
def command(event_id: str, as_json: bool) -> None:
    """Show what became of one event.

    From its place on the raw topic over the cleaned text, the scores and the alerts to the rows in PostgreSQL, with
    the time each hop took. EVENT_ID may also be the id of a dead letter. Works without PostgreSQL, by reading the
    topics, which takes longer.

    \b
    moodstream trace sample-review-0007
    moodstream trace review-20260301-000417 --json
    """
    settings = configuration.load()
    configuration.need(settings, "kafka")
    reach_kafka(settings)
    to = console()

    def tell(what: str) -> None:
        if to.is_terminal and not as_json:
            click.echo(what, err=True)

    found = find(settings, event_id, tell)
    if not found.found:
        why = f" ({'; '.join(found.notes)})" if found.notes else ""
        raise SetupError(f"no event {event_id}, neither in PostgreSQL nor on the topics{why}")
    if as_json:
        print_json(_as_object(found))
    else:
        _page(to, found)


def _page(to: Console, found: Whereabouts) -> None:
    page = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, *lines in _paragraphs(found):
        for number, content in enumerate(lines):
            head = name if number == 0 else ""
            if to.is_terminal:
                page.add_row(Text(head, "bold"), content)
            else:
                click.echo(f"{head:<9}{content.plain}")
    to.print(page)


def _paragraphs(found: Whereabouts) -> Iterator[tuple[str, *tuple[Text, ...]]]:
    """Name and lines, in the order of the story."""
    yield "event", Text(found.event_id, "bold cyan")
    if position := found.position:
        where = f"{position.topic}, partition {position.partition}, offset {position.offset}"
        yield "raw", Text(where), Text(excerpt(found.raw.value, 600) if found.raw else "(gone)", "dim")
    if event := found.sentiment:
        yield from _scored(event)
    if letter := found.dead_letter:
        yield "refused", line(letter), Text(f"letter {letter.dead_letter_id}", "dim")
    for alert in found.alerts:
        own = "" if alert.event_id == found.event_id else f"set off by {alert.event_id}, which quotes this one; "
        yield "alert", line(alert), Text(f"{own}incident {alert.incident}", "dim")
    if found.sentiment and not found.alerts:
        yield "alert", Text("none", "dim")
    rows = found.rows and ", ".join(f"{name} {count}" for name, count in found.rows.items() if count)
    yield "rows", Text(rows or ("none" if found.rows is not None else "unknown"))
    if times := _times(found):
        yield "times", times
    for note in found.notes:
        yield "note", Text(note, "yellow")


def _scored(event: SentimentScored) -> Iterator[tuple[str, *tuple[Text, ...]]]:
    flags = f", found: {', '.join(event.flags)}" if event.flags else ""
    about = Text(f"{event.language}, text version {event.text_version}{flags}", "dim")
    yield "cleaned", Text(event.text or "(nothing was said)"), about
    verdict = Text.assemble(
        mood_bar(event.negative, event.neutral, event.positive),
        (f" {event.label}", LABEL_STYLE[event.label]),
        f", score {event.score:+.2f}, intensity {event.intensity}, anger {event.anger:.2f}",
        (" angry" if event.angry else "", "bold red"),
    )
    shares = f"negative {event.negative:.3f}, neutral {event.neutral:.3f}, positive {event.positive:.3f}"
    yield "scores", verdict, Text(f"{shares}, by {event.model}", "dim")


def _times(found: Whereabouts) -> Text:
    """happened 2026-11-24 09:00:00.000 → arrived +3 ms → …"""
    times = Text()
    for what, moment, after in hops(found):
        if after is None:
            times.append(f"{what} {moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}")
        else:
            times.append(f" → {what} ").append(_duration(after), "bold")
    return times


def _duration(seconds: float) -> str:
    if abs(seconds) < 1:
        return f"{seconds * 1000:+.0f} ms"
    return f"{seconds:+.1f} s" if abs(seconds) < 120 else f"{seconds / 60:+.0f} min"


def _as_object(found: Whereabouts) -> dict[str, Any]:
    return {
        "event_id": found.event_id,
        "raw": msgspec.to_builtins(found.position),
        "raw_payload": None if found.raw is None else (found.raw.value or b"").decode("utf-8", "replace"),
        "sentiment": found.sentiment,
        "alerts": found.alerts,
        "dead_letter": found.dead_letter,
        "rows": found.rows,
        "hops": [{"what": what, "at": moment, "after_s": after} for what, moment, after in hops(found)],
        "notes": found.notes,
    }
