"""`moodstream tail`: what is on a topic, as it comes."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

import click
import orjson

from schemas.topics import BY_NAME
from stream_app import settings as configuration
from stream_app.commands.moment import MOMENT
from stream_app.commands.reach import reach_kafka
from stream_app.commands.terminal import console, say
from stream_app.flow.delivery import Delivery


@click.command("tail")
@click.argument("topic", type=click.Choice(list(BY_NAME)), default="sentiment", metavar="TOPIC")
@click.option("--since", type=MOMENT, help="Begin with what arrived then: 10m, 2h, 1d ago, or a time (UTC).")
@click.option("--from-start", is_flag=True, help="Begin with the oldest.")
@click.option("--limit", "-n", type=click.IntRange(min=1), help="End after so many.")
@click.option("--follow/--no-follow", "follow", default=True, help="Wait for more, or end with what is there.")
@click.option("--json", "as_json", is_flag=True, help="For programs: the events themselves, one a line.")
def command(
    topic: str, since: datetime | None, from_start: bool, limit: int | None, follow: bool, as_json: bool
) -> None:
    """Show the events of a topic as they come.

    TOPIC is sentiment (if none is named), alerts, dead.letters, labels, models, raw.reviews or raw.chats. Shows what
    comes from now on; --since, --from-start and --no-follow show what is there already. Only committed events are
    shown, in order within a partition. Times are UTC.

    \b
    moodstream tail
    moodstream tail alerts --since 1h
    moodstream tail dead.letters --no-follow --json | jq -r .reason | sort | uniq -c
    """
    settings = configuration.load()
    configuration.need(settings, "kafka")
    from stream_app.flow.kafka.reader import read

    reach_kafka(settings, BY_NAME[topic])
    from_end = follow and since is None and not from_start
    deliveries = read(settings, [topic], since=since, from_end=from_end, follow=follow)
    shown = (delivery for delivery in deliveries if delivery is not None)
    if as_json:
        for delivery in islice(shown, limit):
            click.echo(_as_json(delivery))
        return
    from stream_app.commands.lines import line_of

    to = console()
    for delivery in islice(shown, limit):
        say(line_of(delivery), to=to)
        if not to.is_terminal:
            to.file.flush()


def _as_json(delivery: Delivery) -> bytes:
    """The payload itself where it is JSON; otherwise an object with its position and bytes."""
    try:
        value = orjson.loads(delivery.value or b"")
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        return orjson.dumps(value) if b"\n" in (delivery.value or b"") else bytes(delivery.value or b"")
    from base64 import b64encode

    payload = None if delivery.value is None else b64encode(delivery.value).decode()
    return orjson.dumps(
        {
            "topic": delivery.topic,
            "partition": delivery.partition,
            "offset": delivery.offset,
            "payload_base64": payload,
        }
    )
