"""`moodstream train bundle`."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.paths import FOLDER, NEW_FOLDER


@click.command()
@click.option("--data", type=FOLDER, required=True, help="The folder of labelled files that the runs were trained on.")
@click.option("--zh", type=FOLDER, required=True, help="The run whose model reads Chinese.")
@click.option("--en", type=FOLDER, required=True, help="The run whose model reads English.")
@click.option("--out", type=NEW_FOLDER, required=True, help="The bundle to write; the folder's name is the model's.")
def bundle(data: Path, zh: Path, en: Path, out: Path) -> None:
    """Make a bundle of two finished runs: store, calibrate, measure, card.

    Nothing is written to OUT until everything is right.
    """
    from trainer.bundle import make_bundle

    manifest = make_bundle({"zh": zh, "en": en}, data, out)
    click.echo(
        f"{out}: angry from {manifest.decisions.anger_threshold}; look at it with `moodstream models show {out}`"
    )
