"""Any other Hugging Face sequence classifier in a local folder: sorted, padded, cut by tokens."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from schemas.bundle import BundleError, Manifest
from stream_app.scoring.outputs import Logits
from stream_app.scoring.tokens import CHARS_PER_TOKEN, Tokens
from stream_app.text.model_input import ModelInput


class TransformerClassifier:
    """A `Model` for imported classifiers. They were trained on single texts, so they are not given the context."""

    padded = True

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            loaded: Any = AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
        except Exception as error:  # transformers raises what it likes; the operator needs one sentence
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise BundleError(f"{folder} is no loadable classifier ({reason}): copy the whole folder again.") from error
        model, found = loaded
        if missing := sorted(found["missing_keys"]):  # transformers fills them with random numbers and goes on
            raise BundleError(f"{folder}: the weights lack {missing[0]}: copy the whole folder again.")
        self._model: Any = model.eval()
        positions = getattr(self._model.config, "max_position_embeddings", manifest.max_tokens)
        # the tokenizer's own limit matters: RoBERTa has two positions more than it can use
        self._max_tokens = min(manifest.max_tokens, positions, self._tokenizer.model_max_length)
        self._tokenizer_lock = threading.Lock()  # truncation settings live in the tokenizer; two callers would race

    def prepare_thread(self) -> None:
        torch.set_num_threads(1)

    def encode(self, inputs: Sequence[ModelInput]) -> list[Tokens]:
        longest = self._max_tokens * CHARS_PER_TOKEN
        with self._tokenizer_lock:
            found = self._tokenizer(
                [text[:longest] for text, _ in inputs], truncation=True, max_length=self._max_tokens
            )
        return [Tokens(ids, len(ids)) for ids in found["input_ids"]]

    @torch.inference_mode()
    def forward(self, batch: Sequence[Tokens]) -> Logits:
        longest = max(len(item.ids) for item in batch)
        ids = torch.full((len(batch), longest), self._tokenizer.pad_token_id or 0)  # (B, L)
        mask = torch.zeros_like(ids)
        for row, item in enumerate(batch):
            ids[row, : len(item.ids)] = torch.tensor(item.ids)
            mask[row, : len(item.ids)] = 1
        logits: Logits = self._model(input_ids=ids, attention_mask=mask).logits.float().numpy()
        return logits
