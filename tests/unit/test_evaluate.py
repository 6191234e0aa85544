"""Figures, by hand and beside scikit-learn; intervals that cover; slices; the plots' numbers."""

from __future__ import annotations

import random
import time
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_recall_fscore_support, roc_auc_score

from schemas.bundle import Decisions, Temperatures
from stream_app.text.model_input import ModelInput
from trainer.calibrate import (
    ENOUGH_CALM,
    LOWEST_ALARM,
    at_most,
    choose_decisions,
    fit_by_language,
    fit_temperatures,
)
from trainer.evaluate import Evaluation, evaluate, for_manifest
from trainer.figures import auc, figures
from trainer.rows import Row, group_of
from trainer.slices import has_emoji, has_negation, language_of, length_of, slices_of

Floats = NDArray[np.float64]
HALF = Decisions(anger_threshold=0.5)


def row(text: str = "好", sentiment: int | None = None, anger: float | None = None, **more: Any) -> Row:
    source = more.pop("source", "shop")
    return Row(source, text, ModelInput(text, more.pop("context", None)), sentiment, anger, **more)


def invented(count: int, seed: int = 0, **more: Any) -> tuple[list[Row], Floats]:
    """Rows with labels, and scores that are right more often than not."""
    rng = np.random.default_rng(seed)
    moods, angry = rng.integers(3, size=count), rng.random(count) < 0.2
    logits = rng.normal(size=(count, 3)) + 1.5 * np.eye(3)[moods]
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    anger = 1 / (1 + np.exp(-(rng.normal(size=count) + 2.0 * angry - 1.0)))
    rows = [
        row(f"text {i}", int(m), float(a), row=i, **more) for i, (m, a) in enumerate(zip(moods, angry, strict=True))
    ]
    return rows, np.column_stack([likely, anger])


