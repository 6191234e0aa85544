"""`moodstream world`: a month of scored texts whose incidents are known, and a judge of the alerts raised on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from ops.world.settings import Settings
from ops.world.truth import KINDS, Kind
from stream_app.cli import Guarded
from stream_app.commands.terminal import json_option, print_json, table
from stream_app.errors import SetupError

if TYPE_CHECKING:
    from ops.world.verdict import Verdict

NOT_MET = 3
DEFAULT = Settings()
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("world", cls=Guarded)
def world() -> None:
    """Judge the alert rules in a scripted world whose incidents are known.

    \b
    moodstream world make --seed 7 --out events.jsonl.gz --truth truth.jsonl
    moodstream world judge --truth truth.jsonl --alerts alerts.jsonl
    """


@world.command()
@click.option("--out", type=NEW_FILE, required=True, help="Where the scored events go, JSON Lines; .gz packs them.")
@click.option("--truth", type=NEW_FILE, required=True, help="Where the truth goes, JSON Lines; .gz packs it.")
@click.option("--seed", type=click.IntRange(0), default=DEFAULT.seed, show_default=True, help="Another world for each.")
@click.option("--days", type=click.IntRange(1, 366), default=DEFAULT.days, show_default=True)
@click.option("--products", type=click.IntRange(30), default=DEFAULT.products, show_default=True)
@click.option("--customers", type=click.IntRange(500), default=DEFAULT.customers, show_default=True)
@click.option(
    "--events-per-day",
    type=click.IntRange(100),
    default=DEFAULT.events_per_day,
    show_default=True,
    help="Usual texts and agents' turns; incidents come on top.",
)
@click.option(
    "--wrong-flags",
    type=click.FloatRange(0, 0.01),
    default=DEFAULT.wrong_flags,
    show_default=True,
    help="Share of harmless texts that the model calls angry.",
)
@json_option
def make(
    out: Path,
    truth: Path,
    seed: int,
    days: int,
    products: int,
    customers: int,
    events_per_day: int,
    wrong_flags: float,
    as_json: bool,
) -> None:
    """Write a world: events in the order they arrive, and what was planted in them.

    A shop's reviews and service chats as the score stage would publish them: a weekly rhythm, few products with most
    of the texts, Chinese, English and mixed, most events within seconds and some five minutes late. Planted are single
    furious messages, souring conversations, customers angry three times in a day, angry turns without a reply, surges
    of negative texts about a product, grave words and bought reviews, each beside stories that only look like it. The
    first line of each file holds the settings; the same settings give the same bytes. The default world takes about
    20 seconds; --days 3 --products 200 --customers 5000 --events-per-day 5000 takes one.

    \b
    moodstream world make --out events.jsonl.gz --truth truth.jsonl
    moodstream world make --seed 7 --days 3 --events-per-day 5000 --out events.jsonl --truth truth.jsonl
    """
    if out.resolve() == truth.resolve():
        raise SetupError("--out and --truth name the same file: who judges must not show the answers")
    from ops.world.files import write_world
    from ops.world.make import World

    settings = Settings(
        seed=seed,
        days=days,
        products=products,
        customers=customers,
        events_per_day=events_per_day,
        wrong_flags=wrong_flags,
    )
    written = write_world(World(settings), out, truth)
    planted = {kind: sum(one.kind == kind for one in written.incidents) for kind in KINDS}
    if as_json:
        print_json({"events": written.header.events, "wrong_flags": written.header.wrong_flags, "planted": planted})
        return
    click.echo(
        f"{written.header.events:,} events of {days} days in {out}, {written.header.wrong_flags} flagged wrongly"
    )
    click.echo(f"{len(written.incidents):,} incidents in {truth}: {', '.join(f'{n} {k}' for k, n in planted.items())}")


@world.command()
@click.option("--truth", type=FILE, required=True, help="What `world make` wrote there.")
@click.option("--alerts", type=FILE, required=True, help="What `tail alerts --json` printed; gzipped or not.")
@click.option(
    "--kind", "kinds", type=click.Choice(get_args(Kind)), multiple=True, help="Judge only this; repeat it for more."
)
@click.option("--list", "listed", is_flag=True, help="Name what was missed and what was raised for nothing.")
@json_option
def judge(truth: Path, alerts: Path, kinds: tuple[Kind, ...], listed: bool, as_json: bool) -> None:
    """Compare alerts with the truth of their world.

    Counts by kind what was planted, found and missed, alerts for nothing (extra), alerts for what a person knows
    already (duplicates; graver words on an open incident are escalations), and how late surges were seen, in event
    time. Held are precision and recall of 0.95 for single, souring, repeat and unanswered; 95 % of the surges of three
    times the usual share found within 15 minutes after they began, with at most one false surge in 1,000 product-days;
    one open alert an incident. Exit code 0 if all of it holds, 3 if not.

    \b
    moodstream tail alerts --from-start --no-follow --json > alerts.jsonl
    moodstream world judge --truth truth.jsonl --alerts alerts.jsonl
    moodstream world judge --truth truth.jsonl --alerts alerts.jsonl --kind single --kind souring --json
    """
    from ops.world.files import read_alerts, read_truth
    from ops.world.judge import judge as compare

    verdict = compare(read_truth(truth), read_alerts(alerts), kinds or KINDS)
    if as_json:
        lists = {"missed_incidents": verdict.missed, "extra_alerts": verdict.extra} if listed else {}
        print_json(verdict.figures() | lists)
    else:
        _show(verdict, listed)
    raise click.exceptions.Exit(NOT_MET if verdict.unmet else 0)


def _show(verdict: Verdict, listed: bool) -> None:
    headings = (
        "kind",
        "planted",
        "found",
        "missed",
        "extra",
        "duplicates",
        "escalations",
        "beside",
        "precision",
        "recall",
    )
    rows = [
        (
            kind,
            *map(str, (score.planted, score.found, score.missed, score.extra, score.duplicates)),
            *map(str, (score.escalations, score.beside)),
            _figure(score.precision),
            _figure(score.recall),
        )
        for kind, score in verdict.scores.items()
    ]
    table(headings, rows, right=headings[1:])
    if "surge" in verdict.scores:
        seen = verdict.surges
        share = _figure(seen.in_time)
        after = f"after they were decidable: median {_figure(seen.median_after_decidable)}"
        click.echo(f"surges, minutes after they began: median {_figure(seen.median)}, p95 {_figure(seen.p95)}")
        click.echo(f"surges, minutes {after}, p95 {_figure(seen.p95_after_decidable)}")
        click.echo(f"surges found within 15 minutes after they began: {share}")
        click.echo(f"false surges in 1,000 product-days: {verdict.false_surges:.2f}")
    for rule, count in verdict.unknown_rules.items():
        click.echo(f"not judged: {count} alerts of the rule {rule}")
    if listed:
        for incident in verdict.missed:
            click.echo(f"missed {incident.incident} of {incident.subject} at {incident.decidable_at:%Y-%m-%d %H:%M:%S}")
        for alert in verdict.extra:
            click.echo(f"extra {alert.rule} {alert.alert_id} at {alert.event_time:%Y-%m-%d %H:%M:%S}: {alert.reason}")
    for sentence in verdict.unmet:
        click.echo(f"✗ {sentence}")
    if not verdict.unmet:
        click.echo("✓ everything holds")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
