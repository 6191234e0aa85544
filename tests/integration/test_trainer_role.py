"""`worker --roles trainer`: it asks whether to train, says what came of it, and ends with the worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from stream_app.retraining import environment as variables
from stream_app.settings import ROLES, Settings, load
from tests.conftest import wait_until
from tests.integration.sql import query
from tests.worker import worker

pytestmark = pytest.mark.services


def test_a_worker_trains_only_when_it_is_asked_to() -> None:
    assert "trainer" not in ROLES
    assert load(roles="trainer,record").roles == ("trainer", "record")


def test_the_process_beside_the_worker_has_the_workers_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    here = load(kafka="k:1", database=SecretStr("postgresql://u:p@h:5/n"), roles="trainer,models", trainer_every_h=2.5)
    for name, value in variables(here).items():
        monkeypatch.setenv(name, value)
    assert load() == here


def test_the_role_asks_at_its_start_and_reports_what_came_of_it(settings: Settings, tmp_path: Path) -> None:
    with worker(settings, tmp_path, roles="trainer", log_level="debug") as running:
        wait_until(lambda: "the stand-in model" in _log(tmp_path), 90, "the first question")
        assert running.healthy()
    assert query(settings.database.get_secret_value(), "SELECT count(*) FROM training_run") == [(0,)]


def _log(folder: Path) -> str:
    return "\n".join(path.read_text("utf-8", "replace") for path in folder.glob("*.log"))
