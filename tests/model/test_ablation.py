"""The bench of small trainings: it trains what differs, keeps what is finished, and prints one table."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.bench import ablation
from trainer.recipe import Recipe


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    moods = {"neg": "差", "neu": "问", "pos": "好"}
    texts = [
        (f"{word}{place}{thing}{n}号", mood)
        for mood, word in moods.items()
        for place in "东西南北"
        for thing in ("快递", "客服", "衣服", "手机")
        for n in range(6)
    ]
    with (folder / "shop.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "sentiment"])
        writer.writerows(texts)
    return folder


def test_two_variants_become_two_rows_and_a_second_call_trains_nothing(
    data: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "base_model", lambda language: base)
    monkeypatch.setattr(ablation, "RECIPE", Recipe(epochs=1, precision="fp32", threads=1, max_tokens=32))
    monkeypatch.setattr("trainer.split.read_own_turns", list)
    names = ["zh, all of it", "without augmentation"]
    arguments = [*names, "--data", str(data), "--work", str(tmp_path / "work"), "--share", "1"]

    first = CliRunner().invoke(ablation.main, arguments, catch_exceptions=False)
    monkeypatch.setattr(ablation, "train_and_measure", None)
    again = CliRunner().invoke(ablation.main, arguments, catch_exceptions=False)

    assert first.exit_code == 0
    *_, one, other = first.stdout.splitlines()
    assert [row.split(" | ")[0] for row in (one, other)] == [f"| {name}" for name in names]
    assert again.stdout.splitlines()[-2:] == [one, other]
