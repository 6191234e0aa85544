"""Weights in 8 bits come back nearly as they were, and a bundle's hashes tell it from any other."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch as torch_file
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from schemas.bundle import BundleError, read_manifest
from stream_app.scoring.checkpoint import expected_shapes, read_config, read_weights
from stream_app.scoring.load import load_scorer
from stream_app.scoring.storage import (
    bundle_files,
    check_digests,
    dequantise,
    digests,
    fingerprint,
    plain_checkpoint,
    quantise,
)
from stream_app.text.model_input import ModelInput
from tests.model.tiny import change_manifest

RNG = np.random.default_rng(7)
LARGE: NDArray[np.float32] = RNG.normal(0, 0.05, (128, 100)).astype(np.float32)


def test_large_matrices_are_stored_in_8_bits_and_the_rest_in_16() -> None:
    weights = {
        "layer.weight": LARGE,
        "layer.bias": LARGE[0],
        "small.weight": LARGE[:10],
        "bert.pooler.dense.weight": LARGE,
        "classifier.weight": LARGE,
        "cube": LARGE.reshape(8, 16, 100),
    }
    stored = quantise(weights)
    assert {name: str(stored[name].dtype) for name in stored} == {
        "layer.weight": "int8",
        "layer.weight.scale": "float16",
        "layer.bias": "float16",
        "small.weight": "float16",
        "bert.pooler.dense.weight": "float16",
        "classifier.weight": "float16",
        "cube": "float16",
    }
    assert stored["layer.weight.scale"].shape == (128, 1)


def test_a_weight_comes_back_within_half_a_step_of_its_row() -> None:
    stored = quantise({"w": LARGE * np.geomspace(0.01, 10, 128, dtype=np.float32)[:, None]})
    back = dequantise(stored, "w")
    assert back.dtype == np.float32
    original = LARGE * np.geomspace(0.01, 10, 128, dtype=np.float32)[:, None]
    # half a step, and what the largest weight loses when the scale's rounding to fp16 goes down: 127 × 2⁻¹¹
    assert (np.abs(back - original) <= 0.57 * stored["w.scale"].astype(np.float32)).all()


def test_a_row_of_zeros_stays_one() -> None:
    weight = LARGE.copy()
    weight[3] = 0
    assert (dequantise(quantise({"w": weight}), "w")[3] == 0).all()


def test_a_scale_may_be_flat() -> None:
    stored = quantise({"w": LARGE})
    flat = stored | {"w.scale": stored["w.scale"].ravel()}
    np.testing.assert_array_equal(dequantise(flat, "w"), dequantise(stored, "w"))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6], ids=str)
@pytest.mark.parametrize("name", ["large", "small"])
def test_weights_that_are_no_numbers_or_too_large_are_refused(value: float, name: str) -> None:
    weight = (LARGE if name == "large" else LARGE[:2]).copy()
    weight[1, 1] = value * (127 if name == "large" else 1)
    with pytest.raises(BundleError, match=name):
        quantise({name: weight})


def test_what_is_in_8_bits_already_is_not_squeezed_again() -> None:
    with pytest.raises(BundleError, match="8 bits already"):
        quantise(quantise({"w": LARGE}))


def test_a_checkpoint_in_8_bits_is_read_as_float32_and_scores_nearly_the_same(bundle: Path) -> None:
    path, words = bundle / "model.safetensors", "bert.embeddings.word_embeddings.weight"
    shapes = expected_shapes(read_config(bundle))
    fine = load_file(plain_checkpoint(bundle, bundle.with_name("plain")) / "model.safetensors")
    texts = [ModelInput(text.text, text.context) for text in read_manifest(bundle).canary]
    save_file(fine, path)
    expected = load_scorer(str(bundle)).score(texts)
    save_file(quantise({**fine, words: fine[words] * 1.01}), path)  # off the grid that it may come from
    weights = read_weights(path, shapes)
    inner = "bert.encoder.layer.0.intermediate.dense.weight"
    assert weights[inner].dtype != np.int8
    assert weights[words].dtype == np.int8, "looked up row by row"
    assert weights.keys() - shapes.keys() == {words + ".scale"}
    assert 0 < np.abs(np.array(load_scorer(str(bundle)).score(texts)) - np.array(expected)).max() < 0.1


@pytest.mark.parametrize(
    ("scale", "says"),
    [
        pytest.param(None, "without w.scale", id="missing"),
        pytest.param(np.full((128, 1), np.nan, np.float16), "no numbers", id="NaN"),
        pytest.param(np.full((128, 1), np.inf, np.float16), "no numbers", id="infinite"),
        pytest.param(np.ones((100,), np.float16), "shape", id="of the columns"),
        pytest.param(np.ones((1, 128), np.float16), "shape", id="lying"),
        pytest.param(np.ones((128, 1), np.int8), "no numbers", id="whole numbers"),
    ],
)
def test_an_unusable_scale_is_named(scale: NDArray[np.float16] | None, says: str) -> None:
    weights = {"w": quantise({"w": LARGE})["w"]} | ({} if scale is None else {"w.scale": scale})
    with pytest.raises(BundleError, match=says):
        dequantise(weights, "w")


def test_a_bundle_consists_of_what_its_model_reads(bundle: Path) -> None:
    (bundle / "README.md").write_text("a card", "utf-8")
    (bundle / ".notes").write_text("mine", "utf-8")
    assert bundle_files(bundle, read_manifest(bundle)) == [
        "bundle.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_a_copy_has_the_same_fingerprint_and_any_change_another(bundle: Path, tmp_path: Path) -> None:
    found = fingerprint(bundle)
    copy = shutil.copytree(bundle, tmp_path / "copy")
    assert fingerprint(copy) == found
    (copy / "README.md").write_text("a card is for people", "utf-8")
    assert fingerprint(copy) == found
    change_manifest(copy, max_tokens=32)
    changed = fingerprint(copy)
    (copy / "tokenizer_config.json").write_text("{}", "utf-8")
    assert len({found, changed, fingerprint(copy)}) == 3


def test_a_classifier_without_manifest_has_a_fingerprint_too(bundle: Path) -> None:
    (bundle / "bundle.json").unlink()
    assert len(fingerprint(bundle)) == 64


def test_weights_of_an_older_form_count_in_the_fingerprint(bundle: Path) -> None:
    (bundle / "pytorch_model.bin").write_bytes(b"one")
    found = fingerprint(bundle)
    (bundle / "pytorch_model.bin").write_bytes(b"two")
    assert fingerprint(bundle) != found


def test_bfloat16_comes_back_as_the_same_numbers_in_float32(bundle: Path, tmp_path: Path) -> None:
    plain = plain_checkpoint(bundle, tmp_path / "plain")
    shapes = expected_shapes(read_config(plain))
    half = {name: each.bfloat16() for name, each in torch_file.load_file(plain / "model.safetensors").items()}
    half["bert.embeddings.position_ids"] = torch.arange(64)
    torch_file.save_file(half, plain / "model.safetensors")

    read = read_weights(plain / "model.safetensors", shapes)
    exported = torch_file.load_file(plain_checkpoint(plain, tmp_path / "exported") / "model.safetensors")

    for name in shapes:
        assert read[name].dtype == np.float32
        np.testing.assert_array_equal(read[name], half[name].float().numpy())
        assert torch.equal(exported[name], half[name].float())
    assert exported["bert.embeddings.position_ids"].dtype == torch.int64


def test_a_plain_checkpoint_has_every_file_of_its_tokenizer_and_no_other_weights(bundle: Path, tmp_path: Path) -> None:
    for name in ("vocab.txt", "merges.txt", "sentencepiece.bpe.model", "pytorch_model.bin", "README.md", ".notes"):
        (bundle / name).write_text("x", "utf-8")

    plain = plain_checkpoint(bundle, tmp_path / "plain")

    assert sorted(path.name for path in plain.iterdir()) == [
        "config.json", "merges.txt", "model.safetensors", "sentencepiece.bpe.model", "tokenizer.json",
        "tokenizer_config.json", "vocab.txt",
    ]  # fmt: skip


def test_hashes_match_until_a_byte_changes(bundle: Path) -> None:
    change_manifest(bundle, weights=digests(bundle, read_manifest(bundle)))
    load_scorer(str(bundle))
    path = bundle / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.safetensors is not the file that bundle\.json describes"):
        check_digests(bundle, read_manifest(bundle))


def test_a_file_with_a_hash_that_is_not_there_is_named(bundle: Path) -> None:
    change_manifest(bundle, weights=digests(bundle, read_manifest(bundle)))
    (bundle / "tokenizer_config.json").unlink()
    with pytest.raises(BundleError, match=r"holds no tokenizer_config\.json"):
        check_digests(bundle, read_manifest(bundle))
