from __future__ import annotations

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.bundle import Decisions
from stream_app.scoring.decisions import judge
from stream_app.scoring.quick import QuickScorer
from stream_app.scoring.scorer import Scores
from stream_app.text.model_input import ModelInput

DECISIONS = Decisions(anger_threshold=0.6, intensity_cuts=(0.2, 0.4, 0.6, 0.8))
PARTS = st.floats(0, 1, allow_nan=False)


@pytest.mark.parametrize(
    ("scores", "label"),
    [
        pytest.param(Scores(0.5, 0.3, 0.2, 0.0), "negative", id="the largest wins"),
        pytest.param(Scores(0.2, 0.3, 0.5, 0.0), "positive", id="whichever it is"),
        pytest.param(Scores(0.4, 0.4, 0.2, 0.0), "neutral", id="a tie with neutral is neutral"),
        pytest.param(Scores(0.45, 0.1, 0.45, 0.0), "neutral", id="a tie of the two poles is neutral"),
    ],
)
def test_the_label_is_the_likeliest_mood_and_doubt_is_neutral(scores: Scores, label: str) -> None:
    assert judge(scores, DECISIONS).label == label


@pytest.mark.parametrize(
    ("scores", "intensity"),
    [
        pytest.param(Scores(0.1, 0.8, 0.1, 0.0), 1, id="calm"),
        pytest.param(Scores(0.0, 0.5, 0.5, 0.0), 3, id="fairly positive"),
        pytest.param(Scores(0.95, 0.05, 0.0, 0.0), 5, id="as negative as it gets"),
        pytest.param(Scores(0.5, 0.0, 0.5, 0.9), 5, id="mixed but furious"),
    ],
)
def test_intensity_counts_the_cuts_below_the_strength(scores: Scores, intensity: int) -> None:
    assert judge(scores, DECISIONS).intensity == intensity


def test_anger_at_the_threshold_is_anger() -> None:
    assert judge(Scores(0.3, 0.4, 0.3, 0.6), DECISIONS).angry
    assert not judge(Scores(0.3, 0.4, 0.3, 0.599), DECISIONS).angry


@given(PARTS, PARTS, PARTS)
def test_score_and_intensity_stay_in_their_ranges(one: float, two: float, anger: float) -> None:
    negative, positive = min(one, two), 1 - max(one, two)
    found = judge(Scores(negative, 1 - negative - positive, positive, anger), DECISIONS)
    assert -1 <= found.score <= 1
    assert 1 <= found.intensity <= 5


def test_the_stand_in_is_deterministic_and_its_probabilities_sum_to_one() -> None:
    inputs = [
        ModelInput(text, None) for text in ("你们是骗子！！", "东西太差", "谢谢，很好", "什么时候到", "", "when?")
    ]
    moods = [judge(scores, QuickScorer.decisions) for scores in QuickScorer().score(inputs)]
    assert [mood.label for mood in moods] == ["negative", "negative", "positive", "neutral", "neutral", "neutral"]
    assert moods[0].angry
    assert QuickScorer().score(inputs) == QuickScorer().score(inputs)
    assert all(abs(sum(scores[:3]) - 1) < 1e-9 for scores in QuickScorer().score(inputs))


def test_judging_and_the_stand_in_cost_microseconds() -> None:
    """Generous by five: this catches an accident (a copy, a loop), the figures are in ops/bench."""
    scorer, inputs = QuickScorer(), [ModelInput("请问我的快递什么时候能到呢", None)] * 100
    scores = Scores(0.5, 0.3, 0.2, 0.0)
    assert min(timeit.repeat(lambda: judge(scores, DECISIONS), number=1000, repeat=5)) / 1000 < 5e-6
    assert min(timeit.repeat(lambda: scorer.score(inputs), number=10, repeat=5)) / 1000 < 5e-6
