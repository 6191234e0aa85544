"""`moodstream train cv`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trainer.commands.fit import job_options, numbers
from trainer.commands.recipe_options import recipe_from

SHOWN = ("texts", "accuracy", "accuracy_of_two", "macro_f1", "calibration_error", "anger_auc", "anger_recall")


@click.command()
@click.option("--folds", type=click.IntRange(2, 50), default=5, show_default=True, help="Trainings; a fold each.")
@click.option("--json", "as_json", type=click.Path(dir_okay=False, path_type=Path), help="Every figure, to this file.")
@click.option("--start", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A base model; else"
              " bge-small, which is fetched.")  # fmt: skip
@job_options
def cv(folds: int, as_json: Path | None, start: Path | None, **options: Any) -> None:
    """Cross-validate: train K times without a part of the rows, measure on that part, show mean and deviation.

    Rows of one conversation, customer or product day stay in one fold. Each fold takes the time of a training: try
    --scale 0.1 first. Stopped or killed, the same command goes on; fold i lies in WORK/fold-i. Figures are those of
    raw probabilities: calibration errors are above those of a finished bundle, and anger counts from 0.5.
    """
    import msgspec

    from trainer.base import base_model
    from trainer.cv import Figures, cross_validate
    from trainer.fit import Job

    recipe = recipe_from(options)
    work, data, layers = options.pop("work"), options.pop("data"), numbers(options.pop("layers"))
    job = Job(data=str(data), start=str(start) if start else None, layers=layers, recipe=recipe, **options)

    def hear(fold: int, figures: Figures) -> None:
        told = (f"{name} {figures['all'][name]:g}" for name in SHOWN if name in figures["all"])
        click.echo(f"fold {fold + 1} of {folds}: {', '.join(told)}", err=True)

    found = cross_validate(job, start or base_model(job.language), folds, work, hear=hear)
    width = max(map(len, found))
    for name, figures in found.items():
        for figure in SHOWN[1:]:
            if figure in figures:
                mean, sd, counted = figures[figure]
                click.echo(f"{name:{width}}  {figure:18}  {mean:.4f} ± {sd:.4f}  ({counted} folds)")
    if as_json:
        as_json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
