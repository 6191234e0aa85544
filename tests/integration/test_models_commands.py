"""`moodstream models promote | rollback | list`: on real services, with real workers."""

import getpass
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from schemas.codec import decode
from schemas.events import ModelPromoted
from schemas.topics import MODELS, SERVING
from stream_app.commands.models.serving import UNCONFIRMED, Announcer, tell
from stream_app.flow.kafka.admin import Admin
from stream_app.flow.kafka.reader import read
from stream_app.serving.confirm import SERVES, confirmed
from stream_app.settings import Settings
from tests.fakes_models import bundle
from tests.integration.commands import Run, one_line
from tests.model.tiny import change_manifest, tiny_base, tiny_bundle
from tests.worker import worker

pytestmark = pytest.mark.services


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
