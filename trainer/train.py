"""Fine-tuning on CPU: two heads, masked labels, batches cut by tokens, and a run that survives being killed.

The only file of the trainer that imports torch.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import BertForSequenceClassification

from stream_app.scoring.tokens import TextEncoder, Tokens
from trainer.data import Row

UNKNOWN = -100  # what torch's cross entropy skips
MODEL = "model"
CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class Recipe:
    epochs: int = 1
    tokens_per_batch: int = 4096
    """Padded tokens; about 100 texts. On an AVX512-BF16 core smaller batches cost a tenth of the speed."""
    learning_rate: float = 2e-4
    warm_up: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 13
    bf16: bool = True
    """Autocast: 5,100 tokens/s against 2,900 in fp32 on two cores with avx512_bf16; slower than fp32 without it."""
    threads: int = 2
    """On shared cores set OMP_WAIT_POLICY=PASSIVE: 3,000 tokens per CPU second instead of 1,200 spent on spinning."""
    checkpoint_every: int = 100
    max_tokens: int = 128


class Example(NamedTuple):
    tokens: Tokens
    sentiment: int  # UNKNOWN where the source does not say
    anger: float  # nan where the source does not say
    weight: float


def train(
    student: Path, rows: Sequence[Row], held: Sequence[Row], out: Path, recipe: Recipe, *, stop_after: int | None = None
) -> Path:
    """Fine-tune the checkpoint in `student` on `rows`; returns the folder of the trained checkpoint, in `out`.

    Started again after a kill it goes on from `out/checkpoint.pt` and ends with the weights an undisturbed run gives.
    `stop_after` steps it stops, as if killed. Losses on `held` and speed go to `out/metrics.jsonl`.
    """
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    model = BertForSequenceClassification.from_pretrained(student, dtype=torch.float32)
    optimizer = torch.optim.AdamW(_groups(model, recipe), lr=recipe.learning_rate, fused=True)
    encoder = TextEncoder(student, min(recipe.max_tokens, model.config.max_position_embeddings))
    examples, watched = encode(encoder, rows), encode(encoder, held)
    batches = [b for epoch in range(recipe.epochs) for b in cut_batches(examples, recipe, epoch)]
    done = _resume(out, model, optimizer, len(batches))
    with _progress() as progress, (out / METRICS).open("a", encoding="utf-8") as metrics:
        bar = progress.add_task("training", total=len(batches), completed=done)
        for step in range(done, len(batches)):
            if step == stop_after:
                return out / MODEL
            started = time.monotonic()
            batch = [examples[i] for i in batches[step]]
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * _slope(step, len(batches), recipe.warm_up)
            loss = _step(model, optimizer, batch, recipe)
            seconds = time.monotonic() - started
            progress.advance(bar)
            at_checkpoint = (step + 1) % recipe.checkpoint_every == 0 or step + 1 == len(batches)
            line: dict[str, float] = {"step": step + 1, "of": len(batches), "loss": round(loss, 4)}
            line["tokens_per_second"] = round(sum(len(e.tokens.ids) for e in batch) / seconds)
            if at_checkpoint:
                line["held_loss"] = round(_loss_on(model, watched, recipe), 4)
                _save(out, model, optimizer, step + 1, len(batches))
            metrics.write(json.dumps(line) + "\n")
            metrics.flush()
    model.save_pretrained(out / MODEL)
    return out / MODEL


def encode(encoder: TextEncoder, rows: Sequence[Row]) -> list[Example]:
    nan = float("nan")
    examples = []
    for start in range(0, len(rows), 1_000):  # in slices: 100,000 encodings at once would hold gigabytes
        part = rows[start : start + 1_000]
        for row, tokens in zip(part, encoder.encode([row.input for row in part]), strict=True):
            sentiment = UNKNOWN if row.sentiment is None else row.sentiment
            examples.append(Example(tokens, sentiment, nan if row.anger is None else row.anger, row.weight))
    return examples


def cut_batches(examples: Sequence[Example], recipe: Recipe, epoch: int) -> list[list[int]]:
    """This epoch's batches as indices: similar lengths together, at most `tokens_per_batch` with padding.

    Sorted in windows of some 5,000 texts and not as a whole, or every epoch would have the same batches.
    """
    rng = random.Random(f"{recipe.seed}-{epoch}")  # a string: seeding with a tuple would use the salted hash
    order = list(range(len(examples)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), 5_000):
        window = sorted(order[start : start + 5_000], key=lambda i: len(examples[i].tokens.ids))
        batch: list[int] = []
        for index in window:
            if batch and (len(batch) + 1) * len(examples[index].tokens.ids) > recipe.tokens_per_batch:
                batches.append(batch)
                batch = []
            batch.append(index)
        batches.append(batch)
    rng.shuffle(batches)
    return batches


def masked_loss(
    logits: torch.Tensor, sentiment: torch.Tensor, anger: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Cross entropy where sentiment is known plus binary cross entropy where anger is; logits (B, 4), the rest (B,)."""
    known = sentiment != UNKNOWN
    per_text = F.cross_entropy(logits[:, :3], sentiment, reduction="none", ignore_index=UNKNOWN)
    loss = (per_text * weight).sum() / (weight * known).sum().clamp(min=1.0)
    heard = ~anger.isnan()
    per_text = F.binary_cross_entropy_with_logits(logits[:, 3], anger.nan_to_num(0.0), reduction="none")
    return loss + (per_text * weight * heard).sum() / (weight * heard).sum().clamp(min=1.0)


