"""`moodstream train report` says what is in a folder, and shows no text of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.labelled_files import write
from trainer.commands.report import report
from trainer.noise import noise_of
from trainer.report import Balance, find_conflicts, find_leaks, make_report
from trainer.rows import Row, draw
from trainer.split import Split

WORDS = {"neg": ("broken", "late", "rude"), "neu": ("when", "where", "which"), "pos": ("lovely", "quick", "kind")}
PLACES = ("kitchen", "garden", "office", "station", "market", "harbour", "school")


def record(n: int, mood: str, told: str | None = None) -> dict[str, str]:
    one, other = divmod(draw(f"{mood}{n}") % 10**8, 10**4)  # no two texts differ in one word only
    text = f"{WORDS[mood][n % 3]} {one} {PLACES[n % 7]} {other}"
    return {"text": text, "sentiment": told or mood, "anger": str(int(mood == "neg")), "lang": "en"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("shop")
    clean = [record(n, mood) for n in range(120) for mood in WORDS]
    write(data / "clean.csv", [*clean, *clean[:9], clean[0] | {"sentiment": "pos"}])
    turned = {"neg": "pos", "neu": "neg", "pos": "neu"}
    write(data / "noisy.jsonl", [record(n, mood, turned[mood]) for n in range(500, 540) for mood in WORDS])
    return data


def test_it_counts_what_is_there_and_what_duplicates_take_away(folder: Path) -> None:
    made = make_report(folder, noise_rows=0)
    clean = next(source for source in made.sources if source.source == "clean")
    assert (clean.rows, clean.labelled, clean.exact, clean.near) == (370, 370, 10, 0)
    assert 12 < clean.length_p50 < clean.length_p95 < 40
    assert Balance("clean", "en", 123, 123, 124, 124, 0, 246, 0) in made.balance
    assert made.conflicts.by_source["clean"] == 1
    assert made.missing == []
    assert not made.leaks.any()
    assert made.trained["clean"] + made.held["clean"] == 360
    assert made.fingerprint == make_report(folder, noise_rows=0).fingerprint


def test_the_noisiest_source_comes_first(folder: Path) -> None:
    made = make_report(folder)
    of_yours = [noise for noise in made.noise if noise.source != "own_turns"]
    assert [noise.source for noise in of_yours] == ["noisy", "clean"]
    assert of_yours[0].disagrees > 0.6 > 0.4 > of_yours[1].disagrees


def test_noise_of_one_mood_is_no_question() -> None:
    assert noise_of([]) == []


def test_contradictions_are_shown_as_counts() -> None:
    rows = [
        Row("a", "same", ("", None), mood, anger)  # type: ignore[arg-type]
        for mood, anger in ((0, 1.0), (0, 0.0), (2, None), (None, None))
    ]
    found = find_conflicts(rows)
    assert found.patterns == {"neg 2, pos 1": 1}
    assert (found.repeated_texts, found.in_mood, found.in_anger, found.by_source) == (1, 1, 1, {"a": 1})


def test_a_leak_is_found() -> None:
    one = Row("a", "the parcel came a week late and nobody knew why", ("", None), 0, None, group="customer:1")  # type: ignore[arg-type]
    other = one._replace(key=one.key + "!")
    leaks = find_leaks(Split([one], [other]))
    assert (leaks.texts, leaks.near_duplicates, leaks.groups) == (0, 1, 1)
    assert find_leaks(Split([one], [one])).texts == 1


def test_the_command_prints_tables_json_and_a_page_without_any_text(folder: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(folder), "--html", str(tmp_path / "report.html")]
    shown = CliRunner().invoke(report, arguments)
    assert shown.exit_code == 0, shown.output
    assert "On both sides: nothing" in shown.output
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<h2>Sources</h2>" in page
    as_json = CliRunner().invoke(report, ["--data", str(folder), "--json", "--noise-rows", "0"])
    assert json.loads(as_json.output)["leaks"] == {"texts": 0, "near_duplicates": 0, "groups": 0}
    assert not [word for word in ("kitchen", "harbour") if word in shown.output + page + as_json.output]


def test_labels_can_be_told_on_the_command_line(tmp_path: Path) -> None:
    write(tmp_path / "mine.csv", [{"text": "fine", "label": "1"}, {"text": "bad", "label": "0"}])
    told = CliRunner().invoke(
        report, ["--data", str(tmp_path), "--noise-rows", "0", "--label", "1=pos", "--label", "0=neg"]
    )
    assert told.exit_code == 0, told.output
    refused = CliRunner().invoke(report, ["--data", str(tmp_path), "--label", "1=good"])
    assert refused.exit_code == 2
    assert "1=good is not THEIRS=neg" in refused.output
