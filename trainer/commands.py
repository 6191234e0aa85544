"""`moodstream train …`; the same as `python -m trainer.train …`."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def train() -> None:
    """Train a model on labelled texts, measure it, write its bundle."""


@train.command()
@click.option("--data", type=FOLDER, required=True, help="Folder of labelled files, <source>.csv.gz.")
@click.option("--start", type=FOLDER, required=True, help="The base model (a BertModel), or a bundle to train further.")
@click.option("--work", type=NEW_FOLDER, required=True, help="Checkpoints; start again with it to go on after a kill.")
@click.option("--out", type=NEW_FOLDER, required=True, help="The bundle to write; the folder's name is the model's.")
@click.option("--epochs", type=int, default=1, show_default=True)
@click.option("--learning-rate", type=float, default=2e-4, show_default=True)
@click.option("--scale", type=float, default=1.0, show_default=True, help="Of the mixture in trainer/sources.py.")
@click.option("--layers", default="0,3,7,11", show_default=True, help="Which layers of the base the student keeps.")
@click.option("--seed", type=int, default=13, show_default=True)
def bundle(
    data: Path,
    start: Path,
    work: Path,
    out: Path,
    epochs: int,
    learning_rate: float,
    scale: float,
    layers: str,
    seed: int,
) -> None:
    """Train a student and write it as a bundle with figures and model card."""
    from trainer.bundle import Job, make_bundle

    kept = tuple(int(layer) for layer in layers.split(","))
    job = Job(data, start, work, out, layers=kept, epochs=epochs, learning_rate=learning_rate, scale=scale, seed=seed)
    manifest = make_bundle(job)
    click.echo(f"{out} written: {manifest.decisions}")


@train.command()
@click.option("--data", type=FOLDER, required=True, help="Folder of labelled files, <source>.csv.gz.")
@click.option("--seed", type=int, default=13, show_default=True)
@click.argument("folder", type=FOLDER)
def measure(data: Path, folder: Path, seed: int) -> None:
    """Measure a bundle again on the held-back rows, record its canary texts, rewrite its manifest and card."""
    from schemas.bundle import read_manifest
    from trainer.bundle import measure_and_record
    from trainer.data import load_split

    manifest = measure_and_record(folder, read_manifest(folder), load_split(data, seed).held)
    for source, found in manifest.metrics.items():
        click.echo(f"{source:32} " + "  ".join(f"{name} {value:g}" for name, value in found.items()))