def _step(model: Any, optimizer: torch.optim.Optimizer, batch: Sequence[Example], recipe: Recipe) -> float:
    model.train()
    inputs, labels = _tensors(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.bf16):
        logits = model(**inputs).logits
    loss = masked_loss(logits.float(), *labels)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@torch.inference_mode()
def _loss_on(model: Any, examples: Sequence[Example], recipe: Recipe) -> float:
    model.eval()
    total = 0.0
    cuts = cut_batches(examples, recipe, epoch=0)
    for cut in cuts:
        inputs, labels = _tensors([examples[i] for i in cut])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.bf16):
            logits = model(**inputs).logits
        total += masked_loss(logits.float(), *labels).item() * len(cut)
    return total / max(1, len(examples))


def _tensors(batch: Sequence[Example]) -> tuple[dict[str, torch.Tensor], tuple[torch.Tensor, ...]]:
    longest = max(len(e.tokens.ids) for e in batch)
    ids = torch.ones(len(batch), longest, dtype=torch.long)  # (B, L); 1 is <pad>
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, example in enumerate(batch):
        length = len(example.tokens.ids)
        ids[row, :length] = torch.tensor(example.tokens.ids)
        types[row, example.tokens.text_length : length] = 1
        mask[row, :length] = 1
    labels = (
        torch.tensor([e.sentiment for e in batch]),
        torch.tensor([e.anger for e in batch]),
        torch.tensor([e.weight for e in batch]),
    )
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}, labels


def _groups(model: Any, recipe: Recipe) -> list[dict[str, Any]]:
    """Biases and layer norms are not decayed."""
    named = list(model.named_parameters())
    decayed = [p for _, p in named if p.ndim > 1]
    others = [p for _, p in named if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]


def _slope(step: int, steps: int, warm_up: float) -> float:
    """Linear warm-up, then linear decay to nothing."""
    rising = max(1, int(steps * warm_up))
    return (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)


def _save(out: Path, model: Any, optimizer: torch.optim.Optimizer, step: int, steps: int) -> None:
    state = {"step": step, "of": steps, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    fresh = out / (CHECKPOINT + ".new")
    torch.save(state | {"rng": torch.get_rng_state()}, fresh)
    os.replace(fresh, out / CHECKPOINT)  # a kill while writing leaves the checkpoint before intact


def _resume(out: Path, model: Any, optimizer: torch.optim.Optimizer, steps: int) -> int:
    if not (out / CHECKPOINT).exists():
        return 0
    state = torch.load(out / CHECKPOINT, weights_only=True)
    if state["of"] != steps:
        raise ValueError(
            f"{out / CHECKPOINT} is of a run of {state['of']} steps, this one has {steps}: empty the folder."
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    return int(state["step"])


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
    )


if __name__ == "__main__":
    from trainer.commands import train as commands

    commands()
