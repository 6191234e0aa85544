"""`moodstream label`: a person says what a text really was."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import click
from pydantic import SecretStr

from schemas.codec import Undecodable, decode, encode, milliseconds
from schemas.events import Label, LabelGiven
from schemas.topics import LABELS
from stream_app import settings as configuration
from stream_app.commands.reach import reach_kafka
from stream_app.commands.terminal import json_option, print_json
from stream_app.commands.utf8 import utf8
from stream_app.errors import MoodstreamError, SetupError
from stream_app.settings import Settings

SHORT: dict[str, Label] = {"neg": "negative", "neu": "neutral", "pos": "positive"}

Answer = tuple[Label | None, bool | None]  # sentiment, angry; None leaves the question open


@click.command("label")
@click.argument("event_id", callback=utf8)
@click.option("--sentiment", "-s", type=click.Choice(list(SHORT)), help="What the text is.")
@click.option("--angry/--calm", "angry", default=None, help="Whether its writer is angry.")
@click.option("--note", default="", callback=utf8, help="Why; people read it, no model learns from it.")
@click.option("--by", default=getpass.getuser, show_default="your login", callback=utf8, help="Who says so.")
@json_option
def command(event_id: str, sentiment: str | None, angry: bool | None, note: str, by: str, as_json: bool) -> None:
    """Say what a scored text really was.

    One question may stay open. The label goes to the topic labels, from there into PostgreSQL, and the next training
    learns from it. The latest answer to each question counts; giving the same answer again changes nothing. Works
    without PostgreSQL while the event is on the topic sentiment.

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
    from stream_app.flow.kafka.publisher import Publisher

    # 1. What is it about?
    notes: list[str] = []
    event = _event(settings, event_id, notes)
    if event is None:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise SetupError(
            f"no event {event_id} was scored; `moodstream trace {event_id}` shows what is known of it{why}"
        )
    # 2. Say so.
    given_at = milliseconds(datetime.now(UTC))
    label = LabelGiven(
        label_id=_label_id(event_id, by, answer, given_at, _last(settings, event_id, by, notes)),
        event_id=event_id,
        event_time=event["event_time"],
        given_at=given_at,
        given_by=by,
        origin="cli",
        sentiment=answer[0],
        angry=answer[1],
        note=note,
    )
    publisher = Publisher(settings)
    publisher.send(LABELS.name, event_id.encode(), encode(label))
    publisher.flush()
    # 3. Tell what was done, and what could not be found out.
    if as_json:
        print_json(label)
    else:
        mood = f"{event['label']}, {'angry' if event['angry'] else 'calm'}"
        click.echo(f"labelled {event_id} {_words(answer)} (the model said {mood})")
    for said in dict.fromkeys(notes):
        click.echo(f"note: {said}", err=True)


def _event(settings: Settings, event_id: str, notes: list[str]) -> dict[str, Any] | None:
    """Its event_time, label and angry: from PostgreSQL, or, where that is down or knows nothing, from the topics."""
    from stream_app.commands.whereabouts import find
    from stream_app.recording.lookup import verdict_row

    if url := settings.database.get_secret_value():
        try:
            if (row := verdict_row(url, event_id)) is not None:
                return row
        except MoodstreamError as failure:
            notes.append(" ".join(str(failure).split()))
    found = find(settings.model_copy(update={"database": SecretStr("")}), event_id, lambda what: None).sentiment
    return {"event_time": found.event_time, "label": found.label, "angry": found.angry} if found else None


def _label_id(event_id: str, by: str, answer: Answer, given_at: datetime, last: dict[str, Any] | None) -> str:
    """That of the last label where this repeats it, which counts once; otherwise one of this moment's own."""
    if last is not None and (last["sentiment"], last["angry"]) == answer:
        return str(last["label_id"])
    return blake2b(repr((event_id, by, answer, given_at.isoformat())).encode(), digest_size=12).hexdigest()


def _last(settings: Settings, event_id: str, by: str, notes: list[str]) -> dict[str, Any] | None:
    """What this person said of the event last: on the topic, before it is a row, or in a row, after it left the topic.

    Where neither tells, a repeat counts as a label of its own; it says nothing new.
    """
    from stream_app.recording.lookup import last_label

    known: list[dict[str, Any]] = []
    try:
        known += _on_topic(settings, event_id, by)
    except MoodstreamError as failure:  # who labels needs the right to write the topic, not to read it
        notes.append(" ".join(str(failure).split()))
    if url := settings.database.get_secret_value():
        try:
            known += [row for row in [last_label(url, event_id, by)] if row]
        except MoodstreamError as failure:
            notes.append(" ".join(str(failure).split()))
    return max(known, key=lambda each: (each["given_at"], each["label_id"]), default=None)


def _on_topic(settings: Settings, event_id: str, by: str) -> Iterator[dict[str, Any]]:
    from stream_app.flow.kafka.reader import read

    for delivery in read(settings, [LABELS.name]):
        if delivery is None or delivery.key != event_id.encode():
            continue
        try:
            said = decode(LABELS.name, delivery.value)
        except Undecodable:
            continue
        if isinstance(said, LabelGiven) and (said.event_id, said.given_by) == (event_id, by):
            yield {name: getattr(said, name) for name in ("label_id", "given_at", "sentiment", "angry")}


def _words(answer: Answer) -> str:
    sentiment, angry = answer
    mood = {True: "angry", False: "calm", None: ""}[angry]
    return ", ".join(word for word in (sentiment, mood) if word)
