"""The network while it learns: forward, loss, and the two ways to learn differently, low-rank updates and FGM."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from trainer.examples import UNKNOWN, Batch
from trainer.recipe import Recipe

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def classify(model: Any, batch: Batch) -> Tensor:
    """Logits (B, C). What `BertForSequenceClassification` computes, with less work: of the last layer only the first
    token, which is all that the classifier reads, and no dropout inside attention, which has no fast kernel on a CPU.
    """
    bert = model.bert
    mask = batch.mask[:, None, None, :]  # (B, 1, 1, L)
    x = bert.embeddings(input_ids=batch.ids, token_type_ids=batch.segments)  # (B, L, E)
    for layer in bert.encoder.layer[:-1]:
        x = _layer(layer, x, x, mask)
    first = _layer(bert.encoder.layer[-1], x[:, :1], x, mask)  # (B, 1, E)
    logits: Tensor = model.classifier(model.dropout(bert.pooler(first)))
    return logits


def _layer(layer: Any, asking: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    attention = layer.attention.self
    heads = attention.num_attention_heads

    def split(y: Tensor) -> Tensor:
        return y.view(*y.shape[:-1], heads, -1).transpose(1, 2)  # (B, H, L, E / H)

    query, key, value = split(attention.query(asking)), split(attention.key(x)), split(attention.value(x))
    heard = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
    y = layer.attention.output(heard, asking)
    out: Tensor = layer.output(layer.intermediate(y), y)
    return out


def masked_loss(logits: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
    """Labels where they are known, the teacher where there is one. Each of the two heads is a weighted mean.

    With labels y, teacher t and share s: (1 - s) * CE(y) + s * T^2 * CE(t / T), Hinton et al. 2015.
    """
    known, heard = batch.sentiment != UNKNOWN, ~batch.anger.isnan()
    taught = ~batch.teacher[:, 0].isnan()
    sentiment = F.cross_entropy(logits[:, :3], batch.sentiment, reduction="none", ignore_index=UNKNOWN)
    truth = batch.anger.nan_to_num(0.0)
    anger = F.binary_cross_entropy_with_logits(logits[:, 3], truth, reduction="none")
    if recipe.focal:  # confident and right counts less; the exponent of the sentiment loss is the probability given
        sentiment = sentiment * (1 - torch.exp(-sentiment)) ** recipe.focal
        anger = anger * (1 - torch.exp(-anger)) ** recipe.focal
    if bool(taught.any()):
        temperature = recipe.teacher_temperature
        teacher = batch.teacher.nan_to_num(0.0) / temperature
        soft = F.cross_entropy(logits[:, :3] / temperature, teacher[:, :3].softmax(1), reduction="none")
        soft_anger = F.binary_cross_entropy_with_logits(
            logits[:, 3] / temperature, teacher[:, 3].sigmoid(), reduction="none"
        )
        sentiment = _blend(sentiment, soft * temperature**2, known, taught, recipe.teacher_share)
        anger = _blend(anger, soft_anger * temperature**2, heard, taught, recipe.teacher_share)
    return _mean(sentiment, batch.weight * (known | taught)) + _mean(anger, batch.weight * (heard | taught))


def _blend(hard: Tensor, soft: Tensor, known: Tensor, taught: Tensor, share: float) -> Tensor:
    part = torch.where(taught, torch.where(known, share, 1.0), 0.0)
    return (1 - part) * hard + part * soft


def _mean(loss: Tensor, weight: Tensor) -> Tensor:
    return (loss * weight).sum() / weight.sum().clamp(min=1.0)


class nudged:
    """For the time of one backward pass the embeddings stand one step up their own gradient (FGM)."""

    def __init__(self, weight: Any, size: float) -> None:
        self._weight, self._size = weight, size

    def __enter__(self) -> None:
        gradient = self._weight.grad
        self._kept = self._weight.detach().clone()
        norm = gradient.norm()
        if bool(norm > 0):
            self._weight.data.add_(gradient, alpha=self._size / float(norm))

    def __exit__(self, *_: object) -> None:
        self._weight.data.copy_(self._kept)


class _Lora(torch.nn.Module):
    """A frozen linear layer plus a trained low-rank update of it."""

    def __init__(self, linear: Any, rank: int) -> None:
        super().__init__()
        self.linear = linear
        self.down = torch.nn.Linear(linear.in_features, rank, bias=False, device=linear.weight.device)
        self.up = torch.nn.Linear(rank, linear.out_features, bias=False, device=linear.weight.device)
        torch.nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x) + self.up(self.down(x))
        return out


def add_lora(model: Any, rank: int) -> None:
    """Freeze the encoder; let query and value of each layer learn through `rank` dimensions."""
    for parameter in model.bert.parameters():
        parameter.requires_grad = False
    for parameter in model.bert.pooler.parameters():
        parameter.requires_grad = True
    for layer in model.bert.encoder.layer:
        for name in ("query", "value"):
            setattr(layer.attention.self, name, _Lora(getattr(layer.attention.self, name), rank))


def save_model(model: Any, folder: Path, student: Path) -> None:
    """Write a checkpoint with the student's tokenizer, low-rank updates merged into it; aside, then in place.

    The model itself stays as it is: training goes on with it.
    """
    fresh = emptied(folder.with_name(folder.name + ".new"))
    model.config.save_pretrained(fresh)
    save_file(merged_weights(model), fresh / "model.safetensors", metadata={"format": "pt"})
    for name in TOKENIZER_FILES:  # so that the folder can be loaded, taught from and trained further
        shutil.copyfile(student / name, fresh / name)
    os.replace(fresh, emptied(folder))


def merged_weights(model: Any) -> dict[str, Tensor]:
    """The state as a plain checkpoint names it."""
    weights: dict[str, Tensor] = dict(model.state_dict())
    for name in [name for name in weights if name.endswith(".up.weight")]:
        at = name.removesuffix(".up.weight")
        update = weights.pop(name) @ weights.pop(at + ".down.weight")
        weights[at + ".weight"] = weights.pop(at + ".linear.weight") + update
        weights[at + ".bias"] = weights.pop(at + ".linear.bias")
    return {name: weight.detach().cpu().contiguous() for name, weight in weights.items()}


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
