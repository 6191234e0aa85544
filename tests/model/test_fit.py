"""From labelled files to a bundle by the commands a person types: fit, resume, distill, bundle."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from schemas.bundle import BundleError, read_manifest
from stream_app.scoring.load import load_scorer
from stream_app.text.model_input import TEXT_VERSION
from trainer.commands import train as train_command
from trainer.corpus import read_own_turns
from trainer.distill import teach
from trainer.fit import Job, fit
from trainer.recipe import Recipe
from trainer.rows import Row

QUICK = (
    *("--scale", "0.02", "--epochs", "1", "--tokens-per-batch", "1024", "--learning-rate", "0.003"),
    *("--max-tokens", "48", "--precision", "fp32", "--threads", "1"),
)


@pytest.fixture(scope="module", autouse=True)
def few_own_turns() -> Iterator[None]:
    """The real ones would make every run here 10,000 texts long."""
    few = list(read_own_turns())[::20]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.split.read_own_turns", lambda: iter(few))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    words = {
        "neg": "broken late bad 坏了 太差",
        "neu": "when where order 什么时候 订单",
        "pos": "good nice love 喜欢 很好",
    }
    pairs = [(word, mood) for mood, some in words.items() for word in some.split()]
    with gzip.open(folder / "shop.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "sentiment"])
        rows = [(f"{word} {number} {number * 7919} {mood[::-1]}", mood) for number in range(90) for word, mood in pairs]
        writer.writerows([number, text, mood] for number, (text, mood) in enumerate(rows))
    return folder


def call(*arguments: object) -> Result:
    return CliRunner().invoke(train_command, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def runs(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for language in ("zh", "en"):
        where = ["--data", data, "--language", language, "--work", folder / language, "--start", base]
        done = call("fit", *where, "--layers", "0,3", "--vocabulary", 10_000, *QUICK)
        assert done.exit_code == 0, done.output
    return {language: folder / language for language in ("zh", "en")}


def test_two_runs_become_a_bundle_that_serves(runs: dict[str, Path], data: Path, tmp_path: Path) -> None:
    done = call("bundle", "--data", data, "--zh", runs["zh"], "--en", runs["en"], "--out", tmp_path / "mine-1")
    assert done.exit_code == 0, done.output
    manifest = read_manifest(tmp_path / "mine-1", text_version=TEXT_VERSION)
    assert set(manifest.encoders) == {"zh", "en"}
    assert manifest.licences["shop"] == "your own data"
    assert manifest.metrics["shop"]["labelled"] > 5
    assert "zh/model.safetensors" in manifest.weights
    assert "mine-1" in (tmp_path / "mine-1" / "README.md").read_text("utf-8")
    load_scorer(str(tmp_path / "mine-1")).check_canary()
    again = call("bundle", "--data", data, "--zh", runs["zh"], "--en", runs["en"], "--out", tmp_path / "mine-1")
    assert again.exit_code
    assert "never written over" in again.output


def test_a_run_tells_what_was_asked_for_and_goes_on_by_its_folder(base: Path, data: Path, tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, tokens_per_batch=1024, max_tokens=48, precision="fp32", threads=1, checkpoint_every=2)
    job = Job(
        language="en", data=str(data), start=str(base), layers=(0, 3), vocabulary=10_000, scale=0.02, recipe=recipe
    )
    fit(job, tmp_path / "work", stop_after=3)
    assert json.loads((tmp_path / "work" / "run.json").read_text())["layers"] == [0, 3]
    assert not (tmp_path / "work" / "model").exists()
    done = call("resume", tmp_path / "work", "--threads", 1)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "work" / "model" / "model.safetensors").exists()
    with pytest.raises(BundleError, match="differs in layers"):
        fit(
            Job(language="en", data=str(data), start=str(base), vocabulary=10_000, scale=0.02, recipe=recipe),
            tmp_path / "work",
        )
    nothing = call("resume", tmp_path)
    assert nothing.exit_code
    assert "holds no run.json" in nothing.output


def opinions(rows: list[Row]) -> list[tuple[float, ...]]:
    return [row.teacher for row in rows if row.teacher]


def test_a_student_learns_from_a_teacher_that_is_asked_once(runs: dict[str, Path], data: Path, tmp_path: Path) -> None:
    where = ["--data", data, "--language", "en", "--work", tmp_path / "small", "--layers", "1"]
    done = call("distill", *where, "--teacher", runs["en"] / "model", *QUICK)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "small" / "student" / "config.json").read_text())["num_hidden_layers"] == 1
    rows = list(read_own_turns())[:50]
    cache = tmp_path / "cache"
    first = teach([runs["en"] / "model", runs["en"] / "model"], rows, cache)
    [file] = cache.iterdir()
    stamp = file.stat().st_mtime_ns
    again = teach([runs["en"] / "model"], rows[::-1], cache)
    assert file.stat().st_mtime_ns == stamp, "asked again"
    assert np.allclose(opinions(first), opinions(again[::-1]))
    other = teach([runs["zh"] / "model"], rows, cache)
    assert not np.allclose(opinions(first), opinions(other)), "another teacher's opinion"
    assert len(list(cache.iterdir())) == 2


def test_runs_that_do_not_belong_into_a_bundle_are_refused(runs: dict[str, Path], data: Path, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "never"]
    swapped = call("bundle", "--data", data, "--zh", runs["en"], "--en", runs["zh"], *out)
    assert "is a run for en, not for zh" in " ".join(swapped.output.split())
    shutil.copytree(data, tmp_path / "more")
    more = "".join(f"so {number} is fine by me {number * 31},pos\n" for number in range(200))
    (tmp_path / "more" / "new.csv").write_text("text,sentiment\n" + more, "utf-8")
    grown = call("bundle", "--data", tmp_path / "more", "--zh", runs["zh"], "--en", runs["en"], *out)
    assert "held back other rows" in " ".join(grown.output.split())
    shutil.copytree(runs["en"], tmp_path / "cut-off")
    shutil.rmtree(tmp_path / "cut-off" / "model")
    unfinished = call("bundle", "--data", data, "--zh", runs["zh"], "--en", tmp_path / "cut-off", *out)
    assert "has not ended" in " ".join(unfinished.output.split())
    assert not (tmp_path / "never").exists()


def test_a_cut_tells_what_is_left(base: Path, data: Path, tmp_path: Path) -> None:
    where = [base, "--data", data, "--language", "en", "--out", tmp_path / "small"]
    done = call("cut", *where, "--layers", "0,2", "--vocabulary", 300)
    assert done.exit_code == 0, done.output
    before, after = done.output.splitlines()[-2:]
    assert "4 layers" in before
    assert "2 layers" in after
    assert json.loads((tmp_path / "small" / "config.json").read_text())["num_hidden_layers"] == 2
    assert "name another folder" in call("cut", *where).output


def test_wrong_layers_are_one_line(data: Path, tmp_path: Path) -> None:
    done = call("fit", "--data", data, "--language", "zh", "--work", tmp_path / "w", "--layers", "first")
    assert done.exit_code == 2
    assert "no list of layer numbers" in done.output
