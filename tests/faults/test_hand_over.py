"""Models change under load: no event is lost, doubled, or scored by a model that is not whole."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import decode
from schemas.events import SentimentScored
from schemas.topics import SENTIMENT
from stream_app.commands.models.serving import Announcer
from stream_app.flow.kafka.admin import Admin
from stream_app.scoring.load import load_scorer
from stream_app.serving.confirm import SERVES, confirmed
from stream_app.serving.moves import announcement, promote
from stream_app.serving.registry import Registry
from stream_app.settings import Settings
from stream_app.text.model_input import ModelInput
from tests.conftest import wait_until
from tests.fakes_models import bundle
from tests.faults.world import Load, Workers, assert_each_exactly_once, topic, wait_until_drained, workers
from tests.worker import environment

pytestmark = [pytest.mark.services, pytest.mark.faults, pytest.mark.timeout(600)]

ROLLBACK_S = 10.0


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return {name: bundle(folder, name, seed) for seed, name in enumerate(("a", "b"))}


@dataclass
class Moves:
    """Runs `moodstream models …` as people do, and remembers who must have served when."""

    settings: Settings
    quiet: list[tuple[datetime, str]] = field(default_factory=list)  # from then on this model alone, till the next
    begun: list[datetime] = field(default_factory=list)

    def make(self, *arguments: str, wait_s: float) -> dict[str, Any]:
        """What the command reports, with the seconds from its start to the last worker's confirmation."""
        self.begun.append(datetime.now(UTC))
        began = time.monotonic()
        ran = subprocess.run(
            [sys.executable, "-m", "stream_app", "models", *arguments, "--reason", "test", "--wait", str(wait_s),
             "--json"],
            env=environment(self.settings), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        took = time.monotonic() - began
        assert ran.returncode == 0, ran.stdout + ran.stderr
        report: dict[str, Any] = json.loads(ran.stdout)
        self.quiet.append((datetime.now(UTC), report["model"]))
        print(f"{arguments[0]}: {report['model']} serves on {len(report['serving'])} workers after {took:.1f} s")
        return report | {"took": took}

    def assert_nobody_else_served(self, scored: list[SentimentScored]) -> None:
        ends = [*self.begun[1:], datetime.max.replace(tzinfo=UTC)]
        for (since, model), until in zip(self.quiet, ends, strict=True):
            others = [event for event in scored if since < event.scored_at < until and event.model != model]
            assert others == [], f"{len(others)} events not scored by {model}, which all workers had confirmed"


def wait_for_two(settings: Settings) -> None:
    """Both score. A start takes seconds, and minutes where other suites run on the same cores."""
    admin = Admin(settings)
    wait_until(lambda: len(admin.members(f"{settings.group}-score")) == 2, 180, "two workers")


@contextmanager
def two_workers_under_load(settings: Settings, folder: Path, model: Path) -> Iterator[tuple[Workers, Load]]:
    """Ended when every event is scored, alerted on and recorded."""
    load = Load(settings, 300.0)
    with workers(settings, 2, folder, model=str(model)) as running:
        wait_for_two(settings)
        load.start()
        try:
            yield running, load
        finally:
            load.finish()
        wait_until_drained(settings, load, within_s=120)
        running.stop()


def assert_scored_by_whole_models(settings: Settings, bundles: dict[str, Path]) -> list[SentimentScored]:
    """Each event has the scores that the model it names gives, and both models had their share."""
    events = [decode(SENTIMENT.name, delivery.value) for delivery in topic(settings, SENTIMENT.name)]
    scored = [event for event in events if isinstance(event, SentimentScored)]
    for name, folder in bundles.items():
        own = [event for event in scored if event.model == name]
        assert len(own) > 100, f"{name} scored {len(own)} of {len(scored)}"
        scorer = load_scorer(str(folder))
        for event, scores in zip(own, scorer.score([ModelInput(event.text, None) for event in own]), strict=True):
            found = (event.negative, event.neutral, event.positive, event.anger)
            assert found == pytest.approx(tuple(scores), abs=1e-4), f"{event.event_id} by {name}"
        scorer.close()
    assert {event.model for event in scored} == bundles.keys()
    return scored


def test_the_two_models_differ_or_this_file_proves_nothing(bundles: dict[str, Path]) -> None:
    texts = [ModelInput(text, None) for text in ("质量很差，不好用 1", "great, thanks! 2", "什么时候发货 3")]
    one, other = (load_scorer(str(folder)).score(texts) for folder in bundles.values())

    assert all(max(abs(x - y) for x, y in zip(*pair, strict=True)) > 1e-3 for pair in zip(one, other, strict=True))


def test_promotion_and_rollback_under_load_lose_double_and_half_load_nothing(
    settings: Settings, tmp_path: Path, bundles: dict[str, Path]
) -> None:
    moves = Moves(settings)
    with two_workers_under_load(settings, tmp_path, bundles["a"]) as (_, load):
        moves.make("promote", str(bundles["a"]), wait_s=60)
        time.sleep(2)  # some load for each model, however much
        moves.make("promote", str(bundles["b"]), wait_s=60)
        time.sleep(2)
        back = moves.make("rollback", wait_s=ROLLBACK_S)
        time.sleep(2)

    assert (back["model"], len(back["serving"])) == ("a", 2)
    assert back["took"] <= ROLLBACK_S
    print(assert_each_exactly_once(settings, load))
    moves.assert_nobody_else_served(assert_scored_by_whole_models(settings, bundles))


def test_a_worker_killed_while_models_change_changes_nothing(
    settings: Settings, tmp_path: Path, bundles: dict[str, Path]
) -> None:
    chance = random.Random(4)
    moves = Moves(settings)
    registry = Registry(settings.database.get_secret_value())
    with two_workers_under_load(settings, tmp_path, bundles["a"]) as (running, load):
        for name in ("b", "a"):
            entry = registry.register(bundles[name], "test")
            moves.begun.append(datetime.now(UTC))
            announce = Announcer(settings)
            made = promote(registry, announce, name, "test", "test")
            time.sleep(chance.uniform(0.0, 0.6))  # before, while and after it is heard, loaded and switched to
            running.kill_one(chance)
            time.sleep(7)  # its membership ends, or it is back before
            wait_for_two(settings)
            answers = confirmed(settings, announcement(made, entry), announce.answers_from, 60)
            assert list(answers.values()) == [SERVES, SERVES], answers
            print(f"{name} serves on {len(answers)} workers, one of which was killed: {running.starts} starts")
            moves.quiet.append((datetime.now(UTC), name))
            time.sleep(2)  # some load for each model, however much

    print(f"{running.starts} starts, {assert_each_exactly_once(settings, load)}")
    moves.assert_nobody_else_served(assert_scored_by_whole_models(settings, bundles))
