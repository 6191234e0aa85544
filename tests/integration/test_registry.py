"""What is registered, what serves, and the way back: on a real PostgreSQL, with real bundles and real commands."""

import getpass
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from alembic import command
from click.testing import CliRunner, Result

from schemas import tables
from schemas.bundle import BundleError
from schemas.codec import decode
from schemas.events import LabelGiven, ModelPromoted
from schemas.topics import LABELS, MODELS, SERVING
from stream_app.cli import main
from stream_app.commands.models.serving import UNCONFIRMED, Announcer, tell
from stream_app.errors import NeighbourDown, SetupError
from stream_app.flow.kafka.admin import Admin
from stream_app.flow.kafka.reader import read
from stream_app.recording import migrate as migrations
from stream_app.recording.migrate import migrate, revision
from stream_app.serving.confirm import SERVES, confirmed
from stream_app.serving.moves import promote, rollback
from stream_app.serving.registry import Registry
from stream_app.settings import Settings
from tests.conftest import empty_topics, wait_until
from tests.integration.conftest import Login
from tests.integration.sql import as_login, query
from tests.integration.test_commands import at_work, environment, file, one_line, review
from tests.model.tiny import change_manifest, tiny_base, tiny_bundle
from tests.worker import worker

pytestmark = pytest.mark.services

Run = Callable[..., Result]