def test_a_small_example_counted_by_hand() -> None:
    rows = [row(sentiment=0), row(sentiment=0), row(sentiment=1), row(sentiment=2), row(anger=1.0), row(anger=0.0)]
    scores = np.array(
        [
            [0.8, 0.1, 0.1, 0.0],  # right
            [0.2, 0.5, 0.3, 0.0],  # negative called neutral; of two: positive, wrong
            [0.6, 0.3, 0.1, 0.0],  # neutral called negative
            [0.1, 0.2, 0.7, 0.0],  # right
            [0.3, 0.4, 0.3, 0.9],  # caught
            [0.3, 0.4, 0.3, 0.6],  # false alarm
        ]
    )
    found = {name: figure.value for name, figure in figures(rows, scores, HALF).items()}
    assert found["texts"] == 6
    assert found["labelled"] == 4
    assert found["accuracy"] == 0.5
    assert found["accuracy_of_two"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["negative_precision"] == found["negative_recall"] == found["negative_f1"] == 0.5
    assert found["neutral_precision"] == found["neutral_f1"] == 0.0
    assert found["positive_f1"] == 1.0
    assert found["macro_f1"] == 0.5
    assert found["called_negative_wrongly"] == 0.5
    assert found["neutral_called_negative"] == 1.0
    assert (found["anger_recall"], found["anger_false_alarms"], found["anger_precision"]) == (1.0, 1.0, 0.5)
    assert found["anger_auc"] == 1.0
    # bins of 1/15: 0.8 right; 0.5 wrong; 0.6 wrong; 0.7 right
    assert found["calibration_error"] == pytest.approx((0.2 + 0.5 + 0.6 + 0.3) / 4, abs=1e-4)
    assert found["called_angry"] == pytest.approx(2 / 6, abs=1e-4)


def test_the_same_as_scikit_learn() -> None:
    rows, scores = invented(2_000)
    found = figures(rows, scores, HALF)
    moods, called = np.array([r.sentiment for r in rows]), scores[:, :3].argmax(axis=1)
    angry = np.array([r.anger == 1.0 for r in rows])
    assert found["macro_f1"].value == pytest.approx(f1_score(moods, called, average="macro"), abs=1e-4)
    precision, recall, f1, _ = precision_recall_fscore_support(moods, called)
    for number, mood in enumerate(("negative", "neutral", "positive")):
        assert found[f"{mood}_precision"].value == pytest.approx(precision[number], abs=1e-4)
        assert found[f"{mood}_recall"].value == pytest.approx(recall[number], abs=1e-4)
        assert found[f"{mood}_f1"].value == pytest.approx(f1[number], abs=1e-4)
    assert found["anger_auc"].value == pytest.approx(roc_auc_score(angry, scores[:, 3]), abs=1e-4)


def test_auc_with_ties_and_weights_is_that_of_the_repeated_rows() -> None:
    rng = np.random.default_rng(1)
    angry, scores = rng.random(200) < 0.3, rng.integers(8, size=200) / 8
    weights = rng.integers(4, size=(5, 200)).astype(float)
    for each, found in zip(weights.astype(int), auc(angry, scores, weights), strict=True):
        assert found == pytest.approx(roc_auc_score(np.repeat(angry, each), np.repeat(scores, each)))


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    truth, covered = 0.7, 0
    rng = np.random.default_rng(5)
    for trial in range(120):
        right = rng.random(150) < truth
        scores = np.where(right[:, None], [[0.8, 0.1, 0.1, 0.0]], [[0.1, 0.8, 0.1, 0.0]])
        found = figures([row(sentiment=0)] * 150, scores, HALF, resamples=300, seed=trial)["accuracy"]
        assert found.low <= found.value <= found.high
        covered += found.low <= truth <= found.high
    assert 0.88 <= covered / 120 <= 1.0


def test_turns_of_one_conversation_are_no_independent_witnesses() -> None:
    rows, scores = invented(300)
    copies = [r._replace(group=f"conversation:{i}") for i, r in enumerate(rows)] * 4
    alone = figures(rows, scores, HALF, resamples=500)["accuracy"]
    together = figures(copies, np.tile(scores, (4, 1)), HALF, resamples=500)["accuracy"]
    apart = figures([r._replace(group="") for r in copies], np.tile(scores, (4, 1)), HALF, resamples=500)["accuracy"]
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.25)
    assert apart.high - apart.low < 0.7 * (together.high - together.low)


def test_conversations_of_one_customer_are_no_independent_witnesses() -> None:
    rows, scores = invented(300)
    twice = [
        r._replace(group=group_of(customer=str(i), conversation=f"{i}/{n}"))
        for n in range(2)
        for i, r in enumerate(rows)
    ]
    alone = figures(rows, scores, HALF, resamples=500)["accuracy"]
    together = figures(twice, np.tile(scores, (2, 1)), HALF, resamples=500)["accuracy"]
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.2)


def test_the_same_seed_gives_the_same_interval() -> None:
    rows, scores = invented(100)
    assert figures(rows, scores, HALF, resamples=50, seed=3) == figures(rows, scores, HALF, resamples=50, seed=3)
    assert figures(rows, scores, HALF, resamples=50, seed=3) != figures(rows, scores, HALF, resamples=50, seed=4)


def test_a_thousand_resamples_of_twenty_thousand_rows_take_seconds() -> None:
    rows, scores = invented(20_000)
    started = time.process_time()
    figures(rows, scores, HALF, resamples=1_000)
    assert time.process_time() - started < 30


def test_no_rows_have_no_figures() -> None:
    assert figures([], np.empty((0, 4)), HALF, resamples=10) == {}
    nothing = evaluate("m", [], np.empty((0, 4)), HALF)
    assert (nothing.overall, nothing.heads, nothing.mistakes) == ({}, [], [])


