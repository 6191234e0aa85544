"""The packed forward against transformers on padded fp32, on a tiny random model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from schemas.bundle import read_manifest
from stream_app.scoring.bert import PackedBert
from stream_app.scoring.storage import plain_checkpoint
from stream_app.scoring.tokens import Tokens
from stream_app.text.model_input import ModelInput
from trainer.corpus import read_own_turns

SHARED = [row.input for row in read_own_turns()][::3]


def padded_logits(folder: Path, batch: list[Tokens]) -> np.ndarray[Any, Any]:
    """The reference: (B, outputs) from transformers, one padded batch in fp32."""
    with tempfile.TemporaryDirectory() as room:
        plain = plain_checkpoint(folder, Path(room) / "plain")
        model: Any = AutoModelForSequenceClassification.from_pretrained(plain, dtype=torch.float32).eval()
    longest = max(len(item.ids) for item in batch)
    ids = torch.ones(len(batch), longest, dtype=torch.long)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, item in enumerate(batch):
        ids[row, : len(item.ids)] = torch.tensor(item.ids)
        types[row, item.text_length : len(item.ids)] = 1
        mask[row, : len(item.ids)] = 1
    with torch.inference_mode():
        logits: np.ndarray[Any, Any] = model(input_ids=ids, token_type_ids=types, attention_mask=mask).logits.numpy()
    return logits


@pytest.fixture(scope="module")
def model(shared_bundle: Path) -> PackedBert:
    return PackedBert(shared_bundle, read_manifest(shared_bundle))


def test_packed_scores_equal_padded_ones(model: PackedBert, shared_bundle: Path) -> None:
    batch = sorted(model.encode(SHARED), key=lambda item: len(item.ids))
    assert len({len(item.ids) for item in batch}) > 5, "the batch should mix lengths"
    np.testing.assert_allclose(model.forward(batch), padded_logits(shared_bundle, batch), atol=1e-5)


def test_an_empty_text_and_one_far_too_long_go_through(model: PackedBert, shared_bundle: Path) -> None:
    batch = model.encode([ModelInput("", None), ModelInput("退款还没到账 " * 3000, "什么时候 " * 3000)])
    assert [len(item.ids) for item in batch] == [2, 48]
    np.testing.assert_allclose(model.forward(batch), padded_logits(shared_bundle, batch), atol=1e-5)


def test_tokens_are_those_of_the_tokenizer_in_the_bundle(model: PackedBert, shared_bundle: Path) -> None:
    """`pipeline("text-classification", bundle)` sees what we see."""
    tokenizer: Any = AutoTokenizer.from_pretrained(shared_bundle)
    for made in (turn for turn in SHARED if len(turn.text) + len(turn.context or "") < 40):
        theirs = tokenizer(made.text, made.context)
        ours = model.encode([made])[0]
        assert ours.ids == theirs["input_ids"]
        assert ours.text_length == theirs["token_type_ids"].count(0)


def test_the_text_keeps_its_start_and_the_context_its_end(model: PackedBert) -> None:
    text, context = "a" + "b" * 100, "c" * 100 + "d"
    short = model.encode([ModelInput("a", "cd")])[0]
    letters = dict(zip("acd", (short.ids[2], short.ids[-3], short.ids[-2]), strict=True))
    both = model.encode([ModelInput(text, context)])[0]
    assert len(both.ids) == 48
    assert both.ids[2] == letters["a"]
    assert both.ids[-2] == letters["d"]
    assert both.text_length >= 3 * (len(both.ids) - both.text_length), "context may claim a quarter at most"


def test_a_short_context_leaves_its_room_to_the_text(model: PackedBert) -> None:
    both = model.encode([ModelInput("b" * 100, "d")])[0]
    assert len(both.ids) == 48
    assert len(both.ids) - both.text_length == 3


@pytest.mark.gpu  # the varlen branch has not been run yet: there was no GPU where this was written
def test_the_gpu_gives_the_same_scores_within_bf16(model: PackedBert, shared_bundle: Path) -> None:
    batch = sorted(model.encode(SHARED), key=lambda item: len(item.ids))
    on_gpu = PackedBert(shared_bundle, read_manifest(shared_bundle), device="cuda").forward(batch)
    np.testing.assert_allclose(on_gpu, model.forward(batch), atol=0.1)
