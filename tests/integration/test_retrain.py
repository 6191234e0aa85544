"""A turn of the loop on real servers: labels arrive, a candidate is trained, judged, and serves or does not.

The champion is a tiny untrained model, so that a minute of training is a gain and none is not.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace as changed

from schemas import codec
from schemas.bundle import BundleError, read_manifest
from schemas.events import Label, LabelGiven, ModelPromoted
from schemas.topics import MODELS
from stream_app.errors import NeighbourDown
from stream_app.flow.kafka.reader import read
from stream_app.recording.record import RecordStage
from stream_app.scoring.load import load_scorer
from stream_app.serving.registry import Registry
from stream_app.settings import Settings
from stream_app.text.model_input import TEXT_VERSION
from tests.conftest import wait_until
from tests.integration.conftest import GROUP
from tests.integration.sql import query
from tests.integration.stored import contents
from tests.model.tiny import change_manifest, tiny_base, tiny_bundle
from tests.recorded_events import on
from tests.scored_events import NOON, minutes, review
from tests.worker import environment
from trainer.continue_training import RECIPE
from trainer.corpus import read_own_turns
from trainer.database import Database
from trainer.queue import Busy, Queue
from trainer.retrain import Outcome, Plan, retrain

pytestmark = [pytest.mark.services, pytest.mark.timeout(240)]

NOW = NOON + timedelta(hours=4)
LEARNS = replace(
    RECIPE, epochs=4, learning_rate=5e-3, head_rate=2.0, tokens_per_batch=1024, precision="fp32", threads=1, augment=0.0
)
LEARNS_NOTHING = replace(LEARNS, epochs=1, learning_rate=1e-12)
SAID: dict[Label, tuple[str, str]] = {
    "negative": ("坏坏坏", "bad bad bad"),
    "neutral": ("问问问", "why why why"),
    "positive": ("好好好", "yes yes yes"),
}
CUSTOMERS = 500


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Knows nothing, and never alarms."""
    folder = tmp_path_factory.mktemp("champion")
    made = tiny_bundle(folder / "tiny", tiny_base(folder / "base"))
    change_manifest(made, decisions={"anger_threshold": 0.9999})
    return made