def test_what_labels_do_not_allow_is_left_out() -> None:
    rows, scores = invented(40)
    unlabelled = figures([r._replace(sentiment=None, anger=None) for r in rows], scores, HALF, resamples=20)
    assert set(unlabelled) == {"texts", "called_negative", "called_neutral", "called_positive", "called_angry"}
    calm = figures([r._replace(sentiment=2, anger=0.0) for r in rows], scores, HALF, resamples=20)
    assert not {"anger_auc", "anger_recall", "anger_f1", "negative_f1", "neutral_called_negative"} & set(calm)
    assert calm["macro_f1"] == calm["positive_f1"]
    annoyed = figures([r._replace(sentiment=None, anger=0.5) for r in rows], scores, HALF)
    assert not any(name.startswith("anger_") for name in annoyed), "annoyance decides nothing"


def test_a_rare_class_that_a_resample_misses_leaves_the_interval_finite() -> None:
    rows, scores = invented(60)
    rows = [r._replace(anger=float(i == 0), sentiment=0 if i == 0 else 1) for i, r in enumerate(rows)]
    found = figures(rows, scores, HALF, resamples=200)
    assert all(np.isfinite([f.value, f.low, f.high]).all() for f in found.values())
    assert "anger_auc" in found


def test_false_alarms_are_counted_among_customers_turns_that_nobody_called_angry() -> None:
    loud = np.tile([0.2, 0.6, 0.2, 0.9], (6, 1))
    turns = [row(role="customer"), row(role="customer", anger=0.0), row(role="customer", anger=1.0)]
    others = [row(role="agent"), row(role="customer", anger=0.5), row()]
    loud[0, 3] = 0.1
    assert figures(turns + others, loud, HALF)["false_alarms_per_1000"].value == 500.0
    assert "false_alarms_per_1000" not in figures([row(), row(role="agent")], loud[:2], HALF)


@pytest.mark.parametrize(
    ("text", "negated"),
    [
        ("质量不好", True),
        ("没有失望", True),
        ("非常满意", False),
        ("特别好", False),
        ("别人家的", False),
        ("别买", True),
        ("It isn’t bad", True),
        ("dont buy", True),
        ("nothing works", True),
        ("notably knotty", False),
    ],
)
def test_negation_is_seen_in_both_languages(text: str, negated: bool) -> None:
    assert has_negation(text) is negated


def test_emoji_are_seen_as_pictures_and_as_names() -> None:
    assert has_emoji("太差了😡")
    assert has_emoji("哈哈[允悲]")
    assert not has_emoji("plain, 100 % :-")


def test_slices_are_those_that_hold_a_row() -> None:
    rows = [
        row("不好", channel="review", language="zh"),
        row("x" * 300, channel="chat", role="customer", context="好的"),
        row("这个 product 真的 very good 我 really love it", language="zh"),
    ]
    found = {(each.dimension, each.name): each.places for each in slices_of(rows)}
    assert found["negation", "negation"] == [0]
    assert found["negation", "no negation"] == [1, 2]
    assert found["context", "context"] == [1]
    assert found["channel", "chat"] == [1]
    assert ("role", "") not in found
    assert found["language", "mixed"] == [2], "whatever language the source is said to be in"
    assert language_of(rows[0]) == "zh"
    assert length_of(rows[0]) == "1–10 characters"
    assert length_of(rows[1]) == "over 200 characters"
    lengths = [each.name for each in slices_of(rows) if each.dimension == "length"]
    assert lengths == ["1–10 characters", "31–80 characters", "over 200 characters"]


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    rows, scores = invented(400)
    chat, chat_scores = invented(100, seed=9, source="chat", role="customer", channel="chat")
    bare = [r._replace(sentiment=None, anger=None) for r in chat]
    return evaluate("m", rows + bare, np.concatenate([scores, chat_scores]), HALF, resamples=50)


def test_an_evaluation_survives_json(evaluation: Evaluation) -> None:
    assert msgspec.json.decode(msgspec.json.encode(evaluation), type=Evaluation) == evaluation
    assert evaluation.overall["texts"].value == 500
    assert {each.name for each in evaluation.of("source")} == {"shop", "chat"}


def test_every_head_counts_every_labelled_row_once(evaluation: Evaluation) -> None:
    for head in evaluation.heads:
        assert sum(map(sum, head.counts)) == sum(each.texts for each in head.bins)
    assert {head.head for head in evaluation.heads} == {"sentiment", "anger"}


