"""The untrained student: some layers of a base model and the part of its vocabulary that customers use.

Works on files (JSON and safetensors through numpy): nothing here computes, so nothing here needs torch.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from schemas.bundle import BundleError

OUTPUTS = ("negative", "neutral", "positive", "anger")
WORDS = "bert.embeddings.word_embeddings.weight"
POSITIONS = "bert.embeddings.position_embeddings.weight"
Array = NDArray[np.float32]
_HAN_INSIDE = re.compile("##[\u3400-\u9fff\U00020000-\U0002a6df]")


EMOJI_MEANING: dict[str, tuple[str, str]] = {
    **dict.fromkeys("😡😠🤬👿😤💢", ("愤怒", "angry")),
    **dict.fromkeys("💩🤮🤢😒🙄😑😾", ("恶心", "disgusting")),
    **dict.fromkeys("👎🖕", ("差", "bad")),
    **dict.fromkeys("😭😢😞😔😩😫😿💔😣😖☹🙁😥", ("难过", "sad")),
    **dict.fromkeys("😰😨😱😟", ("害怕", "worried")),
    **dict.fromkeys("👍👏💯🎉🥳🌟⭐🏆💪", ("好", "great")),
    **dict.fromkeys("😍🥰😘❤💕💖💗😻🧡💛💚💙💜💓🌹", ("喜欢", "love")),
    **dict.fromkeys("😀😃😄😁😊☺😆🤗😋😎🤩🥂🙌", ("开心", "happy")),
    **dict.fromkeys("😂🤣😅", ("哈哈", "funny")),
    **dict.fromkeys("🙏", ("谢谢", "please")),
    **dict.fromkeys("🙂😐🤔👀👌😏🤷🤦😶💬📦📱🚚🎁📞✅❌❗❓", ("。", ".")),
}
"""Emoji that neither base vocabulary has, and the words whose embedding each one starts from."""


def cut_student(
    start: Path,
    out: Path,
    texts: Iterable[str],
    *,
    layers: Sequence[int] = (),
    vocabulary: int = 0,
    max_tokens: int = 256,
    seed: int = 0,
) -> None:
    """Write a `BertForSequenceClassification` checkpoint with our 4 outputs to `out`, ready for fine-tuning.

    `start` is a base model (BertModel), which gets new heads and pieces for emoji, or a checkpoint of ours, whose heads
    stay: a teacher. `layers` of it are kept (none named: all), and as many pieces of its `vocabulary` as `texts` use
    most (0: all). Raises BundleError for a folder that is neither.
    """
    config, spec, base = _read(start)
    layers = layers or range(config["num_hidden_layers"])
    if wrong := [layer for layer in layers if not 0 <= layer < config["num_hidden_layers"]]:
        raise BundleError(f"{start} has {config['num_hidden_layers']} layers, there is no layer {wrong[0]}.")
    kept: Sequence[int] = range(len(base[WORDS]))
    if vocabulary:
        kept = choose_pieces(spec, count_pieces(start / "tokenizer.json", texts), vocabulary)
    max_tokens = min(max_tokens, config["max_position_embeddings"])
    tokenizer = cut_tokenizer(spec, kept)
    weights = _weights(base, layers, kept, max_tokens, np.random.default_rng(seed))
    words = weights[WORDS]
    added, rows = emoji_pieces(tokenizer, words[: len(kept)])
    tokenizer["added_tokens"] += added
    weights[WORDS] = np.concatenate([words, rows])
    fresh = out.with_name(out.name + ".new")
    fresh.mkdir(parents=True, exist_ok=True)
    (fresh / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    _write_json(fresh / "tokenizer_config.json", _tokenizer_config(tokenizer, max_tokens))
    _write_json(fresh / "config.json", _config(config, len(layers), len(weights[WORDS]), max_tokens))
    save_file(weights, fresh / "model.safetensors", metadata={"format": "pt"})
    (fresh / "model.safetensors").chmod(0o644)  # safetensors makes it private
    os.replace(fresh, out)


def is_ours(folder: Path) -> bool:
    """Whether this is a trained checkpoint of this trainer, and not a base model."""
    config = json.loads((folder / "config.json").read_bytes())
    return tuple(config.get("id2label", {}).values()) == OUTPUTS


class Size(NamedTuple):
    pieces: int
    layers: int
    parameters: int


def size_of(folder: Path) -> Size:
    config, _, weights = _read(folder)
    return Size(len(weights[WORDS]), config["num_hidden_layers"], sum(each.size for each in weights.values()))


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
    becomes unknown by the cut), then the pieces used most.

    A Chinese character as the continuation of a word (`##好`) is never used, since characters are split one by one.
    """
    pieces = _pieces(spec)
    special = {token["id"] for token in spec["added_tokens"]}  # emoji of an earlier cut among them
    single = {token for piece, token in pieces.items() if len(piece.removeprefix("▁").removeprefix("##")) <= 1}
    kept = special | {token for piece, token in pieces.items() if token in single and not _HAN_INSIDE.match(piece)}
    for token, _ in counts.most_common():
        if len(kept) >= size:
            break
        kept.add(token)
    return sorted(kept)


