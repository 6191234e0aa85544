"""`moodstream retrain`: one turn of the loop that renews the model."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream_app.commands.moment import MOMENT
from trainer.commands.paths import FOLDER, NEW_FOLDER
from trainer.commands.report import meaning_of

if TYPE_CHECKING:
    from trainer.retrain import Outcome
    from trainer.verdict import Verdict

REFUSED, NOT_NOW = 3, 4
EXIT = {"promoted": 0, "passed": 0, "refused": REFUSED, "not due": NOT_NOW, "busy": NOT_NOW}


class Age(click.ParamType):
    """`30d` or `12h`."""

    name = "age"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d+)([hd])", value)
        if found is None:
            self.fail(f"{value!r} is not an age such as 30d or 12h", param, ctx)
        try:
            return int(found[1]) * (timedelta(hours=1) if found[2] == "h" else timedelta(days=1))
        except OverflowError:
            self.fail(f"{value!r} is longer than time can be counted", param, ctx)


@click.command("retrain")
@click.option(
    "--dry-run", is_flag=True, help="Train, compare and judge, in a temporary folder; record and change nothing."
)
@click.option("--as-of", type=MOMENT, help="Use labels given up to this moment (an age or ISO 8601). Without it, now.")
@click.option("--force", is_flag=True, help="Train although no run is due.")
@click.option(
    "--data",
    type=FOLDER,
    help="Labelled files to replay, so that what was learned before is not forgotten. [MOODSTREAM_TRAINER_DATA]",
)
@click.option(
    "--label", "labels", multiple=True, metavar="THEIRS=OURS", help="A label of those files, as 0=neg. Repeats."
)
@click.option(
    "--scale",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Share of each of those files' quota to replay.",
)
@click.option(
    "--models",
    type=NEW_FOLDER,
    help="Where new bundles go; every worker must be able to read it. [MOODSTREAM_TRAINER_MODELS]",
)
@click.option(
    "--min-labels", type=click.IntRange(1), help="So many new labels make a run due. [MOODSTREAM_TRAINER_MIN_LABELS]"
)
@click.option(
    "--max-age",
    type=Age(),
    help="So does a champion this old, if there is a new label. [MOODSTREAM_TRAINER_MAX_AGE_D]",
)
@click.option(
    "--behaviour",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Behaviour cases (JSON Lines) that the candidate must not pass fewer of. [MOODSTREAM_TRAINER_BEHAVIOUR]",
)
@click.option("--no-promote", is_flag=True, help="Register a candidate that passes, and leave promoting it to you.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def retrain(
    dry_run: bool,
    as_of: datetime | None,
    force: bool,
    data: Path | None,
    labels: tuple[str, ...],
    scale: float,
    models: Path | None,
    min_labels: int | None,
    max_age: timedelta | None,
    behaviour: Path | None,
    no_promote: bool,
    as_json: bool,
) -> None:
    """Renew the model from labels, if it is time and if the new one is better.

    1. Due: enough new labels, or a champion that is old. 2. One run at a time; a run whose process was killed is gone
    on with. 3. Labels and star ratings from PostgreSQL as of a moment. 4. Some customers are held back. 5. The champion
    is trained further, on new labels and old rows. 6. Champion and candidate score the same held-back texts. 7. The
    verdict: proven better, and worse nowhere. It is recorded either way. 8. A candidate that passes is registered and
    promoted; running workers change over to it.

    Exit code 0: promoted, or passed; 3: refused; 4: not due, or another run is at work.

    \b
    moodstream retrain --dry-run --force
    moodstream retrain --data labelled --models /srv/moodstream/models
    17 3 * * *  nice moodstream retrain --models /srv/moodstream/models     (cron: every night)
    """
    from stream_app import settings as configuration
    from stream_app.commands.terminal import print_json
    from trainer.behaviour import read_cases

    if as_of and as_of > datetime.now(UTC):
        raise click.BadParameter("labels given later than now are not known yet", param_hint="--as-of")
    meaning = meaning_of(labels)
    settings = configuration.load()
    configuration.need(settings, "database", *(() if dry_run or no_promote else ("kafka",)))
    if not (dry_run or no_promote):
        from schemas.topics import MODELS
        from stream_app.commands.reach import reach_kafka

        reach_kafka(settings, MODELS)  # before hours of training, not after
    from trainer import retrain as loop

    cases = behaviour or settings.trainer_behaviour
    plan = loop.Plan(
        as_of=as_of or datetime.now(UTC),
        models=models or settings.trainer_models,
        min_labels=min_labels or settings.trainer_min_labels,
        max_age=timedelta(days=settings.trainer_max_age_d) if max_age is None else max_age,
        by_hand=force,
        dry_run=dry_run,
        promote=not no_promote,
        data=data or settings.trainer_data,
        scale=scale,
        labels=meaning,
        cases=tuple(read_cases(cases)) if cases else (),
    )
    with redirect_stdout(sys.stderr):  # progress; the answer alone goes to stdout
        outcome = loop.retrain(plan, settings, lambda: datetime.now(UTC), lambda line: click.echo(line, err=True))
    if as_json:
        print_json(outcome._asdict() | {"candidate": outcome.candidate and str(outcome.candidate)})
    else:
        _show(outcome)
    raise click.exceptions.Exit(EXIT[outcome.state])


def _show(outcome: Outcome) -> None:
    if outcome.verdict is not None:
        _show_verdict(outcome.verdict)
    where = f" ({outcome.candidate})" if outcome.candidate else ""
    click.echo(f"{outcome.state}: {outcome.reason}{where}")


def _show_verdict(verdict: Verdict) -> None:
    from rich.text import Text

    from stream_app.commands.terminal import table

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:g}"

    rows = [
        (
            Text("passed", "green") if each.passed else Text("REFUSED", "bold red"),
            each.name,
            number(each.champion),
            number(each.value),
            number(each.limit),
            each.test,
        )
        for each in sorted(verdict.criteria, key=lambda each: each.passed)
    ]
    table(("", "criterion", "champion", "candidate", "limit", "test"), rows, right=("champion", "candidate", "limit"))
