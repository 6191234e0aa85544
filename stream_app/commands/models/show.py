"""`moodstream models show`: what a bundle says of itself, read without loading it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click
from rich.text import Text
from safetensors import SafetensorError, safe_open

from schemas.bundle import Manifest
from stream_app.commands.terminal import json_option, print_json, say, table
from stream_app.scoring.load import bundle_folder, manifest_of
from stream_app.scoring.storage import WEIGHTS, bundle_files, fingerprint

# "Google Research" is an owner and not a condition
_RESEARCH = re.compile(r"\bresearch\b|Research (?:only|use)|[Nn]on-?[Cc]ommercial|\bNC\b")
_UNKNOWN = re.compile(r"no licence|unknown", re.IGNORECASE)
_STORED = {"I8": "int8", "F16": "fp16", "BF16": "bf16", "F32": "fp32"}

_COUNTS = {"texts", "labelled", "anger_labelled"}
# Title, the figure that a set must have, heading -> figure. The names are the trainer's; --json shows them all.
_FIGURES: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "moods on held-back sets",
        "accuracy",
        {
            "texts": "texts",
            "accuracy": "accuracy",
            "macro F1": "macro_f1",
            "of two": "accuracy_of_two",
            "wrongly neg.": "called_negative_wrongly",
            "ECE": "calibration_error",
        },
    ),
    (
        "anger on held-back sets",
        "anger_auc",
        {
            "texts": "texts",
            "AUC": "anger_auc",
            "recall": "anger_recall",
            "precision": "anger_precision",
            "false alarms": "anger_false_alarms",
            "ECE": "anger_calibration_error",
        },
    ),
    (
        "unlabelled turns, shares",
        "called_negative",
        {
            "texts": "texts",
            "called negative": "called_negative",
            "called positive": "called_positive",
            "called angry": "called_angry",
        },
    ),
)


@click.command("show")
@click.argument("path")
@json_option
def show(path: str, as_json: bool) -> None:
    """Show what a bundle is, what it may be used for and how good it is.

    PATH is a bundle's folder or "default", the bundle that ships. Licences come with those first that forbid something.
    A figure is that of the held-back half of each set, as the trainer measured it.

    \b
    moodstream models show default
    moodstream models show bundles/mine-1 --json | jq .metrics.own_turns
    """
    folder = bundle_folder(path)
    manifest = manifest_of(folder)
    if as_json:
        print_json({"folder": str(folder), "fingerprint": fingerprint(folder), "manifest": manifest})
        return
    _show_identity(folder, manifest)
    _show_encoders(folder, manifest)
    _show_decisions(manifest)
    _show_metrics(manifest)
    _show_licences(manifest)


def _show_identity(folder: Path, manifest: Manifest) -> None:
    version = manifest.text_version
    training = ", ".join(f"{name} {value}" for name, value in manifest.training.items())
    size = sum((folder / name).stat().st_size for name in bundle_files(folder, manifest))
    facts = {
        "folder": str(folder),
        "size": f"{size / 1e6:.1f} MB",
        "fingerprint": fingerprint(folder)[:16],
        "hashes": f"{len(manifest.weights)} files" if manifest.weights else "none recorded",
        "made": f"{manifest.created:%Y-%m-%d %H:%M}" if manifest.created else "unknown",
        "text version": "none, trained elsewhere" if version is None else str(version),
        "canary texts": str(len(manifest.canary)),
        "training": training or "unknown",
        "data": manifest.data_fingerprint or "unknown",
        "code": (manifest.code_commit or "unknown")[:12],
    }
    table((manifest.name, ""), list(facts.items()))


def _show_encoders(folder: Path, manifest: Manifest) -> None:
    headings = ("encoder", "folder", "layers", "width", "pieces", "stored in", "MB", "T mood", "T anger")
    rows = []
    for name, encoder in manifest.checkpoints.items():
        place = folder / encoder.folder
        size = sum(path.stat().st_size for path in place.glob("*.safetensors"))
        temperatures = (encoder.temperatures.sentiment, encoder.temperatures.anger)
        numbers = (f"{size / 1e6:.1f}", *(f"{temperature:g}" for temperature in temperatures))
        rows.append((name, encoder.folder, *_shape(place), _stored_in(place / WEIGHTS), *numbers))
    table(headings, rows, right=("layers", "width", "pieces", "MB", "T mood", "T anger"))


def _shape(checkpoint: Path) -> tuple[str, str, str]:
    try:
        config = json.loads((checkpoint / "config.json").read_bytes())
    except (OSError, ValueError):
        return ("–", "–", "–")
    names = (("num_hidden_layers", "n_layers"), ("hidden_size", "dim"), ("vocab_size",))  # DistilBERT has its own
    found = (next((config[name] for name in alike if name in config), "–") for alike in names)
    layers, width, pieces = map(str, found)
    return layers, width, pieces


def _stored_in(weights: Path) -> str:
    """The kinds of numbers, those of the most tensors first, from the head of the file."""
    try:
        with safe_open(weights, framework="numpy") as file:
            kinds = Counter(file.get_slice(name).get_dtype() for name in list(file.keys()))
    except (OSError, SafetensorError):
        return "–"
    return ", ".join(_STORED.get(kind, kind) for kind, _ in kinds.most_common())


def _show_decisions(manifest: Manifest) -> None:
    decisions = manifest.decisions
    anger = f"output {manifest.anger_output}, angry from {decisions.anger_threshold:g}"
    rows = [
        ("outputs", ", ".join(f"{output} → {mood}" for output, mood in manifest.labels.items())),
        ("anger", "not answered" if manifest.anger_output is None else anger),
        ("intensity 2, 3, 4, 5 above", ", ".join(f"{cut:g}" for cut in decisions.intensity_cuts)),
        ("tokens at most", str(manifest.max_tokens)),
    ]
    table(("decisions", ""), rows)


def _show_metrics(manifest: Manifest) -> None:
    """A table each for moods, anger and what has no labels; of a set only the figures that it has."""
    for title, needed, columns in _FIGURES:
        sets = {name: found for name, found in manifest.metrics.items() if needed in found}
        shown = {heading: name for heading, name in columns.items() if any(name in found for found in sets.values())}
        rows = [(name, *(_figure(found, figure) for figure in shown.values())) for name, found in sets.items()]
        if rows:
            table((title, *shown), rows, right=tuple(shown))


def _figure(found: Mapping[str, float], name: str) -> str:
    if name not in found:
        return "–"
    if name in _COUNTS:
        return f"{found[name]:.0f}"
    interval = [f"{found[end]:.3f}" for end in (f"{name}_low", f"{name}_high") if end in found]
    return f"{found[name]:.3f}" + (f" ({'–'.join(interval)})" if interval else "")


def _show_licences(manifest: Manifest) -> None:
    ranked = sorted((_rank(licence), name, licence) for name, licence in manifest.licences.items())
    if not ranked:
        say("No licences are recorded: ask where the model comes from before you rely on it.")
        return
    rows = [(name, Text(licence, ("bold red", "yellow", "green")[rank])) for rank, name, licence in ranked]
    table(("data or base model", "what its owners allow"), rows)
    forbidden = sum(rank == 0 for rank, _, _ in ranked)
    unstated = sum(rank == 1 for rank, _, _ in ranked)
    if forbidden or unstated:
        say(f"{forbidden} of {len(ranked)} allow research or non-commercial use only, {unstated} state no licence.")


def _rank(licence: str) -> int:
    """0: forbids commercial use  1: says nothing  2: allows it."""
    return 0 if _RESEARCH.search(licence) else 1 if _UNKNOWN.search(licence) else 2
