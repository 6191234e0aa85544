"""`moodstream train evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from trainer.commands.paths import FOLDER
from trainer.commands.report import meaning_of

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
SHOWN = ("texts", "accuracy", "accuracy_of_two", "macro_f1", "calibration_error", "anger_auc", "anger_recall",
         "false_alarms_per_1000")  # fmt: skip
AT_ONCE = 1_000


@click.command()
@click.argument("bundle")
@click.option("--data", type=FOLDER, required=True, help="Folder of labelled files.")
@click.option("--rows", "part", type=click.Choice(("test", "held", "all")), default="test", show_default=True,
              help="test: the held-back half that set neither weights nor thresholds; held: both halves; all: every"
              " row of the files, copies and unlabelled ones too, for data that the model has never seen."
              " What is held back depends on the files alone.")  # fmt: skip
@click.option(
    "--label", "labels", multiple=True, metavar="THEIRS=OURS", help="A label of the files, as 0=neg. Repeats."
)
@click.option("--limit", type=click.IntRange(1), help="At most so many rows of each source, for a quick look.")
@click.option("--resamples", type=click.IntRange(0), default=1000, show_default=True, help="For intervals; 0: none.")
@click.option("--behaviour", type=FILE, help="Behaviour cases, JSON Lines, to examine as well.")
@click.option("--curves", type=FILE, help="metrics.jsonl of the training run, to draw in the report.")
@click.option("--html", type=NEW_FILE, help="Write the report: one file with plots in it.")
@click.option("--json", "as_json", type=NEW_FILE, help="Write every figure with its interval.")
@click.option("--show-texts", is_flag=True, help="With the mistakes' texts. They are customers' words: mind who reads.")
def evaluate(
    bundle: str,
    data: Path,
    part: str,
    labels: tuple[str, ...],
    limit: int | None,
    resamples: int,
    behaviour: Path | None,
    curves: Path | None,
    html: Path | None,
    as_json: Path | None,
    show_texts: bool,
) -> None:
    """Measure BUNDLE (a folder, or `default`): how good, how calibrated, whom it alarms, and where it fails.

    Figures of the whole, of every source and of slices (language, length, channel, role, negation, emoji, context),
    each with a bootstrap interval. The bundle is not changed.

    \b
    moodstream train evaluate default --data labelled --html report.html
    """
    from datetime import UTC, datetime

    import msgspec
    import numpy as np
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from stream_app.errors import SetupError
    from stream_app.scoring.load import bundle_folder, load_scorer, manifest_of
    from trainer.behaviour import examine, read_cases
    from trainer.calibrate import at_most, scores_of
    from trainer.corpus import read_folder
    from trainer.evaluate import evaluate as run
    from trainer.rows import half
    from trainer.slices import DIMENSIONS
    from trainer.sources import MEASURED_ONLY
    from trainer.split import fingerprint, load_split

    meaning = meaning_of(labels)
    for wanted in (html, as_json):  # before minutes of scoring, not after
        if wanted and not wanted.parent.is_dir():
            raise SetupError(f"{wanted.parent} is no folder: make it, or name another file")
    cases = read_cases(behaviour) if behaviour else []
    lines: Sequence[dict[str, float]] = ()
    if curves:
        from trainer.pages import read_curves

        lines = read_curves(curves)
    scorer = load_scorer(bundle)
    if part == "all":
        rows = [row for _, sided in read_folder(data, meaning) for row, _ in sided]
    else:
        rows = load_split(data, seed=0, labels=meaning).held  # no seed decides what is held back
        known = manifest_of(bundle_folder(bundle)).held_back
        if known and known != fingerprint(rows):
            click.echo(
                f"note: {scorer.name} was made holding back other rows: it may have learned some of these", err=True
            )
    if part == "test":
        rows = [row for row in rows if half(row) == 1 or row.source in MEASURED_ONLY]
    rows = at_most(rows, limit) if limit else rows
    if not rows:
        raise SetupError(f"{data} holds no row of the part {part!r}: use --rows all for data the model has never seen")

    columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        scored = progress.add_task("scoring", total=len(rows))
        scores = []
        for start in range(0, len(rows), AT_ONCE):
            scores += scores_of(scorer, rows[start : start + AT_ONCE]).tolist()
            progress.update(scored, completed=len(scores))
        measured = progress.add_task("measuring", total=len(rows) * len(DIMENSIONS))
        evaluation = run(
            scorer.name,
            rows,
            np.array(scores),
            scorer.decisions,
            resamples=resamples,
            show_texts=show_texts,
            advance=lambda texts: progress.advance(measured, texts),
        )
        progress.update(measured, completed=len(rows) * len(DIMENSIONS))  # not every row is in every dimension
    examined = examine(scorer, cases) if cases else None
    if as_json:
        content = msgspec.json.encode({"evaluation": evaluation, "behaviour": examined})
        as_json.write_bytes(msgspec.json.format(content, indent=2) + b"\n")
    if html:
        from trainer.pages import write_report

        made = f"{datetime.now(UTC):%d %B %Y}"
        write_report(html, evaluation, behaviour=examined, curves=lines, made=made, show_texts=show_texts)
    for each in [*evaluation.of("source"), evaluation.slices[0]]:
        told = (f"{name} {each.figures[name].value:g}" for name in SHOWN if name in each.figures)
        click.echo(f"{each.name:28} {'  '.join(told)}")
    if examined:
        click.echo(f"behaviour: {examined.overall.passed} of {examined.overall.cases} cases passed")
