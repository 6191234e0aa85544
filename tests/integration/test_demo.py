"""The first minute: `up`, `demo`, `down`, as somebody types them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stream_app.cli import main
from stream_app.local.sample import SAMPLE
from stream_app.local.stack import running
from stream_app.settings import Settings
from tests.integration.commands import environment, one_line

pytestmark = pytest.mark.services

LINES = [json.loads(line) for line in SAMPLE.read_text().splitlines()]
MALFORMED = sum("malformed" in line for line in LINES)


def counts(stdout: str) -> dict[str, Any]:
    (line,) = stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def is_complete(found: dict[str, Any]) -> bool:
    expected = {
        "published": len(LINES),
        "scored": len(LINES) - MALFORMED,
        "dead_letters": MALFORMED,
        "rows": len(LINES) - MALFORMED,
        "lost": 0,
        "duplicates": 0,
    }
    return expected.items() <= found.items() and found["alerts"] > 0 and found["latency_ms"]["p50"] > 0


def test_every_run_of_the_demo_counts_its_own_events(settings: Settings, tmp_path: Path) -> None:
    env = environment(settings, tmp_path)
    first, second = (CliRunner().invoke(main, ["demo", "--json", "--seconds", "1"], env=env) for _ in range(2))
    assert is_complete(counts(first.stdout)), first.output
    assert is_complete(counts(second.stdout)), second.output
    assert counts(first.stdout)["alerts"] == counts(second.stdout)["alerts"]


def test_the_demo_shows_events_a_summary_and_three_answers(settings: Settings, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["demo", "--seconds", "0"], env=environment(settings, tmp_path))
    assert outcome.exit_code == 0, outcome.output
    for shown in ("anger", "▲ alert", "✗ dead letter", "what came of it", "Which products"):
        assert shown in outcome.stdout
    assert outcome.stdout.count("FROM v_sentiment") == 3


def test_a_worker_that_cannot_start_ends_the_demo_with_its_reason(settings: Settings, tmp_path: Path) -> None:
    env = environment(settings, tmp_path) | {"MOODSTREAM_MODEL": str(tmp_path / "no-bundle")}
    said = one_line(CliRunner().invoke(main, ["demo"], env=env))
    assert "no-bundle" in said
    assert "demo-worker.log" in said


def test_the_demo_starts_servers_and_stops_what_it_started(tmp_path: Path) -> None:
    env = {"MOODSTREAM_HOME": str(tmp_path), "MOODSTREAM_MODEL": "quick"}
    outcome = CliRunner().invoke(main, ["demo", "--json", "--seconds", "0"], env=env)
    assert is_complete(counts(outcome.stdout)), outcome.output
    assert running(tmp_path) is None


def test_up_twice_then_down_twice(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        outcome = CliRunner().invoke(main, arguments, env={"MOODSTREAM_HOME": str(tmp_path)})
        assert outcome.exit_code == 0, outcome.output
        return outcome.stdout

    try:
        started = json.loads(run("up", "--json"))
        assert started.keys() == {"kafka", "database", "redis", "pid"}
        told = run("up")
        assert f"MOODSTREAM_KAFKA={started['kafka']}" in told
        assert "running already" in told
        assert "topic raw.reviews: created" in run("init")  # finds the stack by itself
    finally:
        assert run("down") == "local stack stopped\n"
    assert json.loads(run("down", "--json")) == {"stopped": False}