def cut_tokenizer(spec: dict[str, Any], kept: Sequence[int]) -> dict[str, Any]:
    """The tokenizer with only the pieces `kept`, renumbered, caseless; the context is a second segment of type 1."""
    new = {old: position for position, old in enumerate(kept)}
    vocabulary: Any
    if isinstance(spec["model"]["vocab"], dict):  # WordPiece: piece -> id
        vocabulary = {piece: new[old] for piece, old in spec["model"]["vocab"].items() if old in new}
        first_name, end_name = "[CLS]", "[SEP]"
        normalizer = spec["normalizer"] | {"lowercase": True}
    else:  # Unigram: [piece, score] in order
        vocabulary = [spec["model"]["vocab"][old] for old in kept if old < len(spec["model"]["vocab"])]
        first_name, end_name = "<s>", "</s>"
        normalizer = spec["normalizer"]
    first, end = ({"SpecialToken": {"id": name, "type_id": 0}} for name in (first_name, end_name))
    text, context = ({"Sequence": {"id": name, "type_id": kind}} for name, kind in (("A", 0), ("B", 1)))
    last = {"SpecialToken": {"id": end_name, "type_id": 1}}
    special = {
        name: token | {"ids": [new[old] for old in token["ids"]]}
        for name, token in spec["post_processor"]["special_tokens"].items()
    }
    return spec | {
        "normalizer": normalizer,
        "added_tokens": [token | {"id": new[token["id"]]} for token in spec["added_tokens"]],
        "model": spec["model"] | {"vocab": vocabulary},
        "post_processor": spec["post_processor"]
        | {"single": [first, text, end], "pair": [first, text, end, context, last], "special_tokens": special},
    }


def emoji_pieces(tokenizer: dict[str, Any], words: Array) -> tuple[list[dict[str, Any]], Array]:
    """Added tokens for the emoji that `tokenizer` lacks, and their embeddings (N, E): the mean of what they mean.

    Each starts a little away from its neighbours of the same meaning, so that training can tell them apart.
    """
    known = _pieces(tokenizer) | {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    chinese = "好" in known
    rng = np.random.default_rng(0)
    tokens: list[dict[str, Any]] = []
    rows: list[Array] = []
    for emoji, meanings in EMOJI_MEANING.items():
        if emoji in known:
            continue
        meaning = meanings[0] if chinese else meanings[1]
        pieces = [known[piece] for piece in (list(meaning) if chinese else [meaning, "▁" + meaning]) if piece in known]
        start = words[pieces].mean(axis=0) if pieces else words.mean(axis=0)
        rows.append((start + rng.normal(0, 0.1 * words.std(), words.shape[1])).astype(np.float32))
        plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
        tokens.append({"id": len(words) + len(tokens), "content": emoji} | plain)
    return tokens, np.array(rows, dtype=np.float32).reshape(len(rows), words.shape[1])


def _pieces(spec: dict[str, Any]) -> dict[str, int]:
    vocabulary = spec["model"]["vocab"]
    if isinstance(vocabulary, dict):
        return vocabulary
    return {piece: number for number, (piece, _) in enumerate(vocabulary)}


def _read(start: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Array]]:
    """Config, tokenizer and float32 weights by the names of a classifier (`bert.…`)."""
    try:
        config = json.loads((start / "config.json").read_bytes())
        spec = json.loads((start / "tokenizer.json").read_bytes())
        weights = load_file(start / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise BundleError(
            f"{start} is no BERT checkpoint ({error}): name a folder of a base model or a run."
        ) from error
    if "embeddings.word_embeddings.weight" in weights:
        return config, spec, {"bert." + name: each.astype(np.float32) for name, each in weights.items()}
    if tuple(config.get("id2label", {}).values()) != OUTPUTS or WORDS not in weights:
        raise BundleError(f"{start} has other outputs than {', '.join(OUTPUTS)}: it cannot be trained further.")
    return config, spec, {name: each.astype(np.float32) for name, each in weights.items()}


def _weights(
    base: dict[str, Array], layers: Sequence[int], kept: Sequence[int], max_tokens: int, rng: np.random.Generator
) -> dict[str, Array]:
    cut = {name: tensor for name, tensor in base.items() if not name.startswith("bert.encoder.layer.")}
    cut[WORDS] = np.ascontiguousarray(base[WORDS][list(kept)])
    cut[POSITIONS] = np.ascontiguousarray(base[POSITIONS][:max_tokens])
    for position, layer in enumerate(layers):
        prefix = f"bert.encoder.layer.{layer}."
        for name, tensor in base.items():
            if name.startswith(prefix):
                cut[f"bert.encoder.layer.{position}.{name.removeprefix(prefix)}"] = tensor
    if "classifier.weight" not in base:
        hidden = base[WORDS].shape[1]
        # The base has no pooler: it hands on the first token. Identity goes on doing so; random would blur it.
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


def _tokenizer_config(tokenizer: dict[str, Any], max_tokens: int) -> dict[str, Any]:
    if "[CLS]" in _pieces(tokenizer):
        first, end, mask, pad, unknown = "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]"
    else:
        first, end, mask, pad, unknown = "<s>", "</s>", "<mask>", "<pad>", "<unk>"
    return {
        **dict.fromkeys(("bos_token", "cls_token"), first),
        **dict.fromkeys(("eos_token", "sep_token"), end),
        "mask_token": mask,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "model_max_length": max_tokens,
        "pad_token": pad,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": unknown,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
