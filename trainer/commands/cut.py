"""`moodstream train cut`."""

from __future__ import annotations

from pathlib import Path

import click

from trainer.commands.fit import numbers
from trainer.commands.paths import FOLDER, NEW_FOLDER
from trainer.commands.report import meaning_of


@click.command()
@click.argument("start", type=FOLDER)
@click.option("--data", type=FOLDER, required=True, help="Labelled files whose texts decide which pieces stay.")
@click.option("--language", type=click.Choice(("zh", "en")), required=True, help="Whose texts of them count.")
@click.option(
    "--label", "labels", multiple=True, metavar="THEIRS=OURS", help="A label of the files, as 0=neg. Repeats."
)
@click.option("--vocabulary", type=int, default=0, help="Pieces to keep, the most used; 0 keeps all.")
@click.option("--layers", default="", help="To keep, as 0,2,5; all if not given.")
@click.option("--out", type=NEW_FOLDER, required=True, help="The smaller checkpoint; a new folder.")
def cut(
    start: Path, data: Path, language: str, labels: tuple[str, ...], vocabulary: int, layers: str, out: Path
) -> None:
    """Cut vocabulary and layers from a checkpoint.

    START is a base model or a run's model/ folder. Special tokens, emoji and single characters always stay, so nothing
    that customers can type becomes unknown by the cut. `fit` and `distill` do the same on their way; this is for those
    who want to see what a cut costs, with `fit --start OUT`.
    """
    from schemas.bundle import BundleError
    from trainer.fit import rows_of
    from trainer.split import load_split
    from trainer.student import cut_student, size_of

    if out.exists():
        raise BundleError(f"{out} exists: name another folder.")
    rows = rows_of(language, load_split(data, seed=13, labels=meaning_of(labels))).train  # type: ignore[arg-type]
    texts = (text for row in rows for text in row.input if text)
    cut_student(start, out, texts, layers=numbers(layers), vocabulary=vocabulary)
    for name, folder in (("before", start), ("after", out)):
        size = size_of(folder)
        click.echo(f"{name:7} {size.pieces:,} pieces, {size.layers} layers, {size.parameters / 1e6:.1f} M parameters")
