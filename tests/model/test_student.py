"""What is cut away from a base model or a teacher, and what stays exactly as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from schemas.bundle import BundleError
from tests.model.tiny import tiny_student
from trainer.base import LAYER_PARTS, Base, read_onnx
from trainer.student import EMOJI_MEANING, OUTPUTS, WORDS, cut_student

TEXTS = ["the order 订单", "the order", "太差了"]


def wordpiece_base(folder: Path) -> Path:
    """A BertModel of 2 layers with a WordPiece vocabulary, as bge has."""
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "order",
        "##s",
        "##好",
        "愤",
        "怒",
        "太",
        "差",
        "A",
        "rare",
    ]
    special = [{"id": n, "content": p, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False} for n, p in enumerate(pieces[:5])]  # fmt: skip  # noqa: E501
    spec = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": False,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {n: {"id": n, "ids": [pieces.index(n)], "tokens": [n]} for n in ("[CLS]", "[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {p: n for n, p in enumerate(pieces)},
        },
    }
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(spec), "utf-8")
    weights, config = read_onnx(exported(len(pieces)), TINY)
    from safetensors.numpy import save_file

    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


TINY = Base("tiny", "", "", 2, "")
WIDE, INNER, LAYERS = 8, 16, 2


def exported(vocabulary: int) -> bytes:
    """A BERT encoder as the exporter writes it: linear weights anonymous and transposed, in the order of the graph."""
    rng = np.random.default_rng(0)
    tensors: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocabulary, WIDE),
        "embeddings.position_embeddings.weight": (20, WIDE),
        "embeddings.token_type_embeddings.weight": (2, WIDE),
        "embeddings.LayerNorm.weight": (WIDE,),
        "embeddings.LayerNorm.bias": (WIDE,),
    }
    nodes: list[Any] = []
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        for part in LAYER_PARTS:
            rows = INNER if part == "intermediate.dense" else WIDE
            columns = INNER if part == "output.dense" else WIDE
            tensors[f"{at}{part}.bias"] = (rows,)
            tensors[f"onnx::MatMul_{len(nodes)}"] = (columns, rows)
            nodes.append(helper.make_node("MatMul", ["x", f"onnx::MatMul_{len(nodes)}"], [f"y{len(nodes)}"]))
        for norm in ("attention.output.LayerNorm", "output.LayerNorm"):
            tensors |= {f"{at}{norm}.weight": (WIDE,), f"{at}{norm}.bias": (WIDE,)}
    made = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in tensors.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    model: bytes = helper.make_model(helper.make_graph(nodes, "tiny", [x], [], made)).SerializeToString()
    return model


def test_an_exported_base_gets_its_names_back() -> None:
    content = exported(30)
    weights, config = read_onnx(content, TINY)
    raw = {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(content).graph.initializer}
    assert config["num_hidden_layers"] == LAYERS
    assert np.array_equal(weights["encoder.layer.1.attention.self.value.weight"], raw["onnx::MatMul_8"].T)
    assert weights["encoder.layer.0.intermediate.dense.weight"].shape == (INNER, WIDE)


def test_an_export_of_another_kind_is_refused() -> None:
    model = onnx.load_model_from_string(exported(30))
    del model.graph.node[-1]
    with pytest.raises(BundleError, match="11 linear layers, 12 were expected"):
        read_onnx(model.SerializeToString(), TINY)


def test_a_cut_vocabulary_keeps_what_is_used_and_every_character(tmp_path: Path) -> None:
    base = wordpiece_base(tmp_path / "base")
    cut_student(base, tmp_path / "cut", TEXTS, vocabulary=13)
    old, new = (Tokenizer.from_file(str(f / "tokenizer.json")) for f in (base, tmp_path / "cut"))
    kept = set(new.get_vocab()) & set(old.get_vocab())
    assert "rare" not in kept, "a piece nobody uses"
    assert "##好" not in kept, "a continuation that Chinese never has"
    assert {"the", "order", "##s", "太", "A", "[CLS]"} <= kept
    rows = load_file(tmp_path / "cut" / "model.safetensors")[WORDS]
    base_rows = load_file(base / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert np.array_equal(rows[new.token_to_id("order")], base_rows[old.token_to_id("order")])
    assert json.loads((tmp_path / "cut" / "config.json").read_text())["vocab_size"] == len(rows) == new.get_vocab_size()


def test_every_emoji_is_one_piece_that_starts_from_its_meaning(tmp_path: Path) -> None:
    cut_student(wordpiece_base(tmp_path / "base"), tmp_path / "cut", TEXTS)
    tokenizer = Tokenizer.from_file(str(tmp_path / "cut" / "tokenizer.json"))
    for emoji in EMOJI_MEANING:
        assert len(tokenizer.encode(emoji, add_special_tokens=False).ids) == 1
    assert tokenizer.encode("差😡THE", add_special_tokens=False).tokens == ["差", "😡", "the"]


def test_a_teacher_gives_its_heads_and_its_emoji_to_the_student(base: Path, tmp_path: Path) -> None:
    teacher = tiny_student(tmp_path / "teacher", base)
    cut_student(teacher, tmp_path / "student", [], layers=(1,))
    before, after = (load_file(f / "model.safetensors") for f in (teacher, tmp_path / "student"))
    assert np.array_equal(before["classifier.weight"], after["classifier.weight"])
    assert np.array_equal(before[WORDS], after[WORDS]), "no emoji twice"
    key = "attention.self.key.weight"
    assert np.array_equal(before[f"bert.encoder.layer.1.{key}"], after[f"bert.encoder.layer.0.{key}"])


def test_what_cannot_be_cut_is_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no layer 9"):
        cut_student(base, tmp_path / "a", TEXTS, layers=(0, 9))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="is no BERT checkpoint"):
        cut_student(tmp_path / "empty", tmp_path / "b", TEXTS)
    other = tiny_student(tmp_path / "other", base)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"id2label": {"0": "spam", "1": "ham"}}))
    with pytest.raises(BundleError, match=f"other outputs than {OUTPUTS[0]}"):
        cut_student(other, tmp_path / "c", TEXTS)