@pytest.fixture
def product(settings: Settings, champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Customers have said three things each, half of them in Chinese, and somebody has labelled all of it."""
    events: list[Any] = []
    random = Random(1)
    # a twentieth of the project's own turns: what is tested is the loop, not what it learns from them
    monkeypatch.setattr("trainer.replay.read_own_turns", lambda: islice(read_own_turns(), 0, None, 20))
    for customer in range(CUSTOMERS):
        for mood, texts in SAID.items():
            event = changed(
                review(f"{customer}-{mood}", 0.1, minutes(customer / 10), text=texts[customer % 2] + padding(random)),
                customer=f"customer-{customer}",
                text_version=TEXT_VERSION,
            )
            label = LabelGiven(
                label_id=event.event_id, event_id=event.event_id, event_time=event.event_time, given_at=minutes(100),
                given_by="dana", origin="console", sentiment=mood, angry=mood == "negative" and customer % 2 == 0,
            )  # fmt: skip
            events += [event, label]
    with closing(RecordStage(settings.database.get_secret_value(), GROUP)) as stage:
        topics = [("labels" if isinstance(event, LabelGiven) else "sentiment") for event in events]
        stage.settle([on(topic, event, place) for place, (topic, event) in enumerate(zip(topics, events, strict=True))])
    return settings.model_copy(update={"model": str(champion), "trainer_models": tmp_path / "models"})


def padding(random: Random) -> str:
    """Letters that mean nothing and make every text unlike the others."""
    return " " + "".join(random.choices("cfgjklmnpqrtuvz", k=12))


def turn(product: Settings, **given: Any) -> Outcome:
    said: list[str] = []
    plan = Plan(
        as_of=NOW, models=product.trainer_models, min_labels=100, max_age=timedelta(days=30), recipe=LEARNS, **given
    )
    outcome = retrain(plan, product, lambda: datetime.now(UTC), said.append)
    return outcome._replace(reason="\n".join([*said, outcome.reason]))


def runs(product: Settings) -> list[dict[str, Any]]:
    columns = ["run_id", "trigger", "state", "as_of", "champion", "candidate", "rows", "verdict", "error", "ended_at"]
    columns += ["candidate_path", "data_fingerprint"]
    found = query(
        product.database.get_secret_value(), f"SELECT {', '.join(columns)} FROM training_run ORDER BY started_at"
    )
    return [dict(zip(columns, row, strict=True)) for row in found]


def promotions(product: Settings) -> list[ModelPromoted]:
    said = (codec.decode(MODELS.name, delivery.value) for delivery in read(product, [MODELS.name]) if delivery)
    return [promoted for promoted in said if isinstance(promoted, ModelPromoted)]


def command(product: Settings, *options: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stream_app", "retrain", "--as-of", NOW.isoformat(), *options],
        env=environment(product, trainer_models=str(product.trainer_models), **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_labels_arrive_and_a_better_model_serves(product: Settings) -> None:
    outcome = turn(product)

    assert outcome.state == "promoted", outcome.reason
    [run] = runs(product)
    assert (run["trigger"], run["state"], run["champion"], run["as_of"]) == ("labels", "promoted", "tiny", NOW)
    assert run["verdict"]["passed"]
    assert {"gain", "text version", "finite scores"} <= {each["name"] for each in run["verdict"]["criteria"]}
    assert run["ended_at"]
    assert run["data_fingerprint"]
    # the registry, the topic and the folder agree
    entry = Registry(product.database.get_secret_value()).champion()
    assert entry
    [promoted] = promotions(product)
    assert (promoted.model, promoted.path) == (entry.model, entry.path) == (run["candidate"], run["candidate_path"])
    assert promoted.promoted_by == "moodstream retrain"
    assert "better than tiny" in promoted.reason
    folder = Path(entry.path)
    assert folder.parent == product.trainer_models.resolve()
    assert read_manifest(folder).training["continued_from"] == "tiny"
    load_scorer(str(folder)).check_canary()
    assert not list((product.trainer_models / ".runs").glob("*"))

    again = turn(product)
    assert again.state == "not due"
    assert "0 of 100 new labels" in again.reason


def test_a_candidate_that_is_no_better_is_refused_and_the_verdict_is_kept(product: Settings) -> None:
    plan = Plan(NOW, product.trainer_models, 100, timedelta(days=30), recipe=LEARNS_NOTHING)
    outcome = retrain(plan, product, lambda: datetime.now(UTC), print)

    assert outcome.state == "refused"
    [run] = runs(product)
    assert run["state"] == "refused"
    assert "gain" in [each["name"] for each in run["verdict"]["criteria"] if not each["passed"]]
    assert promotions(product) == []
    assert Registry(product.database.get_secret_value()).champion() is None
    assert Path(run["candidate_path"]).name == "refused"  # for whoever wants to know why
    assert retrain(plan, product, lambda: datetime.now(UTC), print).state == "not due"  # its labels had their chance


def test_a_dry_run_judges_and_changes_nothing(product: Settings) -> None:
    before = contents(product.database.get_secret_value())
    outcome = turn(product, dry_run=True)
    assert outcome.state == "passed", outcome.reason
    assert outcome.verdict
    assert contents(product.database.get_secret_value()) == before
    assert promotions(product) == []
    assert not product.trainer_models.exists()


def test_without_enough_labels_nothing_is_due_and_a_person_may_insist(product: Settings) -> None:
    early = Plan(minutes(99), product.trainer_models, 100, timedelta(days=30), recipe=LEARNS_NOTHING)
    assert retrain(early, product, lambda: datetime.now(UTC), print).state == "not due"
    assert runs(product) == []
    outcome = turn(product, by_hand=True, promote=False)
    assert outcome.state == "passed"
    assert [(run["trigger"], run["state"]) for run in runs(product)] == [("hand", "passed")]
    registry = Registry(product.database.get_secret_value())
    assert [entry.model for entry in registry.list()] == [runs(product)[0]["candidate"]]
    assert registry.champion() is None  # left to a person


def test_of_two_that_start_at_once_one_trains_and_the_other_says_so(product: Settings) -> None:
    both = [command(product, "--force", "--no-promote", "--json") for _ in range(2)]
    try:
        wait_until(lambda: any(process.poll() is not None for process in both), 150, "one of them to give way")
        [waited] = [process for process in both if process.poll() is not None]  # the other is training
        out, said = waited.communicate()
        assert waited.returncode == 4, said
        assert json.loads(out)["state"] == "busy"
        assert "is at work" in json.loads(out)["reason"]
        assert [run["state"] for run in runs(product)] == ["running"]
    finally:
        for process in both:
            process.kill()
            process.communicate()


def test_a_killed_run_blocks_nobody_and_the_next_call_goes_on_with_it(product: Settings) -> None:
    killed = command(product, "--force", "--no-promote")
    try:
        wait_until(lambda: any(product.trainer_models.glob(".runs/*/*/*")), 120, "the training to begin")
    finally:
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
    [left] = runs(product)
    assert left["state"] == "running"

    queue = Queue(Database(product.database.get_secret_value()), lambda: datetime.now(UTC))
    wait_until(lambda: _is_free(queue), 30, "PostgreSQL to notice")
    outcome = turn(product)

    assert f"going on with run {left['run_id']}" in outcome.reason
    [run] = runs(product)
    assert (run["run_id"], run["state"]) == (left["run_id"], outcome.state)
    assert run["as_of"] == NOW  # the moment of the run that was killed


def _is_free(queue: Queue) -> bool:
    try:
        with queue.turn():
            return True
    except Busy:
        return False


def test_a_run_left_behind_is_closed_when_another_model_serves_by_now(product: Settings) -> None:
    queue = Queue(Database(product.database.get_secret_value()), lambda: datetime.now(UTC))
    with queue.turn() as held:
        held.begin("labels", NOW, "a model of yesterday")
    assert turn(product).state == "promoted"
    died, ran = runs(product)
    assert died["state"] == "failed"
    assert "tiny has become the champion since" in died["error"]
    assert ran["state"] == "promoted"


def test_a_champion_that_cannot_be_trained_fails_the_run_in_one_line(
    product: Settings, champion: Path, tmp_path: Path
) -> None:
    imported = tmp_path / "imported"
    subprocess.run(["cp", "-r", champion, imported], check=True)
    change_manifest(imported, architecture="transformer", name="imported")
    with pytest.raises(BundleError, match="was not made by this trainer"):
        turn(product.model_copy(update={"model": str(imported)}))
    [run] = runs(product)
    assert run["state"] == "failed"
    assert "was not made by this trainer" in run["error"]
    assert turn(product).state == "promoted"  # and blocks nobody


def test_a_promotion_that_kafka_never_heard_of_is_finished_by_the_next_call(product: Settings) -> None:
    deaf = product.model_copy(update={"kafka": "127.0.0.1:1"})
    with pytest.raises(NeighbourDown):
        turn(deaf)
    assert [run["state"] for run in runs(product)] == ["running"]

    outcome = turn(product)

    assert outcome.state == "promoted"
    assert "was cut off after" in outcome.reason
    [run] = runs(product)
    assert run["state"] == "promoted"
    assert run["verdict"]["passed"]
    assert [promoted.model for promoted in promotions(product)] == [run["candidate"]]


def test_a_run_closed_by_somebody_else_promotes_nothing(product: Settings) -> None:
    queue = Queue(Database(product.database.get_secret_value()), lambda: datetime.now(UTC))
    with queue.turn() as held:
        run = held.begin("hand", NOW, "tiny")
        query(product.database.get_secret_value(), "UPDATE training_run SET state = 'failed'")
        with pytest.raises(Exception, match="closed by somebody else"):
            held.end(run, "promoted")


def test_a_run_cut_off_after_its_candidate_passed_is_not_measured_again(
    product: Settings, champion: Path, tmp_path: Path
) -> None:
    passed = tmp_path / "passed"
    shutil.copytree(champion, passed)
    change_manifest(passed, name="passed")
    queue = Queue(Database(product.database.get_secret_value()), lambda: datetime.now(UTC))
    with queue.turn() as held:
        held.note(held.begin("labels", NOW, "tiny"), candidate="passed", candidate_path=str(passed))

    outcome = turn(product)

    assert (outcome.state, outcome.candidate) == ("promoted", passed)
    assert [promoted.model for promoted in promotions(product)] == ["passed"]
    assert [run["state"] for run in runs(product)] == ["promoted"]


def test_postgresql_lost_during_training_leaves_the_run_to_the_next_call(product: Settings) -> None:
    url = product.database.get_secret_value()
    queue = Queue(Database(url), lambda: datetime.now(UTC))
    with queue.turn() as held:
        run = held.begin("hand", NOW, "tiny")
        query(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        with pytest.raises(NeighbourDown, match="turn is gone"):
            held.end(run, "promoted")
    assert [run["state"] for run in runs(product)] == ["running"]


def test_a_moment_that_has_not_come_is_refused_before_anything_happens(product: Settings) -> None:
    """Its verdict would be the last for ever: no label is given after it."""
    process = command(product, "--as-of", "2062-01-01", "--force")
    _, said = process.communicate()
    assert process.returncode == 2
    assert "labels given later than now are not known yet" in said
    assert runs(product) == []
