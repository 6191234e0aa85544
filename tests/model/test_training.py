"""The training loop on a tiny model: it learns, it survives a kill, and each of its knobs does what it says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertForSequenceClassification

from schemas.bundle import BundleError
from stream_app.errors import SetupError
from stream_app.scoring.tokens import TextEncoder
from tests.model.tiny import tiny_student
from trainer.corpus import read_own_turns
from trainer.examples import UNKNOWN, Batch, cut_batches, encode
from trainer.network import add_lora, classify, masked_loss, save_model
from trainer.recipe import Recipe
from trainer.rows import Row
from trainer.train import train

ROWS = list(read_own_turns())[:600]
QUICK = Recipe(
    epochs=2, tokens_per_batch=512, learning_rate=3e-3, head_rate=1.0, checkpoint_every=4, max_tokens=48,
    precision="fp32", threads=1,
)  # fmt: skip
NAN = float("nan")


@pytest.fixture(scope="module")
def student(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student(tmp_path_factory.mktemp("student") / "student", base)


def lines(work: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (work / "metrics.jsonl").read_text("utf-8").splitlines()]


def losses(work: Path) -> list[float]:
    return [line["held_loss"] for line in lines(work) if "held_loss" in line]


def same(one: Path, other: Path) -> bool:
    left, right = (load_file(folder / "model.safetensors") for folder in (one, other))
    return all(torch.equal(left[name], right[name]) for name in left)


def test_it_learns(student: Path, tmp_path: Path) -> None:
    train(student, ROWS, ROWS[::5], tmp_path, QUICK)
    found = losses(tmp_path)
    assert found[-1] < found[0] - 0.1
    assert any((tmp_path / "tensorboard").iterdir())


def test_a_run_that_is_killed_and_started_again_ends_with_the_same_weights(student: Path, tmp_path: Path) -> None:
    undisturbed = train(student, ROWS, ROWS[:20], tmp_path / "undisturbed", QUICK)
    train(student, ROWS, ROWS[:20], tmp_path / "killed", QUICK, stop_after=7)  # three steps past the last checkpoint
    assert not (tmp_path / "killed" / "model").exists()
    torch.manual_seed(99)  # whatever ran in between
    resumed = train(student, ROWS, ROWS[:20], tmp_path / "killed", QUICK)
    assert same(undisturbed, resumed)


def test_a_checkpoint_of_another_run_is_not_mistaken_for_this_one(student: Path, tmp_path: Path) -> None:
    train(student, ROWS, ROWS[:20], tmp_path, QUICK, stop_after=5)
    with pytest.raises(BundleError, match="differs in steps, texts"):
        train(student, ROWS[:100], ROWS[:20], tmp_path, QUICK)
    turned = [row._replace(sentiment=2 - (row.sentiment or 0)) for row in ROWS]
    with pytest.raises(BundleError, match="differs in texts"):
        train(student, turned, ROWS[:20], tmp_path, QUICK)
    with pytest.raises(BundleError, match="differs in learning_rate"):
        train(student, ROWS, ROWS[:20], tmp_path, replace(QUICK, learning_rate=1e-3))


def test_patience_ends_a_run_that_gets_no_better_and_keeps_its_best(student: Path, tmp_path: Path) -> None:
    hot = replace(QUICK, epochs=30, learning_rate=0.3, patience=2, checkpoint_every=2)
    kept = train(student, ROWS, ROWS[:100], tmp_path, hot)
    found = losses(tmp_path)
    assert len(lines(tmp_path)) < lines(tmp_path)[0]["of"]
    best = min(found)
    assert best not in found[-2:]
    assert held_loss(kept, ROWS[:100]) == pytest.approx(best, abs=2e-4), "the best weights, not the last"
    again = train(student, ROWS, ROWS[:100], tmp_path, hot)
    assert len(losses(tmp_path)) == len(found), "a run that gave up is not trained further"
    assert held_loss(again, ROWS[:100]) == pytest.approx(best, abs=2e-4)


def held_loss(checkpoint: Path, rows: list[Row]) -> float:
    """By the loop itself: a run of its own whose first checkpoint is taken before anything has moved."""
    with tempfile.TemporaryDirectory() as room:
        still = replace(QUICK, epochs=1, learning_rate=1e-12, augment=0.0, checkpoint_every=1, tokens_per_batch=512)
        train(checkpoint, ROWS[:40], rows, Path(room), still, stop_after=1)
        return losses(Path(room))[0]


def test_every_text_is_seen_once_an_epoch_within_the_token_budget(student: Path) -> None:
    examples = encode(TextEncoder(student, 48), ROWS)
    batches = cut_batches(examples, QUICK, epoch=0)
    assert sorted(index for batch in batches for index in batch) == list(range(len(ROWS)))
    assert all(len(b) * max(len(examples[i].tokens.ids) for i in b) <= QUICK.tokens_per_batch for b in batches)
    assert batches != cut_batches(examples, QUICK, epoch=1)


def batch_of(sentiment: list[int], anger: list[float], teacher: list[list[float]] | None = None) -> Batch:
    size = len(sentiment)
    nothing = torch.zeros(size, 1, dtype=torch.long)
    opinion = torch.tensor(teacher) if teacher else torch.full((size, 4), NAN)
    labels = (torch.tensor(sentiment), torch.tensor(anger), torch.ones(size), opinion)
    return Batch(nothing, nothing, nothing.bool(), *labels)


def moved(batch: Batch, recipe: Recipe = QUICK) -> list[list[bool]]:
    """Which outputs (B, 4) the loss pulls at."""
    logits = torch.randn(len(batch.sentiment), 4, requires_grad=True)
    masked_loss(logits, batch, recipe).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    pulled: list[list[bool]] = (logits.grad.abs() > 0).tolist()
    return pulled


def test_a_missing_label_moves_nothing() -> None:
    batch = batch_of([0, UNKNOWN, UNKNOWN], [NAN, 1.0, NAN])
    assert moved(batch) == [[True, True, True, False], [False, False, False, True], [False] * 4]


def test_a_teacher_speaks_where_labels_are_missing_and_beside_them() -> None:
    silent = [NAN] * 4
    batch = batch_of([UNKNOWN, UNKNOWN, 0], [NAN, NAN, 1.0], [[3.0, 0.0, -1.0, 2.0], silent, [0.0, 3.0, 0.0, -3.0]])
    assert moved(batch) == [[True] * 4, [False] * 4, [True] * 4]
    only = replace(QUICK, teacher_share=1.0, teacher_temperature=1.0)
    taught = batch_of([0], [1.0], [[0.0, 3.0, 0.0, -3.0]])
    agreeing, obeying = torch.tensor([[0.0, 3.0, 0.0, -3.0]]), torch.tensor([[3.0, 0.0, 0.0, 3.0]])
    assert masked_loss(agreeing, taught, only) < masked_loss(obeying, taught, only), (
        "the teacher's word, not the label's"
    )
    none = replace(only, teacher_share=0.0)
    assert masked_loss(agreeing, taught, none) > masked_loss(obeying, taught, none)


def test_focal_loss_listens_less_to_what_is_known_already() -> None:
    batch = batch_of([0, 0], [NAN, NAN])
    logits = torch.tensor([[4.0, 0.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0]], requires_grad=True)
    masked_loss(logits, batch, replace(QUICK, focal=2.0)).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    sure, wrong = logits.grad.norm(dim=1).tolist()
    assert sure * 100 < wrong


def test_training_computes_what_serving_computes(student: Path) -> None:
    """`classify` leaves out work that no output depends on."""
    model = BertForSequenceClassification.from_pretrained(student).eval()
    ids = torch.tensor([[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]])
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    segments = torch.zeros_like(ids)
    batch = batch_of([0, 0], [NAN, NAN])._replace(ids=ids, segments=segments, mask=mask)
    with torch.inference_mode():
        expected = model(input_ids=ids, token_type_ids=segments, attention_mask=mask.long()).logits
        assert torch.allclose(classify(model, batch), expected, atol=1e-5)


@torch.inference_mode()
def classify_again(model: Any, batch: Batch) -> torch.Tensor:
    return classify(model, batch)


def test_a_low_rank_update_is_merged_before_it_is_saved(student: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(student).eval()
    add_lora(model, 4)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("down" in name or "up" in name or "pooler" in name or "classifier" in name for name in trained)
    for layer in model.bert.encoder.layer:
        torch.nn.init.normal_(layer.attention.self.query.up.weight)
    ids = torch.tensor([[0, 5, 6, 7, 2]])
    batch = batch_of([0], [NAN])._replace(ids=ids, segments=torch.zeros_like(ids), mask=torch.ones_like(ids).bool())
    with torch.inference_mode():
        before = classify(model, batch)
    save_model(model, tmp_path / "model", student)
    assert torch.equal(classify_again(model, batch), before), "training goes on with the model as it was"
    merged = BertForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    with torch.inference_mode():
        assert torch.allclose(classify(merged, batch), before, atol=1e-4)


@pytest.mark.parametrize(
    "knob", [{"lora": 4}, {"adversarial": 0.5}, {"focal": 2.0}, {"accumulate": 3}, {"precision": "bf16"}], ids=str
)
def test_each_way_of_training_learns_in_its_own_way(student: Path, tmp_path: Path, knob: dict[str, object]) -> None:
    train(student, ROWS[:300], ROWS[:60], tmp_path / "plain", QUICK)
    train(student, ROWS[:300], ROWS[:60], tmp_path / "so", replace(QUICK, **knob))  # type: ignore[arg-type]
    plain, so = losses(tmp_path / "plain"), losses(tmp_path / "so")
    assert so != plain, "the knob is wired to nothing"
    assert so[-1] < so[0]
    assert (tmp_path / "so" / "model" / "model.safetensors").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"accumulate": 0},
        {"threads": 0},
        {"learning_rate": 0.0},
        {"augment": 1.5},
        {"lora": 4, "adversarial": 0.5},
    ],
    ids=str,
)
def test_a_recipe_that_cannot_train_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(SetupError, match=next(iter(wrong))):
        replace(QUICK, **wrong)  # type: ignore[arg-type]


def test_too_few_rows_for_a_step_are_refused_and_nothing_is_saved(student: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="too few for one step"):
        train(student, ROWS[:3], ROWS[:3], tmp_path, replace(QUICK, accumulate=50))
    assert not (tmp_path / "model").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks what happens without a GPU")
def test_a_device_that_is_not_there_is_one_line(student: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no usable CUDA device"):
        train(student, ROWS[:50], ROWS[:5], tmp_path, replace(QUICK, device="cuda"))


SCRIPT = """
import sys
from pathlib import Path
from typing import Any
from tests.model.test_training import QUICK, ROWS
from trainer.train import train
train(Path(sys.argv[1]), ROWS, ROWS[:20], Path(sys.argv[2]), QUICK)
"""


def test_a_process_killed_in_the_middle_of_training_is_continued(student: Path, tmp_path: Path) -> None:
    undisturbed = train(student, ROWS, ROWS[:20], tmp_path / "undisturbed", QUICK)
    command = [sys.executable, "-c", SCRIPT, str(student), str(tmp_path / "killed")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while not (tmp_path / "killed" / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "model").exists(), "it was to be killed before it was done"
    assert same(undisturbed, train(student, ROWS, ROWS[:20], tmp_path / "killed", QUICK))


def test_two_processes_share_the_batches_of_a_step(student: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    out = tmp_path / "two"
    command = [sys.executable, "-c", SCRIPT, str(student), str(out)]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    pair = [subprocess.Popen(command, env={**os.environ, **common, "RANK": str(rank)}) for rank in range(2)]
    assert [process.wait(timeout=100) for process in pair] == [0, 0]
    train(student, ROWS, ROWS[:20], tmp_path / "one", QUICK)
    assert lines(tmp_path / "one")[0]["of"] // 2 - lines(out)[0]["of"] in (0, 1), "an odd last batch of an epoch waits"
    assert losses(out)[-1] < losses(out)[0]
    assert (out / "model" / "model.safetensors").exists()
