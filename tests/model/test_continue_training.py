"""A champion trained further: what is renewed changes, what is not comes along byte for byte, nothing is half there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from schemas.bundle import BundleError, Encoder, Language, Manifest, Temperatures, read_manifest, write_manifest
from stream_app.scoring.checkpoint import expected_shapes, read_config, read_weights
from stream_app.scoring.load import load_scorer
from stream_app.scoring.model_scorer import ModelScorer
from stream_app.scoring.storage import dequantise, plain_checkpoint
from stream_app.text.model_input import TEXT_VERSION, ModelInput
from tests.model.tiny import change_manifest, tiny_student
from trainer.bundle import store
from trainer.continue_training import RECIPE, continue_from
from trainer.corpus import read_own_turns
from trainer.rows import Row

LANGUAGES: tuple[Language, ...] = ("zh", "en")
MADE = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = replace(RECIPE, epochs=1, learning_rate=3e-3, tokens_per_batch=1024, precision="fp32", threads=1, augment=0.0)
ROWS = list(read_own_turns())[::12]
HELD = list(read_own_turns())[5::12]


@pytest.fixture
def two(base: Path, tmp_path: Path) -> Path:
    """A champion with an encoder for each language."""
    folder = tmp_path / "two"
    for number, language in enumerate(LANGUAGES):
        student = tiny_student(tmp_path / f"student-{number}", base)
        store(student, student, folder / language)
    encoders: dict[Language, Encoder] = {language: Encoder(language, Temperatures(1.5, 1.25)) for language in LANGUAGES}
    write_manifest(
        folder,
        Manifest(
            name="two", architecture="bert-packed", labels={"0": "negative", "1": "neutral", "2": "positive"},
            anger_output=3, max_tokens=48, text_version=TEXT_VERSION, encoders=encoders, training={"zh_epochs": 2},
        ),
    )  # fmt: skip
    return folder


def candidate(champion: Path, folder: Path, rows: list[Row] = ROWS, **given: object) -> Path:
    out = folder / "candidate"
    return continue_from(champion, rows, HELD, folder / "work", out, QUICK, name="next", created=MADE, **given)  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_only_the_encoder_with_new_labels_is_trained(two: Path, tmp_path: Path) -> None:
    made = candidate(two, tmp_path, renew={"zh"})

    assert files(made / "en") == files(two / "en")
    assert files(made / "zh")["model.safetensors"] != files(two / "zh")["model.safetensors"]
    manifest = read_manifest(made)
    assert manifest.encoders["en"].temperatures == Temperatures(1.5, 1.25)  # an untrained encoder keeps its own
    assert manifest.encoders["zh"].temperatures != Temperatures(1.5, 1.25)
    assert (manifest.name, manifest.training["continued_from"], manifest.training["zh_epochs"]) == ("next", "two", 2)
    before, now = (load_scorer(str(folder)) for folder in (two, made))
    english, chinese = ModelInput("where is my order", None), ModelInput("还没有收到", None)
    assert now.score([english]) == before.score([english])
    assert now.score([chinese]) != before.score([chinese])
    cast(ModelScorer, now).check_canary()


def test_a_bundle_without_encoders_is_trained_whole(bundle: Path, tmp_path: Path) -> None:
    made = candidate(bundle, tmp_path, renew={"zh"})
    manifest = read_manifest(made)
    assert manifest.training["continued_turns"] == 1
    assert manifest.canary
    assert manifest.weights
    assert manifest.metrics
    assert (made / "README.md").exists()


def test_the_champion_is_not_touched(two: Path, tmp_path: Path) -> None:
    before = {part: files(two / part) for part in (".", "zh", "en")}
    candidate(two, tmp_path)
    assert {part: files(two / part) for part in (".", "zh", "en")} == before


def test_a_finished_candidate_is_found_and_not_trained_again(two: Path, tmp_path: Path) -> None:
    made = candidate(two, tmp_path)
    stamp = (made / "zh" / "model.safetensors").stat().st_mtime_ns
    assert candidate(two, tmp_path, rows=[]) == made
    assert (made / "zh" / "model.safetensors").stat().st_mtime_ns == stamp


def test_what_a_killed_run_left_of_the_candidate_is_not_believed(two: Path, tmp_path: Path) -> None:
    (tmp_path / "candidate.new" / "zh").mkdir(parents=True)
    (tmp_path / "candidate.new" / "zh" / "model.safetensors").write_bytes(b"half")
    cast(ModelScorer, load_scorer(str(candidate(two, tmp_path)))).check_canary()
    assert not (tmp_path / "candidate.new").exists()


def test_training_starts_from_the_very_numbers_that_served(two: Path, tmp_path: Path) -> None:
    start = plain_checkpoint(two / "zh", tmp_path / "start")
    shapes = expected_shapes(read_config(two / "zh"))
    served, trained = (read_weights(folder / "model.safetensors", shapes) for folder in (two / "zh", start))
    assert all(np.array_equal(dequantise(served, name), trained[name]) for name in shapes)
    assert all(value.dtype == np.float32 for value in trained.values())


def test_without_enough_calm_turns_the_alarm_threshold_stays(two: Path, tmp_path: Path) -> None:
    change_manifest(two, decisions={"anger_threshold": 0.77})
    assert read_manifest(candidate(two, tmp_path, renew={"en"})).decisions.anger_threshold == 0.77


def test_an_imported_classifier_cannot_be_trained_further(two: Path, tmp_path: Path) -> None:
    change_manifest(two, architecture="transformer")
    with pytest.raises(BundleError, match="promote a bundle of `moodstream train bundle` first"):
        candidate(two, tmp_path)
    assert not (tmp_path / "candidate").exists()


def test_a_champion_of_another_text_version_cannot_be_trained_further(two: Path, tmp_path: Path) -> None:
    change_manifest(two, text_version=TEXT_VERSION + 1)
    with pytest.raises(BundleError, match="text version"):
        candidate(two, tmp_path)
