"""The trainer on a tiny model: it learns, it survives a kill, it never mixes held-back texts with training texts."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from schemas.bundle import read_manifest
from stream_app.scoring.load import load_scorer
from stream_app.scoring.tokens import TextEncoder
from stream_app.text.model_input import TEXT_VERSION, ModelInput
from tests.model.tiny import tiny_student
from trainer.commands import train as train_command
from trainer.data import Row, load_split, plain_service_turn, read_own_turns, text_key
from trainer.train import UNKNOWN, Recipe, cut_batches, encode, masked_loss, train

ROWS = list(read_own_turns())
QUICK = Recipe(
    epochs=2, tokens_per_batch=512, learning_rate=3e-3, checkpoint_every=4, max_tokens=48, bf16=False, threads=1
)


@pytest.fixture(scope="module")
def student(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student(tmp_path_factory.mktemp("student") / "student", base)


def losses(work: Path) -> list[float]:
    lines = (json.loads(line) for line in (work / "metrics.jsonl").read_text("utf-8").splitlines())
    return [line["held_loss"] for line in lines if "held_loss" in line]


def test_it_learns(student: Path, tmp_path: Path) -> None:
    train(student, ROWS, ROWS[::5], tmp_path, QUICK)
    found = losses(tmp_path)
    assert found[-1] < found[0] - 0.1


def test_a_run_that_is_killed_and_started_again_ends_with_the_same_weights(student: Path, tmp_path: Path) -> None:
    undisturbed = train(student, ROWS, ROWS[:20], tmp_path / "undisturbed", QUICK)
    train(student, ROWS, ROWS[:20], tmp_path / "killed", QUICK, stop_after=7)  # three steps past the last checkpoint
    assert not (tmp_path / "killed" / "model").exists()
    torch.manual_seed(99)  # whatever ran in between
    resumed = train(student, ROWS, ROWS[:20], tmp_path / "killed", QUICK)
    one, other = (load_file(folder / "model.safetensors") for folder in (undisturbed, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_of_another_run_is_not_mistaken_for_this_one(student: Path, tmp_path: Path) -> None:
    train(student, ROWS, ROWS[:20], tmp_path, QUICK, stop_after=5)
    with pytest.raises(ValueError, match="empty the folder"):
        train(student, ROWS[:100], ROWS[:20], tmp_path, QUICK)


def test_every_text_is_seen_once_an_epoch_within_the_token_budget(student: Path) -> None:
    examples = encode(TextEncoder(student, 48), ROWS)
    batches = cut_batches(examples, QUICK, epoch=0)
    assert sorted(index for batch in batches for index in batch) == list(range(len(ROWS)))
    assert all(len(b) * max(len(examples[i].tokens.ids) for i in b) <= QUICK.tokens_per_batch for b in batches)
    assert batches != cut_batches(examples, QUICK, epoch=1)


def test_a_missing_label_moves_nothing() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    nan = float("nan")
    masked_loss(logits, torch.tensor([0, UNKNOWN, UNKNOWN]), torch.tensor([nan, 1.0, nan]), torch.ones(3)).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    moved = logits.grad.abs() > 0
    assert moved.tolist() == [[True, True, True, False], [False, False, False, True], [False] * 4]


def write_source(folder: Path, name: str, texts: list[tuple[str, str]]) -> None:
    with gzip.open(folder / f"{name}.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "lang", "split", "text", "label_src", "sentiment", "anger"])
        writer.writerows([f"{name}-{n}", "en", "", text, "x", mood, ""] for n, (text, mood) in enumerate(texts))


def test_no_text_is_in_both_parts_even_when_two_sources_share_it(tmp_path: Path) -> None:
    texts = [(f"The parcel number {n} came late", "neg") for n in range(400)]
    write_source(tmp_path, "one", texts)
    write_source(tmp_path, "other", [(text.upper() + "!", mood) for text, mood in texts])
    split = load_split(tmp_path, 1)
    held = {row.key for row in split.held}
    assert 5 <= sum(row.source != "own_turns" for row in split.held) <= 40
    assert not held & {row.key for row in split.train}
    keys = [row.key for row in split.train if row.source != "own_turns"]
    assert len(keys) == len(set(keys)), "and none twice in training"


def test_a_rare_mood_is_not_drowned(tmp_path: Path) -> None:
    texts = [(f"bad {n} times", "neg") for n in range(900)] + [(f"fine {n} times", "neu") for n in range(100)]
    write_source(tmp_path, "one", texts)
    train_rows = [r for r in load_split(tmp_path, 1, scale=0.01).train if r.source == "one"]
    moods = np.array([row.sentiment for row in train_rows])
    assert (moods == 1).sum() > 80


def test_the_split_is_the_same_every_time(tmp_path: Path) -> None:
    write_source(tmp_path, "one", [(f"text {n}", "pos") for n in range(100)])
    assert load_split(tmp_path, 7, scale=0.002) == load_split(tmp_path, 7, scale=0.002)


def test_one_command_makes_a_bundle_from_your_own_files(base: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    words = {"neg": "broken late bad", "neu": "when where order", "pos": "good nice love"}
    pairs = [(word, mood) for mood, some in words.items() for word in some.split()]
    texts = [(f"{word} {n} times", mood) for n in range(80) for word, mood in pairs]
    write_source(data, "shop", texts)
    arguments = ["--data", data, "--start", base, "--work", tmp_path / "work", "--out", tmp_path / "mine-1"]
    done = CliRunner().invoke(train_command, ["bundle", *map(str, arguments), "--scale", "0.02", "--layers", "0,3"])
    assert done.exit_code == 0, done.output
    manifest = read_manifest(tmp_path / "mine-1", text_version=TEXT_VERSION)
    assert manifest.name == "mine-1"
    assert manifest.licences["shop"] == "your own data"
    assert manifest.metrics["shop"]["texts"] > 5
    assert "mine-1" in (tmp_path / "mine-1" / "README.md").read_text("utf-8")
    load_scorer(str(tmp_path / "mine-1")).check_canary()
    again = CliRunner().invoke(train_command, ["measure", "--data", str(data), str(tmp_path / "mine-1")])
    assert again.exit_code == 0, again.output
    further = [
        "--data",
        data,
        "--start",
        tmp_path / "mine-1",
        "--work",
        tmp_path / "more",
        "--out",
        tmp_path / "mine-2",
    ]
    done = CliRunner().invoke(train_command, ["bundle", *map(str, further), "--scale", "0.01"])
    assert done.exit_code == 0, done.output
    assert {"rows", "rows_round_2"} <= set(read_manifest(tmp_path / "mine-2").training)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("请问什么时候发货", True),
        ("好的，谢谢", True),
        ("你们这是骗子", False),
        ("非常满意", False),
        ("怎么还没到！！", False),
    ],
)
def test_only_turns_without_a_mood_word_count_as_plain_service_talk(text: str, plain: bool) -> None:
    assert plain_service_turn(text) is plain


def test_own_turns_cover_both_languages_and_every_mood() -> None:
    assert {(row.sentiment, row.anger) for row in ROWS} >= {(0, 1.0), (0, 0.0), (1, 0.0), (2, 0.0)}
    assert sum(row.input.context is not None for row in ROWS) >= 10
    assert all(isinstance(row, Row) and isinstance(row.input, ModelInput) and row.key for row in ROWS)
    assert text_key("Good  Morning!") == text_key("good morning")