def bundle(folder: Path, name: str, seed: int = 0) -> Path:
    """Complete, and unlike the one of another seed."""
    made = tiny_bundle(folder / name, tiny_base(folder / f"{name}-base", seed))
    change_manifest(made, name=name, metrics={"reviews": {"macro_f1": 0.86}})
    return made


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three of them. A test that damages one makes its own."""
    folder = tmp_path_factory.mktemp("bundles")
    return {name: bundle(folder, name, seed) for seed, name in enumerate(("a", "b", "c"))}


@pytest.fixture
def registry(migrated: str, bundles: dict[str, Path]) -> Registry:
    """All three are registered."""
    made = Registry(migrated)
    for folder in bundles.values():
        made.register(folder, "dana")
    return made


class Heard(list[ModelPromoted]):
    """A `publish` that works."""

    def __call__(self, promoted: ModelPromoted) -> None:
        self.append(promoted)

    @property
    def models(self) -> list[str]:
        return [promoted.model for promoted in self]


def kafka_is_away(promoted: ModelPromoted) -> None:
    raise NeighbourDown("Kafka", "publishing to models: timed out")


# --- registering ------------------------------------------------------------------------------------------------------


def test_a_bundle_is_registered_once_however_often(migrated: str, bundles: dict[str, Path]) -> None:
    registry = Registry(migrated)

    first = registry.register(bundles["a"], "dana")
    again = registry.register(bundles["a"], "kim")

    assert again == first
    assert registry.list() == [first]
    assert (first.model, first.path, first.registered_by) == ("a", str(bundles["a"].resolve()), "dana")
    assert first.metrics == {"reviews": {"macro_f1": 0.86}}


def test_a_name_stands_for_one_content(migrated: str, bundles: dict[str, Path], tmp_path: Path) -> None:
    registry = Registry(migrated)
    registry.register(bundles["a"], "dana")
    other = bundle(tmp_path, "a", seed=9)

    with pytest.raises(SetupError, match="another bundle is registered as a"):
        registry.register(other, "dana")
    assert [entry.path for entry in registry.list()] == [str(bundles["a"].resolve())]


def test_a_bundle_that_moved_gets_its_new_path(migrated: str, tmp_path: Path) -> None:
    registry = Registry(migrated)
    folder = bundle(tmp_path, "a")
    registry.register(folder, "dana")

    moved = registry.register(folder.rename(tmp_path / "elsewhere"), "dana")

    assert [entry.path for entry in registry.list()] == [moved.path] == [str((tmp_path / "elsewhere").resolve())]


def test_what_is_no_bundle_is_not_registered(migrated: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        Registry(migrated).register(tmp_path / "nothing", "dana")


# --- promoting and going back -----------------------------------------------------------------------------------------


def test_a_promotion_is_a_row_and_a_message(registry: Registry) -> None:
    heard = Heard()

    made = promote(registry, heard, "a", "dana", "better")

    champion = registry.champion()
    assert champion is not None
    assert champion.model == "a"
    (message,) = heard
    assert (message.model, message.path, message.previous) == ("a", champion.path, None)
    assert (message.promoted_at, message.promoted_by, message.reason) == (made.promoted_at, "dana", "better")
    assert message.metrics == {"reviews.macro_f1": 0.86}
    (row,) = registry.promotions()
    assert row.announced_at is not None


def test_rollbacks_go_back_one_by_one_and_end_at_the_default_bundle(registry: Registry) -> None:
    heard = Heard()
    for model in ("a", "b", "c"):
        promote(registry, heard, model, "dana", "better")

    back = [rollback(registry, heard, "dana", "worse").model for _ in range(3)]

    assert back[:2] == ["b", "a"]
    assert heard[-1].path == "default"
    assert heard.models == ["a", "b", "c", *back]
    with pytest.raises(SetupError, match="nothing before it"):
        rollback(registry, heard, "dana", "worse")


def test_a_rollback_may_go_straight_to_an_earlier_champion(registry: Registry) -> None:
    heard = Heard()
    for model in ("a", "b", "c"):
        promote(registry, heard, model, "dana", "better")

    assert rollback(registry, heard, "dana", "worse", to="a").previous == "c"
    with pytest.raises(SetupError, match="cannot go back to b: nothing came before a"):
        rollback(registry, heard, "dana", "worse", to="b")


def test_without_a_promotion_there_is_nothing_to_go_back_from(registry: Registry) -> None:
    with pytest.raises(SetupError, match="nothing was ever promoted"):
        rollback(registry, Heard(), "dana", "worse")


def test_an_unknown_model_is_not_promoted(registry: Registry) -> None:
    with pytest.raises(SetupError, match="no model z is registered"):
        promote(registry, Heard(), "z", "dana", "better")


def test_files_that_changed_after_registration_are_not_promoted(migrated: str, tmp_path: Path) -> None:
    registry, heard = Registry(migrated), Heard()
    folder = bundle(tmp_path, "a")
    registry.register(folder, "dana")
    change_manifest(folder, decisions={"anger_threshold": 0.01})

    with pytest.raises(BundleError, match="are not those that were registered"):
        promote(registry, heard, "a", "dana", "better")
    assert (heard, registry.promotions()) == ([], [])


def test_promoting_the_champion_tells_the_workers_again_and_changes_nothing(registry: Registry) -> None:
    heard = Heard()

    promote(registry, heard, "a", "dana", "better")
    promote(registry, heard, "a", "kim", "once more")

    assert len(registry.promotions()) == 1
    assert heard[0] == heard[1]


def test_a_clock_that_goes_back_does_not_make_a_promotion_old(
    registry: Registry, migrated: str, bundles: dict[str, Path]
) -> None:
    heard = Heard()
    promote(registry, heard, "a", "dana", "better")
    behind = Registry(migrated, now=lambda: datetime.now(UTC) - timedelta(hours=1))

    promote(behind, heard, "b", "dana", "better")

    assert heard[1].promoted_at > heard[0].promoted_at


def other_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a release that came with another bundle."""
    monkeypatch.setattr("stream_app.scoring.load.BUNDLES", folder.parent)
    (folder.parent / "default").write_text(folder.name, "utf-8")


