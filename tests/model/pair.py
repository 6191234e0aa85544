"""A tiny bundle of two encoders, stored in 8 bits: one with single letters of both languages, one that knows no Han."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from schemas.bundle import Encoder, Manifest, Temperatures, write_manifest
from stream_app.scoring.storage import WEIGHTS, digests, quantise
from stream_app.text.model_input import TEXT_VERSION
from tests.model.tiny import change_manifest, json_of, tiny_student
from trainer.bundle import record_canary

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'<>-/"


def english_base(folder: Path) -> Path:
    """A `BertModel` checkpoint with a WordPiece tokenizer of the kind that English BERT has."""
    folder.mkdir(parents=True)
    pieces = [*SPECIAL, "the", "order", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=36,
        num_hidden_layers=4,
        num_attention_heads=3,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def pair_bundle(folder: Path, zh_base: Path, en_base: Path) -> Path:
    """Untrained but complete, with canary texts and hashes."""
    for language, base in (("zh", zh_base), ("en", en_base)):
        student = tiny_student(folder.with_name(f"{folder.name}-{language}"), base)
        (folder / language).mkdir(parents=True)
        save_file(quantise(load_file(student / WEIGHTS)), folder / language / WEIGHTS, metadata={"format": "pt"})
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(student / name, folder / language / name)
    manifest = Manifest(
        name="pair",
        architecture="bert-packed",
        labels={"0": "negative", "1": "neutral", "2": "positive"},
        anger_output=3,
        max_tokens=48,
        text_version=TEXT_VERSION,
        encoders={"zh": Encoder("zh", Temperatures(1.5, 1.2)), "en": Encoder("en", Temperatures(2.0, 0.8))},
    )
    write_manifest(folder, manifest)
    change_manifest(folder, canary=json_of(record_canary(folder)), weights=digests(folder, manifest))
    return folder
