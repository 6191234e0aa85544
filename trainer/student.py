"""The untrained student: some layers of a base model and the part of its vocabulary that customers use.

Works on files (JSON and safetensors through numpy): nothing here computes, so nothing here needs torch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

OUTPUTS = ("negative", "neutral", "positive", "anger")
Array = NDArray[np.float32]


def make_student(
    base: Path,
    out: Path,
    texts: Iterable[str],
    *,
    layers: Sequence[int] = (0, 3, 7, 11),
    vocabulary: int = 31_000,
    max_tokens: int = 128,
    seed: int = 0,
) -> None:
    """Write a `BertForSequenceClassification` checkpoint with 4 outputs to `out`, ready for fine-tuning.

    `texts` decide which pieces of the vocabulary stay, by how often each occurs in them.
    """
    out.mkdir(parents=True, exist_ok=True)
    spec = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    kept = choose_pieces(spec, count_pieces(base / "tokenizer.json", texts), vocabulary)
    (out / "tokenizer.json").write_text(json.dumps(cut_tokenizer(spec, kept), ensure_ascii=False), encoding="utf-8")
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    max_tokens = min(max_tokens, config["max_position_embeddings"])
    _write_json(out / "tokenizer_config.json", _tokenizer_config(max_tokens))
    _write_json(out / "config.json", _config(config, len(layers), len(kept), max_tokens))
    weights = _weights(load_file(base / "model.safetensors"), layers, kept, max_tokens, np.random.default_rng(seed))
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})


def is_student(folder: Path) -> bool:
    """Whether `folder` holds a classifier with our outputs already, and not a base model to cut one from."""
    config = json.loads((folder / "config.json").read_bytes())
    return tuple(config.get("id2label", {}).values()) == OUTPUTS


def count_pieces(tokenizer: Path, texts: Iterable[str]) -> Counter[int]:
    counts: Counter[int] = Counter()
    encoder = Tokenizer.from_file(str(tokenizer))
    chunk: list[str] = []
    for text in texts:
        chunk.append(text)
        if len(chunk) == 2_000:
            counts.update(token for found in encoder.encode_batch_fast(chunk) for token in found.ids)
            chunk.clear()
    counts.update(token for found in encoder.encode_batch_fast(chunk) for token in found.ids)
    return counts


def choose_pieces(spec: dict[str, Any], counts: Counter[int], size: int) -> list[int]:
    """Ids to keep, in their old order: special tokens, every single character (so that nothing customers can type
    becomes unknown by the cut), then the pieces used most."""
    pieces = [piece for piece, _ in spec["model"]["vocab"]]
    special = {token["id"] for token in spec["added_tokens"]}
    kept = special | {token for token, piece in enumerate(pieces) if len(piece.removeprefix("▁")) <= 1}
    for token, _ in counts.most_common():
        if len(kept) >= size:
            break
        kept.add(token)
    return sorted(kept)


def cut_tokenizer(spec: dict[str, Any], kept: Sequence[int]) -> dict[str, Any]:
    """The tokenizer with only the pieces `kept`, renumbered, and the context as a second segment of type 1."""
    new = {old: position for position, old in enumerate(kept)}
    first, end = ({"SpecialToken": {"id": name, "type_id": 0}} for name in ("<s>", "</s>"))
    text, context = ({"Sequence": {"id": name, "type_id": kind}} for name, kind in (("A", 0), ("B", 1)))
    last = {"SpecialToken": {"id": "</s>", "type_id": 1}}
    return spec | {
        "added_tokens": [token | {"id": new[token["id"]]} for token in spec["added_tokens"]],
        "model": spec["model"] | {"vocab": [spec["model"]["vocab"][old] for old in kept]},
        "post_processor": spec["post_processor"]
        | {"single": [first, text, end], "pair": [first, text, end, context, last]},
    }


def _weights(
    base: dict[str, Any], layers: Sequence[int], kept: Sequence[int], max_tokens: int, rng: np.random.Generator
) -> dict[str, Array]:
    cut: dict[str, Array] = {}
    for name, tensor in base.items():
        value = tensor.astype(np.float32)
        if name == "embeddings.word_embeddings.weight":
            cut["bert." + name] = np.ascontiguousarray(value[list(kept)])
        elif name == "embeddings.position_embeddings.weight":
            cut["bert." + name] = np.ascontiguousarray(value[:max_tokens])
        elif name.startswith("embeddings."):
            cut["bert." + name] = value
    for position, layer in enumerate(layers):
        prefix = f"encoder.layer.{layer}."
        for name, tensor in base.items():
            if name.startswith(prefix):
                cut[f"bert.encoder.layer.{position}.{name.removeprefix(prefix)}"] = tensor.astype(np.float32)
    hidden = cut["bert.embeddings.word_embeddings.weight"].shape[1]
    # The base has no pooler (it averages tokens). Identity hands the first token on as it is; random would blur it.
    cut["bert.pooler.dense.weight"] = np.eye(hidden, dtype=np.float32)
    cut["bert.pooler.dense.bias"] = np.zeros(hidden, dtype=np.float32)
    cut["classifier.weight"] = rng.normal(0, 0.02, (len(OUTPUTS), hidden)).astype(np.float32)
    cut["classifier.bias"] = np.zeros(len(OUTPUTS), dtype=np.float32)
    return cut


def _config(base: dict[str, Any], layers: int, vocabulary: int, max_tokens: int) -> dict[str, Any]:
    return base | {
        "architectures": ["BertForSequenceClassification"],
        "num_hidden_layers": layers,
        "vocab_size": vocabulary,
        "max_position_embeddings": max_tokens,
        "id2label": {str(number): name for number, name in enumerate(OUTPUTS)},
        "label2id": {name: number for number, name in enumerate(OUTPUTS)},
        "dtype": "float32",
    }


def _tokenizer_config(max_tokens: int) -> dict[str, Any]:
    special = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    return special | {
        "mask_token": "<mask>",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "model_max_length": max_tokens,
        "pad_token": "<pad>",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
