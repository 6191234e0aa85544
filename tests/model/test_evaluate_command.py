"""`moodstream train evaluate` on a tiny bundle: figures, JSON, report; mistakes of the caller in one line."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemas.bundle import BundleError
from stream_app.errors import SetupError
from trainer.commands import train as train_command


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    with gzip.open(folder / "shop.csv.gz", "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "lang", "text", "sentiment", "anger"])
        for n in range(90):
            text = f"order {'xyzw'[n % 4] * (n % 9 + 1)} {chr(97 + n % 26) * 3} {n * 7919}"
            writer.writerow([f"shop-{n}", "en", text, ("neg", "neu", "pos")[n % 3], n % 2])
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(train_command, ["evaluate", *map(str, arguments)])


def test_it_tells_writes_and_draws(shared_bundle: Path, data: Path, tmp_path: Path) -> None:
    cases = Path(__file__).parent / "behaviour" / "cases.jsonl"
    html, as_json = tmp_path / "report.html", tmp_path / "figures.json"
    before = {path.name: path.read_bytes() for path in shared_bundle.iterdir()}
    wanted = ("--rows", "all", "--resamples", 50, "--behaviour", cases, "--html", html, "--json", as_json)
    done = run(shared_bundle, "--data", data, *wanted)
    assert done.exit_code == 0, done.output
    assert "shop" in done.output
    assert "behaviour:" in done.output
    told = json.loads(as_json.read_bytes())
    shop = next(part for part in told["evaluation"]["slices"] if part["name"] == "shop")
    assert shop["figures"]["accuracy"]["low"] <= shop["figures"]["accuracy"]["high"]
    assert told["behaviour"]["overall"]["cases"] > 200
    assert "data:image/png" in html.read_text("utf-8")
    assert before == {path.name: path.read_bytes() for path in shared_bundle.iterdir()}


def test_a_limit_holds_for_every_source(shared_bundle: Path, data: Path, tmp_path: Path) -> None:
    as_json = tmp_path / "figures.json"
    arguments = ("--data", data, "--rows", "all", "--resamples", 0, "--limit", 20, "--json", as_json)
    assert run(shared_bundle, *arguments).exit_code == 0
    slices = json.loads(as_json.read_bytes())["evaluation"]["slices"]
    assert {part["name"]: part["texts"] for part in slices}["shop"] == 20


def test_what_is_missing_is_said_before_minutes_of_scoring(shared_bundle: Path, data: Path, tmp_path: Path) -> None:
    nowhere = run(shared_bundle, "--data", data, "--html", tmp_path / "no" / "report.html")
    assert isinstance(nowhere.exception, SetupError)
    assert "is no folder" in str(nowhere.exception)
    assert isinstance(run(tmp_path / "nothing", "--data", data).exception, BundleError)
    broken = tmp_path / "cases.jsonl"
    broken.write_text("{}", "utf-8")
    assert isinstance(run(shared_bundle, "--data", data, "--behaviour", broken).exception, SetupError)
