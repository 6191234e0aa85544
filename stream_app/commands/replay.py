"""`moodstream replay`: dead letters go back to where they came from."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import get_args

import click

from schemas.codec import Undecodable, decode
from schemas.events import DeadLetter, Reason
from schemas.topics import CHATS, DEAD_LETTERS, REVIEWS
from stream_app import settings as configuration
from stream_app.commands.moment import MOMENT
from stream_app.commands.reach import reach_kafka
from stream_app.commands.terminal import json_option, print_json, table
from stream_app.settings import Settings

Counts = Counter[tuple[str, str]]
RAW = (REVIEWS.name, CHATS.name)


@click.command("replay")
@click.option("--reason", "reasons", multiple=True, type=click.Choice(get_args(Reason)), help="Only these; repeatable.")
@click.option("--topic", type=click.Choice(RAW), help="Only letters that came from this topic.")
@click.option("--since", type=MOMENT, help="Only letters written from then on: 10m, 2h, 1d ago, or a time (UTC).")
@click.option("--until", type=MOMENT, help="Only letters written until then.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
def command(
    reasons: tuple[str, ...],
    topic: str | None,
    since: datetime | None,
    until: datetime | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Publish dead letters again, as they first came.

    For the day after the mistake was mended: a new release reads what the old one could not, or the model works
    again. Key and payload go back to the original topic untouched. Letters with the same content go once. An event
    that is scored twice is recorded once; one that is still bad becomes a dead letter again.

    \b
    moodstream replay --reason scoring_failed --since 2h --dry-run
    moodstream replay --reason scoring_failed --since 2h --yes
    """
    settings = configuration.load()
    configuration.need(settings, "kafka")
    until = until or datetime.now(UTC)  # letters that come while this runs are another day's
    reach_kafka(settings, DEAD_LETTERS, REVIEWS, CHATS)
    counts: Counts = Counter(
        (letter.reason, letter.raw.topic) for letter in _letters(settings, reasons, topic, since, until)
    )
    total = counts.total()
    if not as_json:
        _show(counts)
    replayed = 0
    if total and not dry_run and _agreed(total, yes or as_json):
        replayed = _publish(settings, _letters(settings, reasons, topic, since, until))
    if as_json:
        print_json({"letters": total, "replayed": replayed, "reasons": _by_reason(counts)})
    elif replayed:
        click.echo(f"replayed {replayed:,}")
    elif total:
        click.echo("nothing was replayed")


def _letters(
    settings: Settings,
    reasons: Sequence[str],
    topic: str | None,
    since: datetime | None,
    until: datetime,
) -> Iterator[DeadLetter]:
    """The letters asked for, each content once. One that came from elsewhere than a raw topic stays where it is."""
    from stream_app.flow.kafka.reader import read

    seen: set[bytes] = set()
    for delivery in read(settings, [DEAD_LETTERS.name], since=since):
        if delivery is None:
            continue
        try:
            letter = decode(delivery.topic, delivery.value)
        except Undecodable:
            continue
        assert isinstance(letter, DeadLetter)  # the topic carries nothing else
        wanted = (
            letter.raw.topic in ((topic,) if topic else RAW)
            and (not reasons or letter.reason in reasons)
            and letter.failed_at <= until
            and (since is None or letter.failed_at >= since)
        )
        if wanted and (content := _content(letter)) not in seen:
            seen.add(content)
            yield letter


def _content(letter: DeadLetter) -> bytes:
    digest = blake2b(repr((letter.raw.topic, letter.key)).encode(), digest_size=16)
    digest.update(b"null" if letter.payload is None else b"=" + letter.payload)
    return digest.digest()


def _publish(settings: Settings, letters: Iterator[DeadLetter]) -> int:
    from stream_app.flow.kafka.publisher import Publisher

    publisher = Publisher(settings)
    for letter in letters:
        publisher.send(letter.raw.topic, letter.key, letter.payload)
    publisher.flush()
    return publisher.delivered


def _agreed(total: int, already: bool) -> bool:
    if already:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to be asked: add --yes")
    return click.confirm(f"Publish {total:,} again?")


def _show(counts: Counts) -> None:
    if not counts:
        click.echo("no dead letters to replay")
        return
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [[reason, topic, f"{count:,}"] for (reason, topic), count in ordered]
    table(["reason", "topic", "letters"], rows, right=["letters"])


def _by_reason(counts: Counts) -> dict[str, int]:
    total: Counter[str] = Counter()
    for (reason, _), count in counts.items():
        total[reason] += count
    return dict(total.most_common())
