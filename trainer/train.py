"""Fine-tuning: two heads, masked labels, a teacher's opinion where there is one, and a run that survives being killed.

One loop for every device: two CPU cores, a GPU, or several processes started by `torchrun`. Nothing random outlives a
step: order, augmentation and dropout are seeded by (seed, epoch or step, process), so a checkpoint needs no generator
state and a run that went on after a kill ends with the weights of one that was never disturbed.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor
from transformers import BertForSequenceClassification

from schemas.bundle import BundleError
from stream_app.errors import SetupError
from stream_app.scoring.tokens import TextEncoder
from trainer.augment import augment
from trainer.examples import Batch, cut_batches, encode, padded_batches, tensors
from trainer.following import Metrics, progress
from trainer.network import add_lora, classify, emptied, masked_loss, nudged, save_model
from trainer.recipe import Recipe
from trainer.rows import Row

MODEL = "model"
CHECKPOINT = "checkpoint.pt"


def train(
    student: Path, rows: Sequence[Row], held: Sequence[Row], out: Path, recipe: Recipe, *, stop_after: int | None = None
) -> Path:
    """Fine-tune the checkpoint in `student` on `rows`; returns the folder of the trained checkpoint, in `out`.

    Started again after a kill it goes on from `out/checkpoint.pt`. `stop_after` steps it stops, as if killed. Losses
    on `held` and speed go to `out/metrics.jsonl` and `out/tensorboard`. Raises BundleError for a checkpoint of another
    configuration.
    """
    run = _Run(student, rows, held, out, recipe)
    return run.go(stop_after)


class _Run:
    def __init__(self, student: Path, rows: Sequence[Row], held: Sequence[Row], out: Path, recipe: Recipe) -> None:
        self.rank, self.world = _processes(recipe.device)
        self.recipe, self.out, self.student = recipe, out, student
        self.device = _device(recipe.device)
        torch.set_num_threads(recipe.threads)
        torch.manual_seed(recipe.seed)
        out.mkdir(parents=True, exist_ok=True)
        self.model = BertForSequenceClassification.from_pretrained(student, dtype=torch.float32).to(self.device)
        if recipe.lora:
            add_lora(self.model, recipe.lora)
        self.encoder = TextEncoder(student, min(recipe.max_tokens, self.model.config.max_position_embeddings))
        self.optimizer = torch.optim.AdamW(_groups(self.model, recipe), fused=True)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.rows = rows
        self.watched = padded_batches(encode(self.encoder, held), recipe)
        plain = encode(self.encoder, rows)
        self.per_epoch = [len(cut_batches(plain, recipe, epoch)) // self.stride for epoch in range(recipe.epochs)]
        self.steps = sum(self.per_epoch)
        if not self.steps:
            raise SetupError(f"{len(rows):,} rows are too few for one step: lower --accumulate, or label more texts")
        self.texts = _fingerprint(rows, held)
        self.plain = plain
        self.best = float("inf")
        self.waited = 0

    @property
    def stride(self) -> int:
        """Batches that one optimizer step takes, over all processes."""
        return self.recipe.accumulate * self.world

    def go(self, stop_after: int | None) -> Path:
        done = self._resume()
        if self._gave_up():
            return self._finish()
        step = 0
        with progress(self.rank) as bars, Metrics(self.out, self.rank, done) as metrics:
            bar = bars.add_task("training", total=self.steps, completed=done)
            for epoch in range(self.recipe.epochs):
                if step + self.per_epoch[epoch] <= done:
                    step += self.per_epoch[epoch]
                    continue
                for batches in self._batches_of(epoch):
                    step += 1
                    if step <= done:
                        continue
                    if stop_after is not None and step > stop_after:
                        return self.out / MODEL
                    line = self._step(step - 1, batches) | {"epoch": epoch}
                    bars.advance(bar)
                    if step % self.recipe.checkpoint_every == 0 or step == self.steps:
                        line["held_loss"] = round(self._held_loss(), 4)
                        self._keep_if_best(line["held_loss"])
                        self._save(step)
                    metrics.write(step, line)
                    if self._gave_up():
                        return self._finish()
        return self._finish()

    def _gave_up(self) -> bool:
        return bool(self.recipe.patience) and self.waited >= self.recipe.patience

    def _batches_of(self, epoch: int) -> Iterator[list[Batch]]:
        """What this process computes in each step of an epoch."""
        examples = self.plain
        if self.recipe.augment:
            rng = random.Random(f"{self.recipe.seed}-augment-{epoch}")  # a string: a tuple's hash is salted
            changed = [i for i in range(len(self.rows)) if rng.random() < self.recipe.augment]
            altered = [self.rows[i]._replace(input=augment(self.rows[i].input, rng)) for i in changed]
            examples = list(self.plain)
            for index, example in zip(changed, encode(self.encoder, altered), strict=True):
                examples[index] = example
        batches = cut_batches(self.plain, self.recipe, epoch)
        for step in range(self.per_epoch[epoch]):
            mine = batches[step * self.stride + self.rank : (step + 1) * self.stride : self.world]
            yield [tensors([examples[i] for i in batch]) for batch in mine]

    def _step(self, step: int, batches: Sequence[Batch]) -> dict[str, Any]:
        started = time.monotonic()
        slope = _slope(step, self.steps, self.recipe.warm_up)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * slope
        torch.manual_seed(self.recipe.seed * 1_000_003 + step * self.world + self.rank)
        self.model.train()
        total = 0.0
        for batch in batches:
            batch = batch.to(self.device)
            loss = self._loss(batch) / len(batches)
            loss.backward()  # type: ignore[no-untyped-call]
            if self.recipe.adversarial:
                with nudged(self.model.bert.embeddings.word_embeddings.weight, self.recipe.adversarial):
                    (self._loss(batch) / len(batches)).backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        if self.world > 1:
            _average_gradients(self.model, self.world)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        seconds = time.monotonic() - started
        tokens = sum(int(batch.mask.sum()) for batch in batches) * self.world
        line: dict[str, Any] = {"step": step + 1, "of": self.steps, "loss": round(total, 4)}
        return line | {"tokens_per_second": round(tokens / seconds), "learning_rate": self.rates[-1] * slope}

    def _loss(self, batch: Batch) -> Tensor:
        with _autocast(self.device, self.recipe):
            logits = classify(self.model, batch)
        return masked_loss(logits.float(), batch, self.recipe)

    @torch.inference_mode()
    def _held_loss(self) -> float:
        """The same number in every process, since each decides by it whether to go on."""
        self.model.eval()
        total = texts = 0.0
        for batch in self.watched:
            total += self._loss(batch.to(self.device)).item() * len(batch.ids)
            texts += len(batch.ids)
        loss = torch.tensor(total / max(1.0, texts), dtype=torch.float64, device=self.device)
        if self.world > 1:
            distributed.broadcast(loss, 0)
        return loss.item()

    def _keep_if_best(self, held_loss: float) -> None:
        self.waited = 0 if held_loss < self.best else self.waited + 1
        self.best = min(self.best, held_loss)
        if self.recipe.patience and self.waited == 0 and self.rank == 0:
            save_model(self.model, self.out / "best", self.student)

    def _finish(self) -> Path:
        if self.rank == 0:
            best = self.out / "best"
            if self.recipe.patience and best.exists():
                fresh = self.out / (MODEL + ".new")
                shutil.copytree(best, emptied(fresh))  # `best` stays: the run may be called once more
                os.replace(fresh, emptied(self.out / MODEL))
            else:
                save_model(self.model, self.out / MODEL, self.student)
        return self.out / MODEL

    def _save(self, step: int) -> None:
        if self.rank:
            return
        state = {"step": step, "of": self._identity(), "best": self.best, "waited": self.waited}
        fresh = self.out / (CHECKPOINT + ".new")
        torch.save(state | {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}, fresh)
        os.replace(fresh, self.out / CHECKPOINT)  # a kill while writing leaves the checkpoint before intact

    def _resume(self) -> int:
        path = self.out / CHECKPOINT
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True, map_location=self.device)
        if state["of"] != (mine := self._identity()):
            differing = [key for key in mine if state["of"].get(key) != mine[key]]
            raise BundleError(
                f"{path} is the checkpoint of another run (it differs in {', '.join(differing)}): empty the folder or"
                " name another one."
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best, self.waited = state["best"], state["waited"]
        return int(state["step"])

    def _identity(self) -> dict[str, Any]:
        """What must be equal for a checkpoint to be continued."""
        chosen = {key: value for key, value in asdict(self.recipe).items() if key not in {"threads", "device"}}
        return chosen | {"steps": self.steps, "texts": self.texts}


def _groups(model: Any, recipe: Recipe) -> list[dict[str, Any]]:
    """Rates fall from the heads to the embeddings; biases and layer norms are not decayed."""
    layers = model.config.num_hidden_layers
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith("bert.encoder.layer."):
            depth = layers - 1 - int(name.split(".")[3])
            rate = recipe.learning_rate * recipe.layer_decay**depth
        elif name.startswith("bert.embeddings"):
            rate = recipe.learning_rate * recipe.layer_decay**layers
        else:
            rate = recipe.learning_rate * recipe.head_rate
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]


def _slope(step: int, steps: int, warm_up: float) -> float:
    """Linear warm-up, then linear decay to nothing."""
    rising = max(1, int(steps * warm_up))
    return (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)


def _fingerprint(rows: Sequence[Row], held: Sequence[Row]) -> str:
    """What is learned and what is watched, in order: a checkpoint of other rows must not be continued with these."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (rows, held):
        for row in part:
            digest.update(repr((row.input, row.sentiment, row.anger, row.weight, row.teacher)).encode(errors="replace"))
        digest.update(b"held")
    return digest.hexdigest()


def _device(name: str) -> torch.device:
    if name == "cuda":
        if not torch.cuda.is_available():
            raise SetupError("this machine has no usable CUDA device: use --device cpu")
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # torchrun: one GPU a process
    return torch.device(name)


def _processes(device: str) -> tuple[int, int]:
    """(rank, number of processes): (0, 1) unless `torchrun` started us."""
    if "RANK" not in os.environ:
        return 0, 1
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


def _average_gradients(model: Any, world: int) -> None:
    for parameter in model.parameters():
        if parameter.grad is not None:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= world


def _autocast(device: torch.device, recipe: Recipe) -> Any:
    return torch.autocast(device.type, dtype=torch.bfloat16) if recipe.precision == "bf16" else nullcontext()


if __name__ == "__main__":
    from trainer.commands import train as commands

    commands()
