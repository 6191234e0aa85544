"""`moodstream models show`, `verify`, `import`, `export`, on tiny models."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from schemas.bundle import read_manifest
from stream_app import cli
from stream_app.scoring.load import load_scorer
from stream_app.scoring.storage import digests
from stream_app.text.model_input import TEXT_VERSION
from tests.model.pair import english_base, pair_bundle
from tests.model.test_transformer import classifier
from tests.model.tiny import change_manifest

MAP = "LABEL_0=negative,LABEL_1=neutral,LABEL_2=positive"
PLAIN_NAMES = ["LABEL_0", "LABEL_1", "LABEL_2"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["models", *map(str, arguments)])


def one_line(outcome: Result, who: str) -> str:
    assert outcome.exit_code == 2, outcome.output
    assert outcome.stderr.count("\n") == 1
    assert outcome.stderr.startswith(f"moodstream models {who}: ")
    return outcome.stderr


@pytest.mark.parametrize("name", ["show", "verify", "import", "export"])
def test_every_subcommand_explains_itself_with_an_example(name: str) -> None:
    outcome = run(name, "--help")
    assert outcome.exit_code == 0
    assert f"moodstream models {name} " in outcome.stdout.split("\n", 1)[1]


# --- show -------------------------------------------------------------------------------------------------------------


def test_show_tells_identity_encoders_decisions_figures_and_licences(bundle: Path) -> None:
    change_manifest(
        bundle,
        metrics={
            "shop": {"texts": 12, "accuracy": 0.9, "accuracy_low": 0.85, "accuracy_high": 0.94},
            "weibo": {"texts": 7, "anger_auc": 0.95},
            "chat:customer": {"texts": 9, "called_negative": 0.1},
        },
        licences={
            "free": "MIT",
            "silent": "no licence stated",
            "closed": "research only",
            "google": "Google Research, MIT",
        },
    )
    told = run("show", bundle).stdout
    for said in (
        "tiny",
        "0.900 (0.850–0.940)",
        "0.950",
        "0.100",
        "angry from 0.5",
        "0 → negative",
    ):
        assert said in told, said
    assert ["all", ".", "2", "24"] in [line.split()[:4] for line in told.splitlines()]
    places = [told.index(name) for name in ("\nclosed", "\nsilent", "\nfree", "\ngoogle")]
    assert places == sorted(places), "what forbids something comes first"
    assert "1 of 4 allow research" in told


def test_show_lists_every_encoder(base: Path, tmp_path: Path) -> None:
    pair = pair_bundle(tmp_path / "pair", base, english_base(tmp_path / "english"))
    lines = [line.split() for line in run("show", pair).stdout.splitlines()]
    assert ["zh", "zh", "2", "24"] in [line[:4] for line in lines]
    assert ["en", "en", "2", "36"] in [line[:4] for line in lines]


def test_show_for_programs_is_one_object(bundle: Path) -> None:
    shown = json.loads(run("show", bundle, "--json").stdout)
    assert shown["manifest"]["name"] == "tiny"
    assert len(shown["fingerprint"]) == 64


def test_show_of_nothing_is_one_line(tmp_path: Path) -> None:
    assert "no such folder" in one_line(run("show", tmp_path / "nothing"), "show")


# --- verify -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hashed(bundle: Path) -> Path:
    change_manifest(bundle, weights=digests(bundle, read_manifest(bundle)))
    return bundle


def test_verify_finds_a_healthy_bundle_right(hashed: Path) -> None:
    outcome = run("verify", hashed)
    assert outcome.exit_code == 0, outcome.output
    checks = {line.split()[2]: line for line in outcome.stdout.splitlines()[1:]}
    assert list(checks) == ["manifest", "hashes", "loads", "canary", "batches", "costs"]
    assert f"text version {TEXT_VERSION}" in checks["manifest"]
    assert "4 files as recorded" in checks["hashes"]
    assert "8 texts" in checks["canary"]
    assert "MB resident" in checks["costs"]


def other_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["classifier.weight"] = weights["classifier.weight"] * 1.5
    save_file(weights, path)


def other_weights_without_hashes(folder: Path) -> None:
    other_weights(folder)
    change_manifest(folder, weights={})


def wrong_labels(folder: Path) -> None:
    change_manifest(folder, labels={"0": "negative", "7": "positive"})


def other_text(folder: Path) -> None:
    change_manifest(folder, text_version=TEXT_VERSION + 1)


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        pytest.param(other_weights, ["hashes", "loads"], id="hash mismatch"),
        pytest.param(other_weights_without_hashes, ["canary"], id="other weights"),
        pytest.param(wrong_labels, ["loads"], id="a label map that does not fit"),
        pytest.param(other_text, ["manifest"], id="another text version"),
    ],
)
def test_verify_names_what_is_wrong(hashed: Path, damage: Callable[[Path], None], wrong: list[str]) -> None:
    damage(hashed)
    outcome = run("verify", hashed, "--json")
    assert f"not right: {', '.join(wrong)}" in one_line(outcome, "verify")
    report = json.loads(outcome.stdout)
    assert not report["ok"]
    assert [check["name"] for check in report["checks"] if not check["ok"]] == wrong


def test_scores_that_depend_on_the_batch_are_found(hashed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stream_app.scoring.bert import PackedBert

    right = PackedBert.forward
    drift = np.array([0.001, 0, 0, 0], np.float32)
    monkeypatch.setattr(PackedBert, "forward", lambda self, batch: right(self, batch) + len(batch) * drift)
    assert "batches" in one_line(run("verify", hashed), "verify")


# --- import -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return classifier(tmp_path / "theirs", PLAIN_NAMES)


def test_import_makes_a_bundle_that_scores_and_verifies(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    (source / "tf_model.h5").write_bytes(b"another framework's")
    outcome = run("import", source, "--labels", MAP, "--out", out, "--name", "theirs-1")
    assert outcome.exit_code == 0, outcome.output
    assert load_scorer(str(out)).name == "theirs-1"
    manifest = read_manifest(out)
    assert manifest.labels == {"0": "negative", "1": "neutral", "2": "positive"}
    assert len(manifest.canary) == 4
    assert sorted(manifest.weights) == sorted(path.name for path in out.iterdir() if path.name != "bundle.json")
    assert not (out / "tf_model.h5").exists()
    assert run("verify", out).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "theirs"], "nothing lies beside it"


def test_names_that_leave_no_doubt_need_no_map(tmp_path: Path) -> None:
    source = classifier(tmp_path / "theirs", ["POSITIVE", "NEGATIVE"])
    assert run("import", source, "--out", tmp_path / "mine").exit_code == 0
    manifest = read_manifest(tmp_path / "mine")
    assert manifest.labels == {"0": "positive", "1": "negative"}
    assert manifest.name == "mine"


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        pytest.param(None, "give --labels", id="no map"),
        pytest.param("LABEL_0=negative,LABEL_2=positive", "leaves LABEL_1 unmapped", id="an output forgotten"),
        pytest.param(MAP + ",LABEL_9=neutral", "names none of the outputs", id="an output that is none"),
        pytest.param("LABEL_0=negative,LABEL_1=furious,LABEL_2=positive", "'furious' is no mood", id="no mood"),
        pytest.param(MAP + ",0=positive", "mapped twice", id="an output twice"),
        pytest.param("negative", "names none", id="no pair"),
    ],
)
def test_a_label_map_that_does_not_fit_is_refused(source: Path, tmp_path: Path, labels: str | None, says: str) -> None:
    options = ("--labels", labels) if labels else ()
    assert says in one_line(run("import", source, *options, "--out", tmp_path / "mine"), "import")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def lose(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def base_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["BertModel"]}), "utf-8")


def headless(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def not_numbers(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: each * float("nan") for name, each in weights.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-300])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lose("tokenizer.json"), "holds no tokenizer", id="missing tokenizer"),
        pytest.param(lose("model.safetensors"), "holds no weights", id="no weights"),
        pytest.param(lose("config.json"), "holds no config.json", id="no config"),
        pytest.param(base_model, "no sequence classifier", id="a base model"),
        pytest.param(headless, "lack classifier.weight", id="a head of random numbers"),
        pytest.param(not_numbers, "not a number", id="weights that are no numbers"),
        pytest.param(cut_short, "no loadable classifier", id="cut-short weights"),
    ],
)
def test_what_is_no_classifier_is_refused_and_leaves_nothing(
    source: Path, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    damage(source)
    assert says in one_line(run("import", source, "--labels", MAP, "--out", tmp_path / "mine"), "import")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_a_folder_that_exists_is_left_as_it_is(source: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    said = one_line(run("import", source, "--labels", MAP, "--out", tmp_path / "mine"), "import")
    assert "exists already" in said
    assert list((tmp_path / "mine").iterdir()) == []


def test_an_import_leaves_no_threads(source: Path, tmp_path: Path) -> None:
    run("import", source, "--labels", MAP, "--out", tmp_path / "mine")
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("score-mine")] == []


@pytest.mark.parametrize("name", ["x" * 129, "two\nlines", "caf\udce9"], ids=["too long", "two lines", "not UTF-8"])
def test_a_name_that_no_event_could_carry_is_refused_first(source: Path, tmp_path: Path, name: str) -> None:
    said = one_line(run("import", source, "--labels", MAP, "--out", tmp_path / "mine", "--name", name), "import")
    assert "cannot be a model's name" in said


def test_architectures_that_are_no_list_are_one_line(source: Path, tmp_path: Path) -> None:
    config = json.loads((source / "config.json").read_bytes())
    (source / "config.json").write_text(json.dumps(config | {"architectures": 3}), "utf-8")
    assert "no sequence classifier" in one_line(run("import", source, "--out", tmp_path / "mine"), "import")


# --- export -----------------------------------------------------------------------------------------------------------


def test_an_export_that_fails_half_way_leaves_nothing(base: Path, tmp_path: Path) -> None:
    pair = pair_bundle(tmp_path / "pair", base, english_base(tmp_path / "english"))
    (pair / "en" / "model.safetensors").write_bytes(b"half")
    before = sorted(tmp_path.iterdir())

    assert "cannot be copied" in one_line(run("export", pair, "--out", tmp_path / "plain"), "export")
    assert sorted(tmp_path.iterdir()) == before


def test_an_exported_pair_has_both_encoders(base: Path, tmp_path: Path) -> None:
    pair = pair_bundle(tmp_path / "pair", base, english_base(tmp_path / "english"))
    assert run("export", pair, "--out", tmp_path / "plain").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == ["en", "zh"]
    assert (tmp_path / "plain").stat().st_mode & 0o777 == pair.stat().st_mode & 0o777
