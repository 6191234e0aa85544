"""A base model and a bundle small enough to build in a test: 24 numbers wide, a vocabulary of single letters."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from schemas.bundle import Manifest, write_manifest
from stream_app.text.model_input import TEXT_VERSION
from trainer.bundle import record_canary, store
from trainer.corpus import read_own_turns
from trainer.student import cut_student

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def tiny_base(folder: Path, seed: int = 0) -> Path:
    """A `BertModel` checkpoint with a Unigram tokenizer of the kind that multilingual-e5 has."""
    folder.mkdir(parents=True)
    letters = sorted({letter for row in read_own_turns() for letter in row.input.text if not letter.isspace()})
    words = [("▁the", -4.0), ("▁order", -5.0), ("订单", -5.0), ("▁", -3.0)]
    vocabulary = [(name, 0.0) for name in SPECIAL] + words + [(letter, -8.0) for letter in letters] + [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (*SPECIAL, "<mask>")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=3,
        intermediate_size=48,
        max_position_embeddings=64,
        pad_token_id=1,
        initializer_range=0.3,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def tiny_student(folder: Path, base: Path) -> Path:
    """Cut from `base`; its classifier is loud, or random weights would say nearly the same of every text."""
    cut_student(base, folder, ["the order 订单"], layers=(0, 3), vocabulary=10_000, max_tokens=48)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] *= 20
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def tiny_bundle(folder: Path, base: Path, *, text_version: int = TEXT_VERSION) -> Path:
    """An untrained but complete bundle."""
    student = tiny_student(folder.with_name(folder.name + "-student"), base)
    store(student, student, folder)
    manifest = Manifest(
        name="tiny",
        architecture="bert-packed",
        labels={"0": "negative", "1": "neutral", "2": "positive"},
        anger_output=3,
        max_tokens=48,
        text_version=text_version,
    )
    write_manifest(folder, manifest)
    if text_version == TEXT_VERSION:
        change_manifest(folder, canary=json_of(record_canary(folder)))
    return folder


def change_manifest(folder: Path, **changes: object) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def json_of(items: object) -> object:
    return msgspec.to_builtins(items)
