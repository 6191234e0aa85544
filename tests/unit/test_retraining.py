"""The role `trainer` outlives whatever its training does."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from stream_app.retraining import retrain_every_few_hours
from stream_app.settings import load


def first_turn(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One turn with this in the interpreter's place; the hours to the next are not waited for."""
    monkeypatch.setattr(sys, "executable", str(python))

    async def turn() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(retrain_every_few_hours(load(trainer_every_h=1.0)), 1.0)

    asyncio.run(turn())


def test_a_process_that_cannot_start_is_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first_turn(Path("/there/is/no/python"), monkeypatch)

    assert [record.levelno for record in caplog.records if record.name == "moodstream.trainer"] == [logging.ERROR]
    assert "training did not start" in caplog.text


@pytest.mark.parametrize("report", ["", "no JSON", "3", '{"state": "refused"}'])
def test_a_report_that_is_none_is_a_line_in_the_log(
    report: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{report}'\n")
    python.chmod(0o755)

    first_turn(python, monkeypatch)

    assert "training ended with code 0" in caplog.text
