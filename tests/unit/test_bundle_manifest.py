from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from schemas.bundle import (
    BundleError,
    Canary,
    Decisions,
    Encoder,
    Manifest,
    Temperatures,
    checked_name,
    read_manifest,
    write_manifest,
)
from stream_app.scoring.outputs import Outputs, recognise
from stream_app.scoring.scorer import ScoringError

FULL = Manifest(
    name="student",
    labels={"0": "negative", "1": "neutral", "2": "positive"},
    anger_output=3,
    architecture="bert-packed",
    created=datetime(2026, 11, 24, tzinfo=UTC),
    max_tokens=128,
    temperatures=Temperatures(1.4, 1.2),
    decisions=Decisions(0.7, (0.1, 0.2, 0.3, 0.4)),
    text_version=1,
    metrics={"set": {"accuracy": 0.9}},
    canary=[Canary("好的", None, 0.1, 0.8, 0.1, 0.0)],
    licences={"set": "none stated"},
    encoders={"zh": Encoder("zh", Temperatures(1.4, 1.1)), "en": Encoder("small/en")},
    weights={"zh/model.safetensors": "0" * 64},
)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, FULL)
    assert read_manifest(tmp_path, text_version=1) == FULL


def test_without_encoders_the_folder_itself_is_the_one_checkpoint() -> None:
    manifest = Manifest(name="x", labels={"0": "negative"}, temperatures=Temperatures(1.4, 1.2))
    assert manifest.checkpoints == {"all": Encoder(".", Temperatures(1.4, 1.2))}
    assert FULL.checkpoints == FULL.encoders


def test_an_imported_classifier_needs_only_a_name_and_labels(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text('{"name": "mine", "labels": {"NEG": "negative", "POS": "positive"}}', "utf-8")
    found = read_manifest(tmp_path, text_version=7)
    assert found.architecture == "transformer"
    assert found.anger_output is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "holds no bundle.json", id="no manifest"),
        pytest.param("", "not a valid manifest", id="empty"),
        pytest.param("{", "not a valid manifest", id="broken JSON"),
        pytest.param('{"name": "x"}', "labels", id="a field missing"),
        pytest.param('{"name": "x", "labels": {"0": "sad"}}', "sad", id="a mood that is none"),
        pytest.param(
            '{"name": "x", "labels": {"0": "neutral"}, "text_version": 2}', "text version 2", id="other text version"
        ),
        pytest.param(
            '{"name": "x", "labels": {"0": "neutral"}, "encoders": {"en": {"folder": "en"}}}',
            "no encoder for zh",
            id="a language without encoder",
        ),
        pytest.param(
            '{"name": "x", "labels": {"0": "neutral"}, "encoders": {"ja": {"folder": "ja"}}}',
            "not a valid manifest",
            id="an encoder of another language",
        ),
        pytest.param(
            '{"name": "x", "labels": {"0": "neutral"}, "weights": {"/etc/passwd": "0"}}',
            "not inside the bundle",
            id="a hash of a file elsewhere",
        ),
    ],
)
def test_a_manifest_that_cannot_be_used_is_one_sentence(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "bundle.json").write_text(content, "utf-8")
    with pytest.raises(BundleError, match=says) as caught:
        read_manifest(tmp_path, text_version=1)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "field",
    [
        *(
            f'"temperatures": {{"{which}": {value}}}'
            for which in ("sentiment", "anger")
            for value in ("0", "-1", "NaN", "null", "1e999")
        ),
        '"name": ""',
        f'"name": "{"x" * 129}"',
        r'"name": "a\u0000b"',
        r'"name": "two\nlines"',
        r'"name": "a line\n"',
        '"max_tokens": -1',
        '"max_tokens": 0',
        '"max_tokens": 2',
    ],
)
def test_a_field_out_of_its_bounds_is_one_sentence(tmp_path: Path, field: str) -> None:
    content = '{"name": "x", "labels": {"0": "neutral"}, ' + field + "}"  # of two of a name, the second counts
    (tmp_path / "bundle.json").write_text(content, "utf-8")
    with pytest.raises(BundleError, match="not a valid manifest") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "moods"),
    [
        (["NEG", "NEU", "POS"], ["negative", "neutral", "positive"]),
        (["Very Negative", "Neutral", "very_positive"], ["negative", "neutral", "positive"]),
        (
            ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"],
            ["negative", "negative", "neutral", "positive", "positive"],
        ),
        (["LABEL_0", "LABEL_1"], None),
        (["negative", "LABEL_1"], None),
        (["joy", "anger"], None),
    ],
    ids=lambda value: "none" if value is None else "-".join(value),
)
def test_only_names_that_leave_no_doubt_are_recognised(names: list[str], moods: list[str] | None) -> None:
    found = recognise(dict(enumerate(names)))
    assert (list(found.values()) if found else None) == moods


def test_no_outputs_have_no_names_to_recognise() -> None:
    assert recognise({}) is None


@pytest.mark.parametrize("name", ["x", "学生-1", "x" * 128])
def test_a_name_may_be_whatever_an_event_can_carry(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 129, "a\0b", "a\n", "\udce9"], ids=ascii)
def test_what_no_event_can_carry_is_no_name(name: str) -> None:
    with pytest.raises(BundleError, match="cannot be a model's name"):
        checked_name(name)


def test_outputs_that_mean_the_same_mood_are_added_up_and_anger_stays_apart() -> None:
    manifest = Manifest(name="x", labels={"bad": "negative", "worse": "negative", "good": "positive"}, anger_output=3)
    outputs = Outputs(manifest, {0: "bad", 1: "good", 2: "worse", 3: "cross"})
    (scores,) = outputs.scores(np.array([[0.0, 0.0, 0.0, 0.0]], dtype=np.float32))
    assert scores == pytest.approx((2 / 3, 0.0, 1 / 3, 0.5))


@pytest.mark.parametrize("temperature", [float("nan"), 1e-320])
def test_temperatures_that_leave_no_numbers_are_a_failure_and_no_scores(temperature: float) -> None:
    manifest = Manifest(name="x", labels={"0": "negative", "1": "positive"}, temperatures=Temperatures(temperature))
    with (
        np.errstate(all="ignore"),
        pytest.raises(ScoringError, match="temperatures"),
    ):
        Outputs(manifest, {0: "bad", 1: "good"}).scores(np.array([[2.0, 3.0]], dtype=np.float32))
