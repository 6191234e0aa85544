"""From the setting `model` to a loaded `Scorer`."""

from __future__ import annotations

import json
from pathlib import Path

from schemas.bundle import MANIFEST, BundleError, Manifest, read_manifest
from stream_app.scoring.outputs import Outputs, recognise
from stream_app.scoring.quick import QuickScorer
from stream_app.scoring.scorer import Scorer
from stream_app.text.model_input import TEXT_VERSION

BUNDLES = Path(__file__).parent.parent / "bundles"


def load_scorer(
    model: str, *, threads: int = 2, token_budget: int = 1024, remember: int = 1000, device: str = "cpu"
) -> Scorer:
    """The scorer that `model` names: "default" (the bundle that ships), "quick" (the stand-in), or a folder.

    A folder is a bundle, or any local Hugging Face sequence classifier whose outputs are named or mapped by a
    bundle.json. `remember` is how many recent texts keep their scores. Raises BundleError with one readable sentence.
    """
    if model == "quick":
        return QuickScorer()
    folder = default_bundle() if model == "default" else Path(model)
    manifest = _manifest(folder)
    # Here and not above: torch takes seconds to import, and `quick` and every error before this line need none of it.
    from stream_app.scoring.model_scorer import Model, ModelScorer

    loaded: Model
    if manifest.architecture == "bert-packed":
        from stream_app.scoring.bert import PackedBert

        loaded = PackedBert(folder, manifest, device)
    else:
        from stream_app.scoring.transformer import TransformerClassifier

        loaded = TransformerClassifier(folder, manifest)
    outputs = Outputs(manifest, output_names(folder))
    return ModelScorer(loaded, manifest, outputs, threads=threads, token_budget=token_budget, remember=remember)


def default_bundle() -> Path:
    """The folder of the bundle named in `stream_app/bundles/default`."""
    try:
        return BUNDLES / (BUNDLES / "default").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise BundleError(f"{BUNDLES} names no default bundle: install the package again.") from None


def output_names(folder: Path) -> dict[int, str]:
    """Output number -> name, from config.json."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
        named = config.get("id2label") or {number: f"LABEL_{number}" for number in range(config.get("num_labels", 2))}
        return {int(number): str(name) for number, name in named.items()}
    except FileNotFoundError:
        raise BundleError(f"{folder} holds no config.json: it is no model; copy the whole folder again.") from None
    except (OSError, ValueError, AttributeError) as error:
        raise BundleError(f"{path} cannot be read ({error}): copy the whole folder again.") from error


def _manifest(folder: Path) -> Manifest:
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
    return Manifest(name=folder.name, labels=labels)
