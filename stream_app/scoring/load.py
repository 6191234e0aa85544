"""From the setting `model` to a loaded `Scorer`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from schemas.bundle import DEFAULT, MANIFEST, BundleError, Manifest, checked_name, read_manifest
from stream_app.scoring.outputs import Outputs, recognise
from stream_app.scoring.quick import QuickScorer
from stream_app.scoring.scorer import LoadedScorer
from stream_app.scoring.storage import check_digests
from stream_app.text.language import encoder_language
from stream_app.text.model_input import TEXT_VERSION, ModelInput

if TYPE_CHECKING:
    from stream_app.scoring.model_scorer import Model

BUNDLES = Path(__file__).parent.parent / "bundles"


def load_scorer(
    model: str, *, threads: int = 2, token_budget: int = 1024, remember: int = 1000, device: str = "cpu"
) -> LoadedScorer:
    """The scorer that `model` names: "default" (the bundle that ships), "quick" (the stand-in), or a folder.

    A folder is a bundle, or any local Hugging Face sequence classifier whose outputs are named or mapped by a
    bundle.json. `remember` is how many recent texts keep their scores. Raises BundleError with one readable sentence.
    """
    if model == "quick":
        return QuickScorer()
    folder = bundle_folder(model)
    # 1. What is it? 2. Are its files those that it was made of?
    manifest = manifest_of(folder)
    check_digests(folder, manifest)
    names = _shared_outputs(folder, manifest)
    # 3. Its models. Imported here: torch takes seconds, and `quick` and every error before this line need none of it.
    from stream_app.scoring.model_scorer import ModelScorer, Part

    parts: dict[str, Part] = {}
    for name, encoder in manifest.checkpoints.items():
        outputs = Outputs(msgspec.structs.replace(manifest, temperatures=encoder.temperatures), names)
        parts[name] = Part(_load_model(folder / encoder.folder, manifest, device), outputs)
    # 4. Who reads which text?
    route = _by_language if manifest.encoders else _to(next(iter(parts)))
    return ModelScorer(parts, route, manifest, threads=threads, token_budget=token_budget, remember=remember)


def _load_model(folder: Path, manifest: Manifest, device: str) -> Model:
    if manifest.architecture == "bert-packed":
        from stream_app.scoring.bert import PackedBert

        return PackedBert(folder, manifest, device)
    from stream_app.scoring.transformer import TransformerClassifier

    return TransformerClassifier(folder, manifest)


def _by_language(item: ModelInput) -> str:
    return encoder_language(item.text, item.context)


def _to(name: str) -> Callable[[ModelInput], str]:
    return lambda _: name


def bundle_folder(model: str) -> Path:
    """The folder that a bundle's name stands for."""
    return default_bundle() if model == DEFAULT else Path(model)


def default_bundle() -> Path:
    """The folder of the bundle named in `stream_app/bundles/default`."""
    try:
        return BUNDLES / (BUNDLES / "default").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise BundleError(f"{BUNDLES} names no default bundle: install the package again.") from None


def output_names(folder: Path) -> dict[int, str]:
    """Output number -> name, from a checkpoint's config.json."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
        named = config.get("id2label") or {number: f"LABEL_{number}" for number in range(config.get("num_labels", 2))}
        return {int(number): str(name) for number, name in named.items()}
    except FileNotFoundError:
        raise BundleError(f"{folder} holds no config.json: it is no model; copy the whole folder again.") from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise BundleError(f"{path} cannot be read ({error}): copy the whole folder again.") from error


def manifest_of(folder: Path) -> Manifest:
    """The bundle's manifest, or one made up for a classifier whose outputs' names leave no doubt."""
    if not folder.is_dir() or (folder / MANIFEST).exists():
        return read_manifest(folder, text_version=TEXT_VERSION)
    names = output_names(folder)
    labels = recognise(names)
    if labels is None:
        example = json.dumps(
            {"name": folder.name, "labels": dict.fromkeys(map(str, names), "negative|neutral|positive")}
        )
        raise BundleError(
            f"{folder}: the outputs {', '.join(names.values())} do not say which mood they mean: write a"
            f" {MANIFEST} there, like {example}."
        )
    return Manifest(name=checked_name(folder.resolve().name), labels=labels)


def _shared_outputs(folder: Path, manifest: Manifest) -> dict[int, str]:
    """Those of every checkpoint of the bundle. Raises BundleError when they differ."""
    named = {name: output_names(_existing(folder / encoder.folder)) for name, encoder in manifest.checkpoints.items()}
    first, *others = named
    for other in others:
        if named[other] != named[first]:
            raise BundleError(
                f"{folder}: the encoders have different outputs, {first} {', '.join(named[first].values())} and {other}"
                f" {', '.join(named[other].values())}: they do not belong together."
            )
    return named[first]


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise BundleError(f"{folder} is missing, and {MANIFEST} names it: copy the whole bundle again.")
    return folder
