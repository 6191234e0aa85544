"""From rows to padded batches of tensors: what a training step is given."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stream_app.scoring.tokens import TextEncoder, Tokens
from trainer.recipe import Recipe
from trainer.rows import Row

UNKNOWN = -100  # what torch's cross entropy skips
WINDOW = 5_000  # texts sorted by length together; the whole set at once would give every epoch the same batches


class Example(NamedTuple):
    tokens: Tokens
    sentiment: int  # UNKNOWN where the source does not say
    anger: float  # nan where the source does not say
    weight: float
    teacher: tuple[float, ...] | None  # logits (4,)


class Batch(NamedTuple):
    """B texts of L tokens, padded; C = 4 outputs."""

    ids: Tensor  # (B, L)
    segments: Tensor  # (B, L)
    mask: Tensor  # (B, L) bool
    sentiment: Tensor  # (B,)
    anger: Tensor  # (B,)
    weight: Tensor  # (B,)
    teacher: Tensor  # (B, C); nan where no teacher spoke

    def to(self, device: torch.device) -> Batch:
        return Batch(*(each.to(device, non_blocking=True) for each in self))


def encode(encoder: TextEncoder, rows: Sequence[Row]) -> list[Example]:
    nan = float("nan")
    examples = []
    for start in range(0, len(rows), 1_000):  # in slices: 100,000 encodings at once would hold gigabytes
        part = rows[start : start + 1_000]
        for row, tokens in zip(part, encoder.encode([row.input for row in part]), strict=True):
            sentiment = UNKNOWN if row.sentiment is None else row.sentiment
            anger = nan if row.anger is None else row.anger
            examples.append(Example(tokens, sentiment, anger, row.weight, row.teacher))
    return examples


def cut_batches(examples: Sequence[Example], recipe: Recipe, epoch: int) -> list[list[int]]:
    """This epoch's batches as indices: similar lengths together, at most `tokens_per_batch` with padding."""
    rng = random.Random(f"{recipe.seed}-{epoch}")
    order = list(range(len(examples)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), WINDOW):
        window = sorted(order[start : start + WINDOW], key=lambda i: len(examples[i].tokens.ids))
        batch: list[int] = []
        for index in window:
            if batch and (len(batch) + 1) * len(examples[index].tokens.ids) > recipe.tokens_per_batch:
                batches.append(batch)
                batch = []
            batch.append(index)
        batches.append(batch)
    rng.shuffle(batches)
    return batches


def padded_batches(examples: Sequence[Example], recipe: Recipe) -> list[Batch]:
    return [tensors([examples[i] for i in cut]) for cut in cut_batches(examples, recipe, epoch=0) if cut]


def tensors(batch: Sequence[Example]) -> Batch:
    longest = max(len(example.tokens.ids) for example in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    segments, mask = torch.zeros_like(ids), torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, example in enumerate(batch):
        length = len(example.tokens.ids)
        ids[row, :length] = torch.tensor(example.tokens.ids)
        segments[row, example.tokens.text_length : length] = 1
        mask[row, :length] = True
    silent = (float("nan"),) * 4
    return Batch(
        ids,
        segments,
        mask,
        sentiment=torch.tensor([e.sentiment for e in batch]),
        anger=torch.tensor([e.anger for e in batch]),
        weight=torch.tensor([e.weight for e in batch]),
        teacher=torch.tensor([e.teacher or silent for e in batch]),
    )
