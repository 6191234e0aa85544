"""The command line as such: quick help, one readable line a mistake, exit codes."""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from schemas.bundle import BundleError
from stream_app import cli
from stream_app.errors import NeighbourDown, SetupError

EVERY_COMMAND = [name for names in cli.BUILT_IN.values() for name in names]
NOBODY_THERE = {
    "MOODSTREAM_KAFKA": "127.0.0.1:1",
    "MOODSTREAM_DATABASE": "postgresql://nobody@127.0.0.1:1/none",
    "MOODSTREAM_REDIS": "redis://127.0.0.1:1/0",
    "MOODSTREAM_MODEL": "quick",
}


@pytest.fixture(autouse=True)
def _no_local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that happens to run on this machine must not decide what these tests see."""
    monkeypatch.setenv("MOODSTREAM_HOME", str(tmp_path / "home"))


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A command of another package, registered as the trainer's are."""
    (tmp_path / "beside_us.py").write_text(
        "import click\n\n@click.command()\ndef train() -> None:\n"
        '    """Train a model.\n\n    At length.\n    """\n    click.echo("trained")\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [EntryPoint("train", "beside_us:train", cli.GROUP), EntryPoint("up", "beside_us:train", cli.GROUP)]
    monkeypatch.setattr(cli, "entry_points", lambda group: points)
    cli._targets.cache_clear()
    monkeypatch.delitem(sys.modules, "beside_us", raising=False)
    return "beside_us"


@pytest.fixture(autouse=True)
def _targets_anew() -> object:
    yield
    cli._targets.cache_clear()


def run(*arguments: str, env: dict[str, str] | None = None, stdin: str | bytes = b"") -> Result:
    return CliRunner().invoke(cli.main, arguments, env=env, input=stdin)


def fails_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> Result:
    """The outcome of a command that raises this."""

    @click.command("down")
    def command() -> None:
        raise error

    monkeypatch.setattr("stream_app.commands.down.command", command)
    return run("down")


# --- help -------------------------------------------------------------------------------------------------------------


def test_help_names_every_command_under_a_heading_with_a_headline() -> None:
    told = run("--help").stdout
    for heading, names in cli.BUILT_IN.items():
        section = told.split(f"{heading}:\n", 1)[1].split("\n\n")[0]
        for name in names:
            (described,) = [line for line in section.splitlines() if line.split()[0] == name]
            assert len(described.split()) > 2, f"{name} has no headline"


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    script = """
import sys, time
sys.argv = ["moodstream", "--help"]
from stream_app.cli import main
try:
    main()
except SystemExit:
    pass
heavy = {"torch", "faust", "transformers", "confluent_kafka", "sqlalchemy", "pydantic", "rich"} & set(sys.modules)
print(time.process_time(), sorted(heavy))
"""
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(2)
    ]
    seconds, _, heavy = runs[-1].stdout.splitlines()[-1].partition(" ")
    assert heavy == "[]"
    assert float(seconds) < 0.3


@pytest.mark.parametrize("name", EVERY_COMMAND)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    outcome = run(name, "--help")
    assert outcome.exit_code == 0
    assert f"moodstream {name}" in outcome.stdout.split("\n", 1)[1]


def test_worker_help_lists_every_setting_but_shows_no_secret() -> None:
    from stream_app.settings import Settings

    told = run("worker", "--help").stdout
    for name in Settings.model_fields:
        assert f"MOODSTREAM_{name.upper()}" in told
    assert "moodstream-local" not in told
    assert "--pseudonym-key" not in told


def test_commands_of_other_packages_are_listed_without_being_imported(added: str) -> None:
    told = run("--help").stdout
    assert "Train and measure" in told
    assert "Train a model" in told
    assert added not in sys.modules
    assert run("train").stdout == "trained\n"


def test_a_built_in_command_cannot_be_replaced(added: str) -> None:
    assert "trained" not in run("up", "--help").stdout
    assert run("up", "--help").exit_code == 0


