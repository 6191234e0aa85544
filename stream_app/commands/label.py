"""`moodstream label`: a person says what a text really was."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import click

from schemas.codec import encode, milliseconds
from schemas.events import Label, LabelGiven
from schemas.topics import LABELS
from stream_app import settings as configuration
from stream_app.commands.reach import reach_kafka
from stream_app.commands.terminal import json_option, print_json
from stream_app.errors import SetupError
from stream_app.settings import Settings

SHORT: dict[str, Label] = {"neg": "negative", "neu": "neutral", "pos": "positive"}

Answer = tuple[Label | None, bool | None]  # sentiment, angry; None leaves the question open


@click.command("label")
@click.argument("event_id")
@click.option("--sentiment", "-s", type=click.Choice(list(SHORT)), help="What the text is.")
@click.option("--angry/--calm", "angry", default=None, help="Whether its writer is angry.")
@click.option("--note", default="", help="Why; people read it, no model learns from it.")
@click.option("--by", default=getpass.getuser, show_default="your login", help="Who says so.")
@json_option
def command(event_id: str, sentiment: str | None, angry: bool | None, note: str, by: str, as_json: bool) -> None:
    """Say what a scored text really was.

    One question may stay open. The label goes to the topic labels, from there into PostgreSQL, and the next training
    learns from it. The latest answer to each question counts; giving the same answer again changes nothing.

    \b
    moodstream label sample-review-0007 --sentiment neg --angry
    moodstream label review-20260301-000417 -s neu --note "asks, does not complain"
    """
    answer: Answer = (SHORT[sentiment] if sentiment else None, angry)
    if answer == (None, None):
        raise click.UsageError("nothing to say: give --sentiment, --angry or --calm")
    settings = configuration.load()
    configuration.need(settings, "kafka")
    reach_kafka(settings, LABELS)
    from stream_app.commands.whereabouts import find
    from stream_app.flow.kafka.publisher import Publisher

    event = find(settings, event_id, lambda what: None).sentiment
    if event is None:
        raise SetupError(f"no event {event_id} was scored; `moodstream trace {event_id}` shows what is known of it")
    label = LabelGiven(
        label_id=_label_id(event_id, by, answer, _last(settings, event_id, by)),
        event_id=event_id,
        event_time=event.event_time,
        given_at=milliseconds(datetime.now(UTC)),
        given_by=by,
        origin="cli",
        sentiment=answer[0],
        angry=answer[1],
        note=note,
    )
    publisher = Publisher(settings)
    publisher.send(LABELS.name, event_id.encode(), encode(label))
    publisher.flush()
    if as_json:
        print_json(label)
    else:
        mood = f"{event.label}, {'angry' if event.angry else 'calm'}"
        click.echo(f"labelled {event_id} {_words(answer)} (the model said {mood})")


def _label_id(event_id: str, by: str, answer: Answer, last: dict[str, Any] | None) -> str:
    """The same for a repeat, which counts once; another one for who comes back to an answer after a change of mind."""
    if last is not None and (last["sentiment"], last["angry"]) == answer:
        return str(last["label_id"])
    after = last["label_id"] if last else None
    return blake2b(repr((event_id, by, answer, after)).encode(), digest_size=12).hexdigest()


def _last(settings: Settings, event_id: str, by: str) -> dict[str, Any] | None:
    """What this person said of the event before; none where PostgreSQL has no address."""
    if not (url := settings.database.get_secret_value()):
        return None
    from stream_app.recording.lookup import last_label

    return last_label(url, event_id, by)


def _words(answer: Answer) -> str:
    sentiment, angry = answer
    mood = {True: "angry", False: "calm", None: ""}[angry]
    return ", ".join(word for word in (sentiment, mood) if word)
