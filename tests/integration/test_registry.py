"""What is registered, what serves, and the way back: on a real PostgreSQL, with real bundles."""

import multiprocessing
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.bundle import BundleError
from schemas.events import ModelPromoted
from stream_app.errors import NeighbourDown, SetupError
from stream_app.serving.moves import promote, rollback
from stream_app.serving.registry import Registry
from tests.fakes_models import Heard, bundle, kafka_is_away
from tests.model.tiny import change_manifest

pytestmark = pytest.mark.services


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
