"""`moodstream models export`: a bundle's checkpoints as transformers loads them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from stream_app.commands.terminal import say
from stream_app.errors import SetupError
from stream_app.scoring.load import bundle_folder, manifest_of
from stream_app.scoring.storage import plain_checkpoint


@click.command("export")
@click.argument("path")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder.")
def export(path: str, out: Path) -> None:
    """Write a bundle's encoders as plain Hugging Face checkpoints, float32.

    PATH is a bundle's folder or "default". A bundle with two encoders gives OUT/zh and OUT/en; each loads with
    `AutoModelForSequenceClassification.from_pretrained`. Temperatures and thresholds are in the bundle's manifest only.
    A failure leaves nothing at OUT.

    \b
    moodstream models export default --out plain
    """
    if out.exists():
        raise SetupError(f"{out} exists already: choose another folder or remove it")
    if not out.parent.is_dir():
        raise SetupError(f"{out.parent} is no folder: make it first")
    folder = bundle_folder(path)
    manifest = manifest_of(folder)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as aside:
        whole = Path(aside) / out.name
        for part in dict.fromkeys(encoder.folder for encoder in manifest.checkpoints.values()):
            plain_checkpoint(folder / part, whole / part)
        whole.rename(out)
    say(f"{out} written: {', '.join(manifest.encoders) or 'one checkpoint'}")
