"""`moodstream train evaluate` on a tiny bundle: figures, JSON, report; mistakes of the caller in one line."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.model.tiny import change_manifest
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


def texts_by_source(as_json: Path) -> dict[str, int]:
    slices = json.loads(as_json.read_bytes())["evaluation"]["slices"]
    return {part["name"]: part["texts"] for part in slices if part["dimension"] in ("all", "source")}


def test_all_rows_are_those_of_the_files_and_no_other(shared_bundle: Path, tmp_path: Path) -> None:
    """No turn of ours, no quota, and a text that stands there three times counts three times."""
    data, as_json = tmp_path / "data", tmp_path / "figures.json"
    data.mkdir()
    told = [f"the parcel number {n} came {n * n} late,neg" for n in range(40)] * 3 + ["nobody labelled this one,"]
    (data / "mine.csv").write_text("\n".join(["text,sentiment", *told]), "utf-8")
    done = run(shared_bundle, "--data", data, "--rows", "all", "--resamples", 0, "--json", as_json)
    assert done.exit_code == 0, done.output
    assert texts_by_source(as_json) == {"all": 121, "mine": 121}


def test_rows_that_the_bundle_may_have_learned_are_no_secret(bundle: Path, data: Path) -> None:
    change_manifest(bundle, held_back="of other rows")
    done = run(bundle, "--data", data, "--rows", "held", "--limit", 5, "--resamples", 0)
    assert done.exit_code == 0, done.output
    assert "note: tiny was made holding back other rows: it may have learned some of these" in done.stderr


def test_the_files_own_labels_can_be_told(shared_bundle: Path, tmp_path: Path) -> None:
    data, as_json = tmp_path / "data", tmp_path / "figures.json"
    data.mkdir()
    rows = [f"the parcel number {n} came {n * n} late,{n % 2}" for n in range(800)]
    (data / "mine.csv").write_text("\n".join(["text,label", *rows]), "utf-8")
    labels = ("--label", "0=neg", "--label", "1=pos", "--resamples", 0, "--json", as_json)
    for part in ("all", "held"):
        done = run(shared_bundle, "--data", data, "--rows", part, *labels)
        assert done.exit_code == 0, done.output
        assert "accuracy" in done.output
    assert texts_by_source(as_json)["mine"] < 800
    unknown = run(shared_bundle, "--data", data, "--label", "1=good")
    assert unknown.exit_code == 2
    assert "1=good is not THEIRS=neg" in unknown.output


def test_what_is_missing_is_said_before_minutes_of_scoring(shared_bundle: Path, data: Path, tmp_path: Path) -> None:
    nowhere = run(shared_bundle, "--data", data, "--html", tmp_path / "no" / "report.html")
    assert nowhere.exit_code == 1
    assert "is no folder" in nowhere.output
    nothing = run(tmp_path / "nothing", "--data", data)
    assert nothing.exit_code == 1
    assert "nothing" in nothing.output
    broken = tmp_path / "cases.jsonl"
    broken.write_text("{}", "utf-8")
    refused = run(shared_bundle, "--data", data, "--behaviour", broken)
    assert refused.exit_code == 1
    assert "cases.jsonl" in refused.output
