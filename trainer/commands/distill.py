"""`moodstream train distill`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trainer.commands.fit import job_options, numbers
from trainer.commands.paths import FOLDER
from trainer.commands.recipe_options import recipe_from


@click.command()
@click.option(
    "--teacher",
    "teachers",
    type=FOLDER,
    multiple=True,
    required=True,
    help="A run's model/ folder; several: their mean is learned.",
)
@click.option("--start", type=FOLDER, help="What the student is cut from; else the first teacher.")
@job_options
def distill(teachers: tuple[Path, ...], start: Path | None, **options: Any) -> None:
    """Train a small student on labels and on what larger models think of every text.

    Teachers and student share a language. Their opinions are kept beside WORK, in opinions/: a second student of them
    asks nothing. --teacher-share and --teacher-temperature say how much they count.
    """
    from trainer.fit import Job
    from trainer.fit import fit as run

    recipe = recipe_from(options)
    work, data, layers = options.pop("work"), options.pop("data"), numbers(options.pop("layers"))
    job = Job(
        data=str(data.resolve()),
        start=str((start or teachers[0]).resolve()),
        layers=layers,
        teachers=tuple(str(teacher.resolve()) for teacher in teachers),
        recipe=recipe,
        **options,
    )
    click.echo(f"trained: {run(job, work)}")
