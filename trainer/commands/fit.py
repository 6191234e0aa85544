"""`moodstream train fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from trainer.commands.paths import FOLDER, NEW_FOLDER
from trainer.commands.recipe_options import recipe_from, recipe_options
from trainer.commands.report import meaning_of

SCALE = click.FloatRange(0, 1, min_open=True)


def _meaning(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    return meaning_of(value)


def job_options(command: Any) -> Any:
    """What `fit` and `distill` share."""
    command = recipe_options(command)  # first, so that --help ends with them
    for option in reversed(
        (
            click.option("--data", type=FOLDER, required=True, help="Folder of labelled files."),
            click.option("--language", type=click.Choice(("zh", "en")), required=True, help="Which encoder to train."),
            click.option("--work", type=NEW_FOLDER, required=True, help="The run's folder; the same again goes on."),
            click.option("--layers", default="", help="Of the start to keep, as 0,2,5; all if not given."),
            click.option("--vocabulary", type=int, default=0, help="Pieces to keep, the most used; 0 keeps all."),
            click.option("--scale", type=SCALE, default=1.0, show_default=True, help="Of the mixture in sources.py."),
            click.option(
                "--label",
                "labels",
                multiple=True,
                metavar="THEIRS=OURS",
                callback=_meaning,
                help="A label of the files, as 0=neg. Repeats.",
            ),
        )
    ):
        command = option(command)
    return command


def numbers(layers: str) -> tuple[int, ...]:
    try:
        return tuple(int(layer) for layer in layers.split(",") if layer.strip())
    except ValueError:
        raise click.BadParameter(f"{layers!r} is no list of layer numbers like 0,2,5", param_hint="--layers") from None


@click.command()
@click.option("--start", type=FOLDER, help="A base model or a run's model/ folder; else bge-small, which is fetched.")
@job_options
def fit(start: Path | None, **options: Any) -> None:
    """Fine-tune one language's encoder on labelled texts.

    Stopped or killed, it goes on where it was when called again, or by `train resume WORK`. On several GPUs:
    torchrun --nproc-per-node N -m trainer.train fit ….
    """
    from trainer.fit import Job
    from trainer.fit import fit as run

    recipe = recipe_from(options)
    work, data, layers = options.pop("work"), options.pop("data"), numbers(options.pop("layers"))
    job = Job(
        data=str(data.resolve()), start=str(start.resolve()) if start else None, layers=layers, recipe=recipe, **options
    )
    click.echo(f"trained: {run(job, work)}")