def test_mistakes_come_surest_first_and_without_texts(evaluation: Evaluation) -> None:
    sure = [each.confidence for each in evaluation.mistakes]
    assert sure == sorted(sure, reverse=True)
    assert all(each.label != each.called for each in evaluation.mistakes)
    assert all(each.text is None for each in evaluation.mistakes)
    assert b"text 1" not in msgspec.json.encode(evaluation)
    rows, scores = invented(50)
    assert evaluate("m", rows, scores, HALF, resamples=0, show_texts=True).mistakes[0].text is not None


def test_the_manifest_gets_numbers_and_the_ends_of_intervals(evaluation: Evaluation) -> None:
    told = for_manifest(evaluation)
    assert told["shop"]["accuracy_low"] <= told["shop"]["accuracy"] <= told["shop"]["accuracy_high"]
    assert "called_negative" not in told["shop"]
    assert "called_negative" in told["chat"], "of a source without labels there is nothing else to tell"


def test_slices_too_small_to_say_anything_are_left_out() -> None:
    rows, scores = invented(30)
    rows[0] = rows[0]._replace(source="tiny")
    assert [each.name for each in evaluate("m", rows, scores, HALF, resamples=0).of("source")] == ["shop"]


def test_temperatures_are_fitted_to_each_language_on_its_own() -> None:
    rows, scores = invented(3_000)
    loud = scores**3
    loud[:, :3] /= loud[:, :3].sum(axis=1, keepdims=True)
    fitted = fit_by_language(rows * 2, np.concatenate([scores, loud]), ["zh"] * 3_000 + ["en"] * 3_000)
    assert fitted["en"].sentiment == pytest.approx(3 * fitted["zh"].sentiment, rel=0.1)
    assert fit_temperatures([row(sentiment=1)] * 3, np.tile([0.2, 0.6, 0.2, 0.1], (3, 1))).anger == 1.0
    assert fit_temperatures([], np.empty((0, 4))) == Temperatures()


def test_the_threshold_keeps_the_budget_of_false_alarms() -> None:
    calm = np.column_stack([np.tile([0.1, 0.8, 0.1], (1_000, 1)), np.linspace(0, 1, 1_000)])
    for budget in (0.005, 0.05):
        chosen = choose_decisions(calm, calm, false_alarms=budget)
        assert (calm[:, 3] >= chosen.anger_threshold).mean() <= budget
    assert choose_decisions(calm * 0.1, calm).anger_threshold == LOWEST_ALARM
    assert choose_decisions(np.empty((0, 4)), calm).anger_threshold == 0.5


def test_few_calm_turns_lower_no_threshold() -> None:
    """Of 100 turns the budget allows half of one: that says nothing of what lies between 0.45 and 0.5."""
    quiet = np.tile([0.1, 0.8, 0.1, 0.05], (ENOUGH_CALM, 1))
    assert choose_decisions(quiet, quiet).anger_threshold == LOWEST_ALARM
    assert choose_decisions(quiet[1:], quiet).anger_threshold == 0.5
    loud = np.tile([0.1, 0.8, 0.1, 0.7], (100, 1))
    assert choose_decisions(loud, quiet).anger_threshold == pytest.approx(0.701)


def test_a_limit_takes_the_same_rows_wherever_they_stand_in_the_file() -> None:
    rows, _ = invented(500)
    rows += invented(30, source="small")[0]
    chosen = at_most(iter(rows), 50)
    assert [sum(r.source == name for r in chosen) for name in ("shop", "small")] == [50, 30]
    assert chosen == [r for r in rows if r in set(chosen)], "in the order given"
    shuffled = list(rows)
    random.Random(1).shuffle(shuffled)
    assert set(at_most(shuffled, 50)) == set(chosen)
    assert 150 < np.mean([r.row for r in chosen if r.source == "shop"]) < 350, "from all of the file"
    assert set(at_most(rows, 20)) <= set(chosen)
