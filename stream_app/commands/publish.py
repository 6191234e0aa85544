"""`moodstream publish`: a file onto a raw topic."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import click

from schemas.codec import name_of
from schemas.topics import BY_NAME, CHATS, REVIEWS, Topic
from stream_app import settings as configuration
from stream_app.commands.as_events import Plan, key_of, looks_like_event
from stream_app.commands.files import INPUT, Source
from stream_app.commands.moment import MOMENT
from stream_app.commands.reach import reach_kafka
from stream_app.commands.rows import CsvTable, Row, first_objects, is_json_lines, object_cells
from stream_app.commands.terminal import bytes_progress, json_option, print_json
from stream_app.errors import SetupError

Message = tuple[bytes | None, bytes | None]
_LOOK_EVERY = 512  # messages between two looks at the clock for the progress bar


class Pairs(click.ParamType):
    """`field=value`."""

    name = "field=value"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        field, equals, rest = value.partition("=")
        if not (field and equals and rest):
            self.fail(f"{value!r} is not of the form field=value", param, ctx)
        return field.strip(), rest


@click.command("publish")
@click.argument("file", type=INPUT)
@click.option("--topic", "-t", required=True, type=click.Choice([REVIEWS.name, CHATS.name]), help="Where it goes.")
@click.option("--map", "-m", "given", multiple=True, type=Pairs(), metavar="FIELD=COLUMN", help="This column is it.")
@click.option("--set", "fixed", multiple=True, type=Pairs(), metavar="FIELD=VALUE", help="The same in every row.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events a second; without it, full speed.")
@click.option("--limit", type=click.IntRange(min=0), help="Stop after so many.")
@click.option("--at", type=MOMENT, help="When rows without a time happened; row n is n ms later. Without it, now.")
@click.option("--encoding", default="utf-8", show_default=True, help="Of a CSV file.")
@json_option
def command(
    file: str,
    topic: str,
    given: tuple[tuple[str, str], ...],
    fixed: tuple[tuple[str, str], ...],
    rate: float | None,
    limit: int | None,
    at: datetime | None,
    encoding: str,
    as_json: bool,
) -> None:
    """Publish a file of reviews or chat turns.

    FILE is CSV or JSON Lines, gzipped or not; - is stdin. Lines that are events already (they have a type and a
    version) go out byte for byte, broken ones too: the worker judges them. Any other row becomes an event. Columns
    named like a field are that field, so are the usual other names (id, session, role, stars, user, date, …), and
    --map says the rest. Rows without an id get one from the file's name, their number and their content, so that
    publishing a file twice gives the same ids.

    \b
    moodstream publish events.jsonl --topic raw.reviews
    moodstream publish reviews.csv.gz -t raw.reviews --map text=review_text --set channel=web
    moodstream publish chat.csv -t raw.chats --map conversation_id=session --map side=role --rate 200
    """
    settings = configuration.load()
    configuration.need(settings, "kafka")
    target = BY_NAME[topic]
    with Source(file) as source:
        messages, about = _messages(source, target, dict(given), dict(fixed), at, encoding)
        reach_kafka(settings, target)
        if not as_json and sys.stderr.isatty():
            click.echo(about, err=True)
        began = time.monotonic()
        count = _publish(settings, target, source, messages, rate, limit)
        seconds = time.monotonic() - began
    pace = count / seconds if seconds > 0 else 0.0
    if as_json:
        print_json(
            {"published": count, "topic": topic, "seconds": round(seconds, 3), "events_per_second": round(pace, 1)}
        )
    else:
        click.echo(f"published {count:,} to {topic} in {seconds:.1f} s ({pace:,.0f}/s)")


def _publish(
    settings: configuration.Settings,
    topic: Topic,
    source: Source,
    messages: Iterator[Message],
    rate: float | None,
    limit: int | None,
) -> int:
    """How many Kafka has acknowledged: all that were sent, or an error is raised."""
    from stream_app.flow.kafka.publisher import Publisher

    publisher = Publisher(settings)
    send, name = publisher.send, topic.name
    with bytes_progress(f"to {name}") as progress:
        bar = progress.add_task("", total=source.size, note="")
        began = time.monotonic()
        try:
            for number, (key, value) in enumerate(islice(messages, limit)):
                if rate is not None and (early := began + number / rate - time.monotonic()) > 0:
                    time.sleep(early)
                send(name, key, value)
                if number % _LOOK_EVERY == 0 or rate is not None:
                    pace = number / max(time.monotonic() - began, 1e-9)
                    progress.update(bar, completed=source.read_bytes, note=f"{number:,} events, {pace:,.0f}/s")
        except KeyboardInterrupt:
            publisher.flush()
            click.echo(f"interrupted: {publisher.delivered:,} events are published", err=True)
            raise
        publisher.flush()
    return publisher.delivered


def _messages(
    source: Source, topic: Topic, given: dict[str, str], fixed: dict[str, str], at: datetime | None, encoding: str
) -> tuple[Iterator[Message], str]:
    """The messages of a file, and a sentence about how they are made. What cannot work is refused here."""

    def plan_for(columns: list[str]) -> tuple[Plan, str]:
        table = source.name.partition(".")[0][:60]
        plan = Plan(topic, columns, table=table, given=given, fixed=fixed, first_time=at)
        used = ", ".join(f if f == c else f"{c} → {f}" for f, c in plan.columns.items())
        unused = [column for column in columns if column not in plan.columns.values()]
        return plan, f"columns: {used}" + (f"; not used: {', '.join(unused)}" if unused else "")

    if not is_json_lines(source):
        table = CsvTable(source, encoding)
        plan, about = plan_for(table.columns)
        return map(plan.event, table.rows()), about
    objects = first_objects(source)
    events = [value for value in objects if looks_like_event(value)]
    if events or not objects:
        _refuse_other_events(topic, {str(value["type"]) for value in events})
        if given or fixed:
            raise SetupError(f"{source.name} holds events, which go out as they are: --map and --set are for tables")
        return _as_they_are(source, topic), "events, published as they are"
    columns = list(dict.fromkeys(name for value in objects for name in value))
    plan, about = plan_for(columns)
    return _json_rows(source, topic, plan, columns), about


def _refuse_other_events(topic: Topic, types: set[str]) -> None:
    """A file of chats on the topic of reviews would become nothing but dead letters."""
    here = {name_of(kind) for kind in topic.carries}
    elsewhere = {name_of(kind): other.name for other in (REVIEWS, CHATS) for kind in other.carries if other != topic}
    if not types & here and (found := types & elsewhere.keys()):
        (name, *_) = sorted(found)
        raise SetupError(f"the file holds {name} events, which belong on {elsewhere[name]}, not on {topic.name}")


def _as_they_are(source: Source, topic: Topic) -> Iterator[Message]:
    for lines in source.windows():
        for line in lines:
            if line:
                yield key_of(topic, line), line


def _json_rows(source: Source, topic: Topic, plan: Plan, columns: list[str]) -> Iterator[Message]:
    """What is no JSON object goes out as it is: the worker says in a dead letter what is wrong with it."""
    for lines in source.windows():
        for line in lines:
            if line:
                cells = object_cells(line, columns)
                yield (key_of(topic, line), line) if cells is None else plan.event(Row(cells, line))
