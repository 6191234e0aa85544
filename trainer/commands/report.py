"""`moodstream train report`."""

from __future__ import annotations

from pathlib import Path

import click

from stream_app.commands.terminal import json_option, print_json, say, table
from trainer.commands.paths import FOLDER


@click.command()
@click.option("--data", type=FOLDER, required=True, help="Folder of labelled files: CSV, JSON Lines (or .gz), Parquet.")
@click.option(
    "--label", "labels", multiple=True, metavar="THEIRS=OURS", help="A label of the files, as 0=neg. Repeats."
)
@click.option("--seed", type=int, default=13, show_default=True, help="Of the mixture.")
@click.option("--scale", type=float, default=1.0, show_default=True, help="Of the mixture in sources.py.")
@click.option("--noise-rows", type=click.IntRange(min=0), default=4_000, show_default=True,
              help="Of each source, to judge its labels by; 0 leaves that out.")  # fmt: skip
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write it as a page, too.")
@json_option
def report(
    data: Path, labels: tuple[str, ...], seed: int, scale: float, noise_rows: int, page: Path | None, as_json: bool
) -> None:
    """Look at labelled texts before training on them.

    Rows, lengths, duplicates and balance of each source; texts with contradicting labels; what a training run would
    train on and hold back, with a check that nothing is on both sides; and the sources whose labels a quick model,
    trained without the row it is asked about, contradicts most. Ends with 1 if something is on both sides.

    \b
    Example:  moodstream train report --data labelled/ --html report.html
    Columns: text; sentiment (neg, neu, pos), stars (1-5) or label; anger (0, 0.5, 1); and, if there are any, id,
    context (turns before, ||| between), customer, conversation, product, time, language, channel, source, weight, role.
    """
    from trainer.report import make_report
    from trainer.report_page import html, sections

    made = make_report(data, seed, scale, meaning_of(labels), noise_rows)
    if page:
        page.write_text(html(made, f"Labelled texts in {data.name}"), encoding="utf-8")
    if as_json:
        print_json(made)
    else:
        say(f"fingerprint {made.fingerprint}")
        if made.missing:
            say(f"no row is labelled {' or '.join(made.missing)}")
        for section in sections(made):
            say(f"\n{section.title}")
            table(section.headings, section.rows, right=section.headings[section.words :])
    if made.leaks.any():
        raise click.exceptions.Exit(1)


def meaning_of(labels: tuple[str, ...]) -> dict[str, str]:
    """`("0=neg", "1=pos")` as a mapping."""
    from trainer.extract import MOODS

    meaning = dict(label.rpartition("=")[::2] for label in labels)
    for theirs, ours in meaning.items():
        if not theirs or ours not in MOODS:
            raise click.BadParameter(f"{theirs}={ours} is not THEIRS=neg, =neu or =pos", param_hint="--label")
    return meaning
