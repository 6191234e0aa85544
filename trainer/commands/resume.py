"""`moodstream train resume`."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.paths import FOLDER


@click.command()
@click.argument("work", type=FOLDER)
@click.option("--threads", type=int, help="Of the machine it goes on with.")
@click.option("--device", type=click.Choice(("cpu", "cuda")), help="Of the machine it goes on with.")
def resume(work: Path, threads: int | None, device: str | None) -> None:
    """Go on with a run of `fit` or `distill` that was stopped or killed.

    The weights at the end are those of a run that was never disturbed.
    """
    from trainer.fit import resume as run

    machine = {name: value for name, value in (("threads", threads), ("device", device)) if value is not None}
    click.echo(f"trained: {run(work, **machine)}")