def test_a_rollback_to_the_default_bundle_goes_to_that_of_todays_release(
    registry: Registry, bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    release = {name: shutil.copytree(bundles[name], tmp_path / name) for name in ("a", "b")}
    promote(registry, heard, "c", "dana", "better")
    other_default(release["a"], monkeypatch)
    registry.register("default", "dana")
    promote(registry, heard, "a", "dana", "as shipped")
    registry.register(tmp_path / "a", "dana")  # not by this path did it serve
    registry.register("default", "dana")
    promote(registry, heard, registry.register(bundle(tmp_path, "d", seed=7), "dana").model, "dana", "better")

    other_default(release["b"], monkeypatch)
    rollback(registry, heard, "dana", "worse")

    assert (heard[-1].model, heard[-1].path) == ("b", "default")
    assert rollback(registry, heard, "dana", "worse still").model == "c", "what served before it is not lost"


def test_the_default_bundle_of_a_later_release_is_no_step_of_its_own(
    registry: Registry, bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    for name in ("a", "b"):
        other_default(shutil.copytree(bundles[name], tmp_path / name), monkeypatch)
        promote(registry, heard, registry.register("default", "dana").model, "dana", "as shipped")

    with pytest.raises(SetupError, match="b, the default bundle, serves already"):
        rollback(registry, heard, "dana", "worse")


def test_kafka_down_on_the_way_to_the_default_bundle_is_repaired_by_its_old_name(
    registry: Registry, bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    other_default(shutil.copytree(bundles["a"], tmp_path / "a"), monkeypatch)
    for model in (registry.register("default", "dana").model, "c"):
        promote(registry, heard, model, "dana", "better")
    other_default(shutil.copytree(bundles["b"], tmp_path / "b"), monkeypatch)
    with pytest.raises(NeighbourDown):
        rollback(registry, kafka_is_away, "dana", "worse", to="a")

    rollback(registry, heard, "dana", "worse", to="a")

    assert heard.models == ["a", "c", "b"]
    assert len(registry.promotions()) == 3


def test_weights_of_an_older_form_that_changed_are_not_promoted(migrated: str, tmp_path: Path) -> None:
    registry, folder = Registry(migrated), bundle(tmp_path, "a")
    (folder / "pytorch_model.bin").write_bytes(b"one")
    registry.register(folder, "dana")
    (folder / "pytorch_model.bin").write_bytes(b"two")

    with pytest.raises(BundleError, match="are not those that were registered"):
        promote(registry, Heard(), "a", "dana", "better")


# --- the bad day ------------------------------------------------------------------------------------------------------


def test_kafka_down_between_row_and_message_is_repaired_by_the_same_promotion(registry: Registry) -> None:
    heard = Heard()
    promote(registry, heard, "a", "dana", "better")
    with pytest.raises(NeighbourDown, match="run the same command again"):
        promote(registry, kafka_is_away, "b", "dana", "better still")
    (cut_off, _) = registry.promotions()
    assert (cut_off.model, cut_off.announced_at) == ("b", None)

    repaired = promote(registry, heard, "b", "dana", "better still")

    assert repaired.promotion_id == cut_off.promotion_id
    assert heard.models == ["a", "b"]
    assert len(registry.promotions()) == 2


def test_kafka_down_between_row_and_message_of_a_rollback_does_not_go_back_twice(registry: Registry) -> None:
    heard = Heard()
    for model in ("a", "b", "c"):
        promote(registry, heard, model, "dana", "better")
    with pytest.raises(NeighbourDown):
        rollback(registry, kafka_is_away, "dana", "worse")

    assert rollback(registry, heard, "dana", "worse").model == "b"
    assert heard.models == ["a", "b", "c", "b"]
    assert rollback(registry, heard, "dana", "worse").model == "a", "and only then one further"


def test_a_promotion_that_nobody_heard_of_can_be_rolled_back(registry: Registry) -> None:
    heard = Heard()
    promote(registry, heard, "a", "dana", "better")
    with pytest.raises(NeighbourDown):
        promote(registry, kafka_is_away, "b", "dana", "better still")

    assert rollback(registry, heard, "dana", "on second thoughts").model == "a"
    assert heard.models == ["a", "a"]


def test_a_rollback_passes_over_what_nobody_ever_heard_of(registry: Registry) -> None:
    heard = Heard()
    promote(registry, heard, "a", "dana", "better")
    with pytest.raises(NeighbourDown):
        promote(registry, kafka_is_away, "b", "dana", "better still")
    promote(registry, heard, "c", "dana", "better than both")

    assert rollback(registry, heard, "dana", "worse").model == "a"


def promote_slowly(url: str, model: str, log: Path) -> None:
    """In a process of its own: what was published goes to a file, in the order of publishing."""

    def publish(promoted: ModelPromoted) -> None:
        time.sleep(0.2)  # long enough for whoever does not wait for their turn
        with log.open("a") as file:
            file.write(f"{promoted.promoted_at.isoformat()} {promoted.model}\n")

    promote(Registry(url), publish, model, "dana", "better")


def test_two_promoters_at_once_take_turns(registry: Registry, migrated: str, tmp_path: Path) -> None:
    log = tmp_path / "published"
    models = ["a", "b", "c"]
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(promote_slowly, [migrated] * 3, models, [log] * 3))

    published = [line.split() for line in log.read_text().splitlines()]
    assert published == sorted(published), "messages have the order of their times"
    recorded = [(move.promoted_at.isoformat(), move.model) for move in reversed(registry.promotions())]
    assert [(datetime.fromisoformat(at).isoformat(), model) for at, model in published] == recorded
    assert sorted(model for _, model in recorded) == models


# --- migration, rights ------------------------------------------------------------------------------------------------


def test_a_database_of_the_first_revision_comes_up_with_its_data(database: str) -> None:
    with migrations._connected(database) as connection:
        command.upgrade(migrations._config(connection), "0001")
    query(database, "INSERT INTO label VALUES ('l', 'e', now(), now(), 'dana', 'cli', 'negative', true, '')")
    query(database, "INSERT INTO kafka_offset (grp, topic, kpart, next_offset) VALUES ('g', 'labels', 0, 17)")

    assert migrate(database) == revision(database)[1] == "0002"

    assert query(database, "SELECT event_id, sentiment, angry FROM v_label") == [("e", "negative", True)]
    assert query(database, "SELECT next_offset FROM kafka_offset") == [(17,)]
    assert query(database, "SELECT count(*) FROM v_promotion") == [(0,)]
    with migrations._connected(database) as connection:
        command.downgrade(migrations._config(connection), "0001")
    assert query(database, "SELECT count(*) FROM label") == [(1,)]


def test_one_training_run_at_a_time(migrated: str) -> None:
    start = (
        "INSERT INTO training_run (run_id, trigger, state, started_at, as_of, champion)"
        " VALUES (%(run)s, 'hand', 'running', now(), now(), 'a')"
    )
    query(migrated, start, run="first")

    with pytest.raises(Exception, match="ux_training_run_running"):
        query(migrated, start, run="second")
    query(migrated, "UPDATE training_run SET state = 'refused', ended_at = now()")
    query(migrated, start, run="second")


def test_a_trainer_may_register_promote_and_go_back(login: Login, registry: Registry, migrated: str) -> None:
    trainer = Registry(as_login(migrated, login(f"IN ROLE {tables.TRAINER}")))

    promote(trainer, Heard(), "a", "dana", "better")
    promote(trainer, Heard(), "b", "dana", "better")

    assert rollback(trainer, Heard(), "dana", "worse").model == "a"


def test_a_login_without_the_right_is_told_which(login: Login, registry: Registry, migrated: str) -> None:
    recorder = Registry(as_login(migrated, login(f"IN ROLE {tables.WORKER}")))

    with pytest.raises(SetupError, match="GRANT moodstream_trainer"):
        promote(recorder, Heard(), "a", "dana", "better")


def test_the_views_show_neither_folders_nor_logins(migrated: str) -> None:
    shown = query(
        migrated,
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_name IN ('v_model', 'v_promotion', 'v_training_run')",
    )
    columns = {name for (name,) in shown}

    assert columns & {"path", "candidate_path", "registered_by", "promoted_by"} == set()
    assert "error" not in columns, "what went wrong names folders"


# --- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Run:
    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, env=environment(settings, tmp_path))

    return invoke


def messages(settings: Settings) -> list[ModelPromoted]:
    found = [decode(MODELS.name, delivery.value) for delivery in read(settings, [MODELS.name]) if delivery]
    return [event for event in found if isinstance(event, ModelPromoted)]


def test_promote_list_and_roll_back_by_command(run: Run, settings: Settings, bundles: dict[str, Path]) -> None:
    first = run("models", "promote", str(bundles["a"]), "--reason", "a good start")
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines() == ["promoted a", "no worker is scoring; each serves it from its start"]
    assert run("models", "promote", str(bundles["b"]), "--reason", "better", "--by", "kim").exit_code == 0

    _, newest, older, *promotions = run("models", "list").stdout.splitlines()
    assert newest.split()[:2] == ["*", "b"]
    assert older.split()[0] == "a"
    assert older.endswith("reviews macro_f1 0.86")
    assert [line.split()[2:5] for line in promotions[2:]] == [
        ["promote", "b", "a"],
        ["promote", "a", getpass.getuser()],
    ]
    told = json.loads(run("models", "list", "--json").stdout)
    assert told["champion"] == "b"
    assert [move["promoted_by"] for move in told["promotions"]] == ["kim", getpass.getuser()]

    back = run("models", "rollback", "--reason", "worse", "--json")
    assert json.loads(back.stdout) | {"seconds": 0, "promoted_at": ""} == {
        "model": "a", "previous": "b", "promoted_at": "", "serving": [], "not_serving": {}, "unknown": None,
        "seconds": 0,
    }  # fmt: skip
    assert [event.model for event in messages(settings)][-1] == "a"


def test_a_bundle_that_cannot_serve_is_refused_before_anything_changes(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    base = tiny_base(tmp_path / "base")
    other_text = tiny_bundle(tmp_path / "other", base, text_version=999)
    damaged = tiny_bundle(tmp_path / "damaged", base)
    manifest = json.loads((damaged / "bundle.json").read_text())
    manifest["canary"][0]["anger"] = 0.5 - manifest["canary"][0]["anger"] / 2
    change_manifest(damaged, canary=manifest["canary"])
    cut_off = tiny_bundle(tmp_path / "cut", base)
    (cut_off / "model.safetensors").write_bytes(b"half")

    for folder, why in (
        (other_text, "text version 999"),
        (damaged, "canary text"),
        (cut_off, "model.safetensors"),
        (tmp_path / "nothing", "no such folder"),
    ):
        said = one_line(run("models", "promote", str(folder), "--reason", "better"))
        assert said.startswith("moodstream models promote: ")
        assert why in said
    assert run("models", "list").stdout.startswith("no model is registered")
    assert messages(settings) == []


def test_going_back_without_a_promotion_is_one_line(run: Run) -> None:
    assert "nothing was ever promoted" in one_line(run("models", "rollback", "--reason", "worse"))


def test_a_worker_that_cannot_read_the_bundle_says_why(settings: Settings, tmp_path: Path) -> None:
    promoted = ModelPromoted(
        model="a", path=str(tmp_path / "not here"), promoted_at=datetime(2026, 11, 1, tzinfo=UTC), promoted_by="dana",
        reason="better",
    )  # fmt: skip
    with worker(settings, tmp_path, roles="score,models"):
        announce = Announcer(settings)
        announce(promoted)
        answers = confirmed(settings, promoted, announce.answers_from, 20)

    assert answers.keys() == {f"{settings.group}-0"}
    assert "not here: no such folder" in answers[f"{settings.group}-0"]


def test_only_what_is_said_after_the_message_is_an_answer_to_it(settings: Settings, tmp_path: Path) -> None:
    """Promoted again, the champion has the time it had: what was said of it before must not count."""
    announce, at = Announcer(settings), datetime(2026, 11, 1, tzinfo=UTC)
    here, there = tmp_path / "here" / "a", tmp_path / "there" / "a"
    bundle(tmp_path / "made", "a")

    def promoted_again(folder: Path) -> list[str]:
        promoted = ModelPromoted(model="a", path=str(folder), promoted_at=at, promoted_by="dana", reason="better")
        announce(promoted)
        return list(confirmed(settings, promoted, announce.answers_from, 30).values())

    with worker(settings, tmp_path, roles="score,models"):
        (refused,) = promoted_again(here)
        assert "no such folder" in refused
        shutil.copytree(tmp_path / "made" / "a", here)
        assert promoted_again(here) == [SERVES], "mended"
        (refused,) = promoted_again(there)
        assert "no such folder" in refused, "moved to where nothing is"


@pytest.mark.parametrize("as_json", [False, True], ids=["for people", "for programs"])
def test_a_move_whose_answers_cannot_be_heard_is_told_all_the_same(
    settings: Settings, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    Admin(settings).delete_topics([SERVING])
    promoted = ModelPromoted(
        model="a", path="default", promoted_at=datetime(2026, 11, 1, tzinfo=UTC), promoted_by="dana", reason="better"
    )

    with pytest.raises(click.exceptions.Exit) as ended:
        tell(settings, promoted, {}, "promoted a", 1.0, as_json=as_json)

    assert ended.value.exit_code == UNCONFIRMED
    said = capsys.readouterr()
    if as_json:
        report = json.loads(said.out)
        assert (report["model"], report["serving"]) == ("a", [])
        assert "serving" in report["unknown"]
    else:
        assert said.out == "promoted a\n"
        assert said.err.startswith("it is promoted, but who serves it is not known: ")


def test_what_is_not_utf8_is_one_line(run: Run) -> None:
    for arguments in (
        ["models", "rollback", "--reason", "caf\udce9"],
        ["models", "rollback", "--reason", "worse", "--by", "caf\udce9"],
        ["models", "promote", "caf\udce9", "--reason", "better"],
        ["label", "r-1", "--calm", "--note", "caf\udce9"],
    ):
        said = one_line(run(*arguments))
        assert "this is not UTF-8" in said


def test_a_running_worker_serves_what_was_promoted_and_what_came_back(
    run: Run, settings: Settings, bundles: dict[str, Path], tmp_path: Path
) -> None:
    with worker(settings, tmp_path, roles="score,models") as running:
        for move, serves in (
            (["promote", str(bundles["a"])], "a"),
            (["promote", str(bundles["b"])], "b"),
            (["rollback"], "a"),
        ):
            outcome = run("models", *move, "--reason", "because", "--wait", "30")
            assert outcome.exit_code == 0, outcome.output
            assert outcome.stdout.splitlines()[-1].startswith("1 of 1 workers serve it after ")
            assert f'moodstream_model_info{{model="{serves}"}} 1.0' in running.get("/metrics")


def test_a_worker_that_does_not_follow_is_named(run: Run, settings: Settings, tmp_path: Path) -> None:
    folder = bundle(tmp_path, "a")
    with worker(settings, tmp_path, roles="score"):
        outcome = run("models", "promote", str(folder), "--reason", "good", "--wait", "2")

    assert outcome.exit_code == 1
    assert outcome.stdout.splitlines()[-1].startswith("0 of 1 workers serve it after ")
    assert outcome.stderr == f"{settings.group}-0 does not serve it: no answer; has it the role models?\n"


# --- labels -----------------------------------------------------------------------------------------------------------


def test_a_label_given_by_command_becomes_a_row_once(run: Run, settings: Settings, tmp_path: Path) -> None:
    url = settings.database.get_secret_value()

    def labels() -> list[tuple[object, ...]]:
        return query(url, "SELECT given_by, sentiment, angry FROM label ORDER BY given_at")

    with at_work(settings, "score", "record"):
        run("publish", file(tmp_path, review("r-1", "坏了，不好用", rating=2)), "-t", "raw.reviews")
        wait_until(lambda: query(url, "SELECT event_id FROM sentiment"), what="the event's row")
        assert query(url, "SELECT rating FROM sentiment") == [(2,)]
        for _ in range(2):
            outcome = run("label", "r-1", "-s", "neg", "--calm", "--by", "dana")
            assert outcome.exit_code == 0, outcome.output
        assert outcome.stdout.startswith("labelled r-1 negative, calm (the model said ")
        wait_until(labels, what="the label's row")
        run("label", "r-1", "-s", "neg", "--calm", "--by", "dana")
        run("label", "r-1", "--angry", "--by", "kim", "--note", "两次")
        wait_until(lambda: len(labels()) == 2, what="the second person's label")
        run("label", "r-1", "-s", "pos", "--calm", "--by", "dana")
        wait_until(lambda: len(labels()) == 3, what="a change of mind")
        run("label", "r-1", "-s", "neg", "--calm", "--by", "dana")
        wait_until(lambda: len(labels()) == 4, what="and back")

    assert labels()[0] == ("dana", "negative", False)
    assert query(url, "SELECT sentiment, angry FROM v_label") == [("negative", False)]
    sent = [decode(LABELS.name, delivery.value) for delivery in read(settings, [LABELS.name]) if delivery]
    assert len({label.label_id for label in sent if isinstance(label, LabelGiven)}) == 4


@pytest.fixture
def scored(run: Run, settings: Settings, tmp_path: Path) -> None:
    """r-1 is on its topic, and a row."""
    with at_work(settings, "score", "record"):
        run("publish", file(tmp_path, review("r-1", "坏了，不好用")), "-t", "raw.reviews")
        url = settings.database.get_secret_value()
        wait_until(lambda: query(url, "SELECT event_id FROM sentiment"), what="the event's row")


def given(settings: Settings) -> list[LabelGiven]:
    sent = [decode(LABELS.name, delivery.value) for delivery in read(settings, [LABELS.name]) if delivery]
    return [label for label in sent if isinstance(label, LabelGiven)]


NO_DATABASE = {"MOODSTREAM_DATABASE": ""}
DATABASE_DOWN = {"MOODSTREAM_DATABASE": "postgresql://postgres@127.0.0.1:1/none"}


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize("how", [NO_DATABASE, DATABASE_DOWN, {}], ids=["no database", "it is down", "no rows yet"])
def test_an_answer_one_comes_back_to_is_a_label_and_a_repeat_is_none(
    settings: Settings, tmp_path: Path, how: dict[str, str]
) -> None:
    for answer in ("neg", "neg", "pos", "neg", "neg"):
        outcome = CliRunner().invoke(
            main, ["label", "r-1", "-s", answer, "--by", "dana"], env=environment(settings, tmp_path) | how
        )
        assert outcome.exit_code == 0, outcome.output
        assert ("note: PostgreSQL is not answering" in outcome.stderr) is (how is DATABASE_DOWN)

    names = [label.label_id for label in given(settings)]
    assert [names.index(name) for name in names] == [0, 0, 2, 3, 3]


@pytest.mark.usefixtures("scored")
def test_who_trains_may_label_what_has_left_the_topic(login: Login, settings: Settings, tmp_path: Path) -> None:
    empty_topics(settings)
    for role, ends in ((tables.TRAINER, 0), (tables.ANALYST, 2)):
        url = as_login(settings.database.get_secret_value(), login(f"IN ROLE {role}"))
        outcome = CliRunner().invoke(
            main, ["label", "r-1", "--calm"], env=environment(settings, tmp_path) | {"MOODSTREAM_DATABASE": url}
        )
        assert outcome.exit_code == ends, outcome.output
    assert [label.angry for label in given(settings)] == [False]
    assert "no event r-1 was scored" in one_line(outcome)
    assert "permission denied for table sentiment; GRANT moodstream_trainer to the login that labels" in outcome.stderr


def test_a_label_needs_an_answer_and_an_event(run: Run) -> None:
    assert "nothing to say" in one_line(run("label", "r-1"))
    assert "no event r-9 was scored" in one_line(run("label", "r-9", "-s", "neu"))
