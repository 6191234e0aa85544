"""Any Hugging Face sequence classifier in a local folder, here tiny random ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)

from schemas.bundle import BundleError, Manifest, write_manifest
from stream_app.scoring.load import load_scorer
from stream_app.scoring.scorer import ScoringError
from stream_app.scoring.transformer import TransformerClassifier
from stream_app.text.model_input import ModelInput

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "parcel", "is", "late", "again", "thank", "you", "very", "much"]
INPUTS = [
    ModelInput(text, None)
    for text in ("the parcel is late", "thank you", "", "late " * 500, "the parcel is late again again")
]


def classifier(folder: Path, names: list[str], *, distil: bool = False) -> Path:
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    labels: dict[str, Any] = {"id2label": dict(enumerate(names)), "label2id": {name: n for n, name in enumerate(names)}}
    size = {"vocab_size": len(WORDS), "max_position_embeddings": 40, "initializer_range": 0.3}
    config: PretrainedConfig = BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, **size, **labels
    )
    if distil:
        config = DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32, **size, **labels)
    torch.manual_seed(1)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("distil", [False, True], ids=["BERT", "DistilBERT"])
def test_a_classifier_with_recognisable_names_loads_as_it_is(tmp_path: Path, distil: bool) -> None:
    scorer = load_scorer(str(classifier(tmp_path / "imported", ["NEG", "neutral", "Positive"], distil=distil)))
    together = scorer.score(INPUTS)
    assert np.allclose(together, [scorer.score([made])[0] for made in INPUTS], atol=1e-5)
    assert all(sum(scores[:3]) == pytest.approx(1) for scores in together)
    assert {scores.anger for scores in together} == {0.0}, "it does not know anger and must not pretend"
    assert scorer.name == "imported"
    scorer.check_canary()


def test_stars_are_moods(tmp_path: Path) -> None:
    folder = classifier(tmp_path, [f"{n} star{'s' * (n > 1)}" for n in range(1, 6)])
    found = load_scorer(str(folder)).score(INPUTS)
    assert all(sum(scores[:3]) == pytest.approx(1) for scores in found)


def test_outputs_without_a_name_need_a_label_map(tmp_path: Path) -> None:
    folder = classifier(tmp_path, ["LABEL_0", "LABEL_1", "LABEL_2"])
    with pytest.raises(BundleError, match=r"write a bundle\.json"):
        load_scorer(str(folder))
    write_manifest(
        folder, Manifest(name="mapped", labels={"LABEL_0": "positive", "LABEL_1": "negative", "2": "neutral"})
    )
    mapped = load_scorer(str(folder))
    assert mapped.name == "mapped"
    assert len(mapped.score(INPUTS)) == len(INPUTS)


def test_a_map_decides_which_output_is_which_mood(tmp_path: Path) -> None:
    folder = classifier(tmp_path, ["LABEL_0", "LABEL_1"])
    write_manifest(folder, Manifest(name="one way", labels={"0": "negative", "1": "positive"}))
    one = load_scorer(str(folder)).score(INPUTS)
    write_manifest(folder, Manifest(name="the other", labels={"0": "positive", "1": "negative"}))
    other = load_scorer(str(folder)).score(INPUTS)
    assert [scores.negative for scores in one] == pytest.approx([scores.positive for scores in other])
    assert {scores.neutral for scores in one} == {0.0}


def test_an_imported_model_that_stops_answering_fails_its_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no canary to compare with; without a check of its own every good text would become a dead letter."""
    scorer = load_scorer(str(classifier(tmp_path / "imported", ["NEG", "neutral", "Positive"])))
    scorer.check_canary()

    def broken(self: object, batch: object) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(TransformerClassifier, "forward", broken)
    with pytest.raises(ScoringError, match="CUDA error"):
        scorer.check_canary()