def test_an_added_command_that_cannot_be_read_does_not_spoil_the_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda group: [EntryPoint("ghost", "no_such_package.x:y", group)])
    cli._targets.cache_clear()
    outcome = run("--help")
    assert outcome.exit_code == 0
    assert "ghost" in outcome.stdout


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        SetupError("no address for kafka"),
        NeighbourDown("Kafka", "connection refused"),
        BundleError("No model bundle at /x"),
        SetupError("first line\n   second line\n"),
    ],
    ids=["a setting is wrong", "a neighbour is away", "a bundle is missing", "the message has several lines"],
)
def test_what_can_be_mended_is_one_line_and_exit_code_2(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = fails_with(error, monkeypatch)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("moodstream down: ")
    assert outcome.stderr.count("\n") == 1
    assert outcome.stdout == ""


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        (tmp_path / "missing" / "out").open("w")
    outcome = fails_with(caught.value, monkeypatch)
    assert outcome.exit_code == 2
    assert outcome.stderr == f"moodstream down: {tmp_path}/missing/out: No such file or directory\n"


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = fails_with(RuntimeError("ours"), monkeypatch)
    assert outcome.exit_code == 1
    assert isinstance(outcome.exception, RuntimeError)


def test_ctrl_c_is_130_and_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = fails_with(KeyboardInterrupt(), monkeypatch)
    assert (outcome.exit_code, outcome.stderr) == (130, "")


@pytest.mark.parametrize(
    "arguments",
    [["--bogus"], ["no-such-command"], ["publish"], ["publish", "/no/such/file", "-t", "raw.reviews"], ["tail", "x"]],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_too(arguments: list[str]) -> None:
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert outcome.stderr.count("\n") == 1
    assert "--help`" in outcome.stderr


def test_a_reader_that_goes_away_is_met_with_silence(tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"id": n, "text": "好" * 50}) + "\n" for n in range(20_000)))
    with subprocess.Popen(
        [sys.executable, "-m", "stream_app", "clean", "-i", str(texts)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
    assert (process.returncode, complaint) == (141, b"")


WRONG_SETTINGS = {
    "a port that is no number": {"MOODSTREAM_WEB_PORT": "many"},
    "a misspelt variable": {"MOODSTREAM_KAFAK": "localhost:9092"},
    "a role nobody knows": {"MOODSTREAM_ROLES": "score,dance"},
    "a database URL of another kind": {"MOODSTREAM_DATABASE": "mysql://localhost/x"},
    "a settings file that is not there": {"MOODSTREAM_CONFIG": "/no/such/file.toml"},
}


@pytest.mark.parametrize("command", ["worker", "check", "init", "tail", "replay", "score", "demo"])
@pytest.mark.parametrize("wrong", WRONG_SETTINGS.values(), ids=WRONG_SETTINGS.keys())
def test_a_wrong_setting_is_named(command: str, wrong: dict[str, str]) -> None:
    outcome = run(command, env=wrong)
    assert outcome.exit_code == 2
    assert outcome.stderr.count("\n") == 1
    assert next(iter(wrong)) in outcome.stderr


@pytest.mark.parametrize(
    "command", [["init"], ["tail"], ["trace", "x"], ["replay"], ["demo"], ["worker"]], ids=" ".join
)
def test_an_unreachable_neighbour_is_named(command: list[str]) -> None:
    outcome = run(*command, env=NOBODY_THERE)
    assert outcome.exit_code == 2
    assert outcome.stderr.count("\n") == 1
    assert "127.0.0.1:1" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("command", [["init"], ["tail"], ["trace", "x"], ["replay"], ["worker"]], ids=" ".join)
def test_a_missing_address_says_how_to_give_it(command: list[str]) -> None:
    outcome = run(*command)
    assert outcome.exit_code == 2
    assert "MOODSTREAM_KAFKA" in outcome.stderr
    assert "moodstream up" in outcome.stderr


def test_check_says_a_line_each_and_fails_as_a_whole() -> None:
    outcome = run("check", env=NOBODY_THERE)
    assert outcome.exit_code == 2
    lines = outcome.stdout.splitlines()
    assert len(lines) == 5
    assert [("wrong" in line) for line in lines] == [False, True, True, True, False]
    assert outcome.stderr == "moodstream check: 3 of 5 are not right: kafka, postgres, redis\n"


def test_check_in_json_is_one_object() -> None:
    outcome = run("check", "--json", env=NOBODY_THERE)
    report = json.loads(outcome.stdout)
    assert report["ok"] is False
    assert {check["name"]: check["ok"] for check in report["checks"]} == {
        "settings": True,
        "kafka": False,
        "postgres": False,
        "redis": False,
        "model": True,
    }


@pytest.mark.parametrize("command", [["score"], ["check"], ["worker"]], ids=" ".join)
def test_a_missing_bundle_is_one_line(command: list[str], tmp_path: Path) -> None:
    outcome = run(*command, env=NOBODY_THERE | {"MOODSTREAM_MODEL": str(tmp_path / "nothing")})
    assert outcome.exit_code == 2
    assert outcome.stderr.count("\n") == 1
    assert "Traceback" not in outcome.output


def test_no_variable_of_this_machine_is_left_over() -> None:
    assert not [name for name in os.environ if name.startswith("MOODSTREAM_") and name != "MOODSTREAM_HOME"]
