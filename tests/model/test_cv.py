"""Cross-validation with a tiny student: no model is measured on rows it saw, and a kill costs no finished fold."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream_app.errors import SetupError
from stream_app.text.model_input import ModelInput
from trainer.commands import train as train_command
from trainer.cv import split_folds, spread
from trainer.rows import Row, group_of

QUICK = ("--epochs", "1", "--precision", "fp32", "--threads", "1", "--max-tokens", "48", "--scale", "0.003",
         "--layers", "0,3", "--learning-rate", "0.003", "--augment", "0")  # fmt: skip


def rows(count: int, conversations: int) -> list[Row]:
    made = []
    for i in range(count):
        group = group_of(conversation=str(i % conversations)) if conversations else ""
        made.append(Row("shop", f"k{i}", ModelInput(f"text {i}", None), i % 3, float(i % 2), group=group))
    return made


def test_every_row_is_held_out_once_and_never_trained_on_then() -> None:
    folds = list(split_folds(rows(300, 0), 5))
    assert sorted(row.key for fold in folds for row in fold.held) == sorted(row.key for row in rows(300, 0))
    for fold in folds:
        assert not {row.key for row in fold.held} & {row.key for row in fold.train}
        assert len(fold.held) + len(fold.train) == 300
        assert 30 <= len(fold.held) <= 90


def test_a_conversation_is_in_one_fold() -> None:
    for fold in split_folds(rows(300, 40), 4):
        assert not {row.group for row in fold.held} & {row.group for row in fold.train}


def test_folds_do_not_depend_on_the_order_of_the_rows() -> None:
    one, other = (list(split_folds(some, 3)) for some in (rows(90, 20), rows(90, 20)[::-1]))
    assert [{row.key for row in fold.held} for fold in one] == [{row.key for row in fold.held} for fold in other]


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(SetupError, match="300 labelled rows in 2 groups do not fill 5 folds"):
        list(split_folds(rows(300, 2), 5))


def test_a_fold_without_a_mood_to_train_on_is_refused() -> None:
    with pytest.raises(SetupError, match="labelled neg"):
        list(split_folds([row._replace(sentiment=2) for row in rows(60, 0)], 3))


def test_spread_is_mean_and_sample_deviation_over_the_folds_that_know_the_figure() -> None:
    found = spread([{"all": {"accuracy": 0.8}}, {"all": {"accuracy": 0.9, "anger_auc": 0.7}}])["all"]
    assert found["accuracy"] == (0.85, 0.0707, 2)
    assert found["anger_auc"] == (0.7, 0.0, 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    words = {"neg": "broken late bad", "neu": "when where order", "pos": "good nice love"}
    pairs = [(word, mood) for mood, some in words.items() for word in some.split()]
    names = ("anna", "ben", "carla", "dora", "emil", "fritz", "gerda", "hans", "ida", "jakob", "karl", "lena")
    texts = [
        (f"{word} said {name} of the {word} {other}", mood)
        for name in names
        for other in names[:4]
        for word, mood in pairs
    ]
    with gzip.open(folder / "shop.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "lang", "text", "sentiment", "anger"])
        writer.writerows([f"shop-{n}", "en", text, mood, ""] for n, (text, mood) in enumerate(texts))
    return folder


def run(data: Path, base: Path, work: Path, *more: str) -> Result:
    arguments = ("--data", data, "--language", "en", "--start", base, "--work", work, "--folds", 2, *QUICK, *more)
    return CliRunner().invoke(train_command, ["cv", *map(str, arguments)])


@pytest.fixture(scope="module")
def finished(data: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    work = tmp_path_factory.mktemp("cv") / "work"
    return work, run(data, base, work, "--json", str(work.with_suffix(".json")))


def test_the_command_trains_every_fold_and_tells_mean_and_deviation(finished: tuple[Path, Result]) -> None:
    work, done = finished
    assert done.exit_code == 0, done.output
    assert "fold 2 of 2" in done.output
    assert "±" in done.output
    found = json.loads(work.with_suffix(".json").read_bytes())
    folds = [json.loads((work / f"fold-{i}" / "figures.json").read_bytes())["all"]["accuracy"] for i in range(2)]
    assert found["all"]["accuracy"][0] == pytest.approx(sum(folds) / 2, abs=1e-4)
    assert found["all"]["accuracy"][2] == 2
    assert not list(work.glob("fold-*/checkpoint.pt"))


def test_a_finished_fold_is_read_and_an_unfinished_one_gives_the_same_again(
    finished: tuple[Path, Result], data: Path, base: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    shutil.copytree(finished[0], work)
    expected = json.loads((work / "fold-1" / "figures.json").read_bytes())
    (work / "fold-0" / "figures.json").write_text('{"all": {"accuracy": 0.125}}', "utf-8")
    shutil.rmtree(work / "fold-1")
    again = run(data, base, work)
    assert again.exit_code == 0, again.output
    assert "accuracy 0.125" in again.output
    assert json.loads((work / "fold-1" / "figures.json").read_bytes()) == expected


def test_a_folder_of_another_cross_validation_is_refused(finished: tuple[Path, Result], data: Path, base: Path) -> None:
    other = run(data, base, finished[0], "--epochs", "3")
    assert other.exit_code
    assert "name an empty folder" in " ".join(other.output.split())
