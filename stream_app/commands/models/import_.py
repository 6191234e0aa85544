"""`moodstream models import`: any local Hugging Face sequence classifier becomes a bundle."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import cast, get_args

import click
import msgspec

from schemas.bundle import MANIFEST, Canary, Manifest, Sentiment, checked_name, write_manifest
from stream_app.commands.models.verify import SAMPLE, examine, import_torch, refuse, report
from stream_app.commands.terminal import say
from stream_app.errors import SetupError
from stream_app.scoring.load import load_scorer, output_names
from stream_app.scoring.outputs import recognise
from stream_app.scoring.scorer import ScoringError
from stream_app.scoring.storage import digests

# Nothing that runs, and no checkpoints of other frameworks.
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")  # any of them is enough
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")  # the first that is there
_BESIDE = (
    "config.json", "*.safetensors.index.json", "pytorch_model.bin.index.json", "tokenizer_config.json", "merges.txt",
    "special_tokens_map.json", "added_tokens.json", "README.md", "LICENSE*",
)  # fmt: skip


@click.command("import")
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--labels", metavar="LABEL=MOOD,…", help="Every output, by name or number: negative, neutral, positive.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The bundle to write; a new folder.")
@click.option("--name", help="The model's name in every event.  [the folder's]")
def import_(source: Path, labels: str | None, out: Path, name: str | None) -> None:
    """Make a bundle of a local Hugging Face classifier.

    SOURCE is a folder with config.json, weights and tokenizer, as `save_pretrained` writes it; it stays as it is.
    --labels may be left out when the outputs' names leave no doubt (NEGATIVE, 5 stars). Several may share a mood. The
    bundle keeps the hashes of its files and the scores of a few canary texts, so that `moodstream models verify` can
    tell later whether it is still the same. It is checked before it appears at --out; a failure leaves nothing there.

    \b
    moodstream models import ./distilbert-sst2 --out bundles/sst2
    moodstream models import ./roberta-jd --labels LABEL_0=negative,LABEL_1=positive --out bundles/jd-1
    moodstream score -i texts.jsonl --model bundles/jd-1
    """
    if out.exists():
        raise SetupError(f"{out} exists already: choose another folder or remove it")
    if not out.parent.is_dir():
        raise SetupError(f"{out.parent} is no folder: make it first")
    name = checked_name(name or out.name)
    # 1. What is it, and what do its outputs mean?
    names = _outputs(source)
    moods = _moods(labels, names) if labels else recognise(names)
    if moods is None:
        raise SetupError(f"give --labels: the outputs {_listed(names)} do not say which mood they mean")
    files = _files(source)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as aside:
        # 2. Write it aside.
        folder = Path(aside) / out.name
        folder.mkdir()
        for path in files:
            shutil.copyfile(path, folder / path.name)
        manifest = Manifest(name=name, labels=moods, created=datetime.now(UTC).replace(microsecond=0))
        write_manifest(folder, manifest)
        import_torch(manifest)
        canary = _canary(folder)
        write_manifest(folder, msgspec.structs.replace(manifest, canary=canary, weights=digests(folder, manifest)))
        # 3. Does it keep its promises?
        findings = list(examine(folder))
        report(findings)
        refuse(findings)
        # 4. Only now is it there.
        folder.rename(out)
    say(f"{out} written. It was trained on text that was prepared otherwise: measure it before it serves.")


def _outputs(source: Path) -> dict[int, str]:
    names = output_names(source)
    named = json.loads((source / "config.json").read_bytes()).get("architectures")
    architectures = named if isinstance(named, list) and named else [named or "none"]
    if not any(str(kind).endswith("ForSequenceClassification") for kind in architectures):
        # transformers would load it all the same, with a head of random numbers
        raise SetupError(f"{source} is no sequence classifier: config.json says {', '.join(map(str, architectures))}")
    return names


def _moods(labels: str, names: Mapping[int, str]) -> dict[str, Sentiment]:
    """Number -> mood. Raises SetupError for what is no map of exactly these outputs."""
    numbers = {name: number for number, name in names.items()} | {str(number): number for number in names}
    moods: dict[int, Sentiment] = {}
    for pair in labels.split(","):
        label, _, mood = (part.strip() for part in pair.rpartition("="))
        if label not in numbers:
            raise SetupError(f"--labels: {pair.strip()!r} names none of the outputs {_listed(names)}")
        if mood not in get_args(Sentiment):
            raise SetupError(f"--labels: {mood!r} is no mood: use {', '.join(get_args(Sentiment))}")
        if moods.setdefault(numbers[label], cast(Sentiment, mood)) != mood:
            raise SetupError(f"--labels: {label} is mapped twice")
    if missing := [name for number, name in names.items() if number not in moods]:
        raise SetupError(f"--labels leaves {', '.join(missing)} unmapped: map every output")
    return {str(number): moods[number] for number in names}


def _listed(names: Mapping[int, str]) -> str:
    return ", ".join(f"{number} {name}" for number, name in names.items())


def _files(source: Path) -> list[Path]:
    """What to copy. Raises SetupError when there is no tokenizer or there are no weights."""
    tokenizers = _matching(source, *_TOKENIZERS)
    if not tokenizers:
        raise SetupError(f"{source} holds no tokenizer ({', '.join(_TOKENIZERS)}): save it there with save_pretrained")
    weights = next((found for pattern in _WEIGHTS if (found := _matching(source, pattern))), None)
    if not weights:
        raise SetupError(f"{source} holds no weights ({', '.join(_WEIGHTS)}): copy the whole folder")
    return tokenizers + weights + _matching(source, *_BESIDE)


def _matching(source: Path, *patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in source.glob(pattern) if path.name != MANIFEST)


def _canary(folder: Path) -> list[Canary]:
    try:
        with closing(load_scorer(str(folder))) as scorer:
            scored = scorer.score(SAMPLE)
    except ScoringError as failure:
        raise SetupError(f"it loads and cannot score: {failure}") from failure
    return [Canary(item.text, item.context, *scores) for item, scores in zip(SAMPLE, scored, strict=True)]
