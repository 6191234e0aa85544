"""Whatever is wrong with a bundle is said in one sentence: what, where, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch as torch_file
import torch
from safetensors.numpy import load_file, save_file

from schemas.bundle import BundleError
from stream_app.scoring.load import load_scorer
from stream_app.text.model_input import TEXT_VERSION
from tests.model.test_transformer import classifier
from tests.model.tiny import change_manifest


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def cut_short(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-200])


def manifest(**changes: object) -> Callable[[Path], object]:
    return lambda folder: change_manifest(folder, **changes)


def config(**changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")

    return change


def eight_bits_without_scale(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    weights.pop(name + ".scale", None)
    save_file(weights | {name: weights[name].astype(np.int8)}, folder / "model.safetensors")


def eight_bit_floats(folder: Path) -> None:
    weights = torch_file.load_file(folder / "model.safetensors")
    torch_file.save_file(weights | {"x": torch.ones(2).to(torch.float8_e4m3fn)}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(remove("config.json"), "holds no config.json", id="no config"),
        pytest.param(remove("model.safetensors"), "holds no model.safetensors", id="no weights"),
        pytest.param(remove("tokenizer.json"), "tokenizer.json cannot be loaded", id="no tokenizer"),
        pytest.param(cut_short("model.safetensors"), "cut short or damaged", id="truncated weights"),
        pytest.param(cut_short("tokenizer.json"), "tokenizer.json cannot be loaded", id="truncated tokenizer"),
        pytest.param(cut_short("bundle.json"), "not a valid manifest", id="truncated manifest"),
        pytest.param(config(intermediate_size=64), "has shape", id="weights of another shape"),
        pytest.param(config(num_hidden_layers=3), "lacks the tensor", id="a layer missing"),
        pytest.param(config(vocab_size=10), "do not belong together", id="another tokenizer"),
        pytest.param(manifest(text_version=TEXT_VERSION + 1), "text version", id="another text version"),
        pytest.param(manifest(format=99), "format 99", id="a later format"),
        pytest.param(manifest(labels={}), "maps no outputs", id="no labels"),
        pytest.param(manifest(labels={"0": "angry"}), "not a valid manifest", id="a mood that is none"),
        pytest.param(manifest(labels={"0": "negative", "7": "positive"}), "no output '7'", id="an output that is none"),
        pytest.param(manifest(labels={"0": "negative"}), "leaves output 1 unmapped", id="an output forgotten"),
        pytest.param(manifest(anger_output=9), "no free output 9", id="no such anger output"),
        pytest.param(manifest(colour="red"), "colour", id="a field we do not know"),
        pytest.param(manifest(weights={"model.safetensors": "0"}), "not the file that", id="hash mismatch"),
        pytest.param(manifest(weights={"config.json": "0"}), "has no hash of model.safetensors", id="a hash missing"),
        pytest.param(manifest(weights={"../x": "0"}), "not inside the bundle", id="a hash of a file elsewhere"),
        pytest.param(config(id2label=None, num_labels="four"), "cannot be read", id="a number that is none"),
        pytest.param(config(num_hidden_layers="two"), "not the config of a BERT", id="layers that are no number"),
        pytest.param(manifest(temperatures={"anger": 0}), "not a valid manifest", id="a temperature of 0"),
        pytest.param(manifest(max_tokens=0), "not a valid manifest", id="no tokens"),
        pytest.param(manifest(name=""), "not a valid manifest", id="no name"),
        pytest.param(eight_bit_floats, "F8_E4M3: save the weights in float32", id="numbers of a kind we cannot read"),
        pytest.param(eight_bits_without_scale, "without bert.embeddings.word", id="scale missing"),
    ],
)
def test_a_broken_bundle_gives_one_readable_sentence(bundle: Path, damage: Callable[[Path], object], says: str) -> None:
    damage(bundle)
    with pytest.raises(BundleError) as caught:
        load_scorer(str(bundle))
    sentence = str(caught.value)
    assert says in sentence
    assert "\n" not in sentence
    assert str(bundle) in sentence or "bundle tiny" in sentence, "it must say where"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        load_scorer(str(tmp_path / "nowhere"))


def test_a_classifier_without_manifest_in_a_folder_that_can_give_no_name_is_one_sentence(tmp_path: Path) -> None:
    folder = classifier(tmp_path / ("x" * 129), ["negative", "positive"])
    with pytest.raises(BundleError, match="cannot be a model's name"):
        load_scorer(str(folder))
