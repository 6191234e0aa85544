"""The gate: whoever is worse in one way is refused for that, who is proven better passes, an equal one stays out."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.bench.gate import FACTS, SIGNAL, World, scores, world
from stream_app.text.model_input import ModelInput
from trainer.judge import judge
from trainer.paired import Floats, delong, holm, sign_test, units_of
from trainer.rows import Row, group_of
from trainer.slices import has_negation
from trainer.verdict import Facts, Side, Verdict

WORLD = world(np.random.default_rng(5), 4_000)
CHAMPION = Side(FACTS, scores(WORLD, np.random.default_rng(6)))
BETTER_SCORES = scores(WORLD, np.random.default_rng(7), signal=SIGNAL + 0.15, anger=1.3)
BETTER = Side(msgspec.structs.replace(FACTS, model="better"), BETTER_SCORES)


def better(**facts: object) -> Side:
    """The better candidate, but for these facts."""
    return Side(msgspec.structs.replace(BETTER.facts, **facts), BETTER.scores)


def weaker_where(condition: Callable[[Row], bool], signal: float) -> Side:
    """The better candidate, but for the rows where it hears little of the mood."""
    strength = np.array([signal if condition(row) else SIGNAL + 0.15 for row in WORLD.rows])
    return BETTER._replace(scores=scores(WORLD, np.random.default_rng(7), signal=strength, anger=1.3))


def rescored(change: Callable[[Floats], Floats]) -> Side:
    return BETTER._replace(scores=change(BETTER.scores.copy()))


def verdict_on(candidate: Side) -> Verdict:
    return judge(WORLD.rows, CHAMPION, candidate)


def test_a_truly_better_one_passes() -> None:
    verdict = verdict_on(BETTER)
    assert verdict.refused_for == []
    assert verdict.passed


def test_an_identical_copy_is_refused_because_nothing_is_gained() -> None:
    verdict = verdict_on(CHAMPION)
    assert verdict.refused_for == ["gain"]


def test_a_second_training_that_is_neither_better_nor_worse_is_refused() -> None:
    verdict = verdict_on(Side(FACTS, scores(WORLD, np.random.default_rng(8))))
    assert verdict.refused_for == ["gain"]


def overconfident(found: Floats) -> Floats:
    """The same order and the same calls, at a temperature of a third."""
    sharp = found[:, :3] ** 3
    return np.column_stack([sharp / sharp.sum(axis=1, keepdims=True), found[:, 3]])


def alarming(found: Floats) -> Floats:
    calm = np.array([row.role == "customer" and not row.anger and row.sentiment != 0 for row in WORLD.rows])
    some = calm & (np.arange(len(found)) % 40 == 0)
    found[some, 3] = 0.95
    return found


def angerless(found: Floats) -> Floats:
    return np.column_stack([found[:, :3], np.random.default_rng(1).random(len(found)) * 0.3])


def garbled(found: Floats) -> Floats:
    """What random weights say: probabilities that have to do with no text."""
    drawn = np.random.default_rng(1).random(found.shape)
    return np.column_stack([drawn[:, :3] / drawn[:, :3].sum(axis=1, keepdims=True), drawn[:, 3]])


def with_nan(found: Floats) -> Floats:
    found[17] = np.nan
    return found


def negative_for_neutral(found: Floats) -> Floats:
    """Questions are complaints to it; everything else it knows better than before."""
    neutral = np.array([row.sentiment == 1 for row in WORLD.rows]) & (np.arange(len(found)) % 4 == 0)
    found[neutral, :3] = (0.6, 0.3, 0.1)
    return found


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        pytest.param(weaker_where(lambda row: row.language == "zh", 1.2), "language zh", id="one language lost"),
        pytest.param(weaker_where(lambda row: has_negation(row.input.text), 1.1), "negation with", id="negation lost"),
        pytest.param(weaker_where(lambda row: row.source == "en_chat", 1.1), "source en_chat", id="one source lost"),
        pytest.param(weaker_where(lambda row: "😡" in row.input.text, 0.6), "emoji with", id="emoji lost"),
        pytest.param(rescored(overconfident), "calibration sentiment", id="overconfident"),
        pytest.param(rescored(lambda s: s[:, [2, 1, 0, 3]]), "label map negative", id="label map swapped"),
        pytest.param(rescored(lambda s: s[:, [1, 0, 2, 3]]), "label map neutral", id="two of three labels swapped"),
        pytest.param(rescored(garbled), "macro F1", id="weights damaged"),
        pytest.param(rescored(with_nan), "finite scores", id="a text without scores"),
        pytest.param(rescored(lambda s: s * 1.5), "finite scores", id="scores out of range"),
        pytest.param(better(text_version=FACTS.text_version + 1), "text version", id="text prepared in another way"),  # type: ignore[operator]
        pytest.param(better(text_version=None), "text version", id="text prepared who knows how"),
        pytest.param(better(seconds_per_1000=FACTS.seconds_per_1000 * 1.3), "speed (s per 1,000)", id="slower"),
        pytest.param(better(size_mb=FACTS.size_mb * 2), "size (MB)", id="twice the size"),
        pytest.param(better(max_tokens=64), "tokens read", id="reads half of a long text"),
        pytest.param(better(canary_ok=False), "canary", id="not the scores it was made with"),
        pytest.param(better(labels={"0": "negative", "1": "positive"}), "answers", id="never says neutral"),
        pytest.param(better(knows_anger=False), "answers", id="does not know anger"),
        pytest.param(better(behaviour={"minimum": 0.8, "invariance": 0.95}), "behaviour minimum", id="fails cases"),
        pytest.param(rescored(alarming), "false alarms", id="more false alarms"),
        pytest.param(rescored(angerless), "anger AUC", id="anger lost"),
        pytest.param(better(anger_threshold=0.999), "anger recall", id="hardly ever alarms"),
        pytest.param(rescored(negative_for_neutral), "neutral called negative", id="questions are complaints"),
        pytest.param(better(renewed=("zh", "en", "ja")), "evidence ja", id="trained where nothing was measured"),
    ],
)
def test_a_worse_one_is_refused_and_the_verdict_says_why(candidate: Side, reason: str) -> None:
    verdict = verdict_on(candidate)
    assert not verdict.passed
    assert reason in verdict.refused_for


@pytest.mark.parametrize("facts", [{"text_version": 99}, {"seconds_per_1000": 99.0}, {"canary_ok": False}])
def test_what_is_wrong_outside_the_scores_is_the_only_reason_given(facts: dict[str, object]) -> None:
    assert len(verdict_on(better(**facts)).refused_for) == 1


def test_every_criterion_has_its_number_its_limit_and_its_test() -> None:
    for each in verdict_on(BETTER).criteria:
        assert each.test
        assert each.name == "gain" or each.limit is not None
        assert each.value is not None


def test_a_verdict_survives_the_database() -> None:
    verdict = verdict_on(BETTER)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(random: object) -> None:
    order = list(range(600))
    random.shuffle(order)  # type: ignore[attr-defined]
    small = WORLD.rows[:600]
    shuffled = [small[place] for place in order]
    sides = CHAMPION._replace(scores=CHAMPION.scores[:600]), BETTER._replace(scores=BETTER.scores[:600])
    other = tuple(side._replace(scores=side.scores[order]) for side in sides)
    assert judge(shuffled, other[0], other[1]) == judge(small, sides[0], sides[1])


def test_nothing_to_measure_is_no_proof() -> None:
    nothing = np.zeros((0, 4))
    verdict = judge([], CHAMPION._replace(scores=nothing), BETTER._replace(scores=nothing))
    assert {"gain", "evidence zh", "evidence en"} <= set(verdict.refused_for)


def test_rows_without_any_label_are_no_proof_either() -> None:
    bare = World([row._replace(sentiment=None, anger=None) for row in WORLD.rows], WORLD.noise)
    assert "gain" in judge(bare.rows, CHAMPION, BETTER).refused_for


def test_one_customer_is_one_witness() -> None:
    """A hundred texts of one customer, all better: no proof."""
    change = np.ones(100, dtype=np.int64)
    assert sign_test(change, np.zeros(100, dtype=np.int64)).p_better == 0.5
    assert sign_test(change, np.arange(100)).p_better < 1e-20


def test_a_customer_with_many_conversations_is_still_one_witness() -> None:
    rows = [
        Row("chat", f"k{n}", ModelInput("fine", None), 2, 0.0, group=group_of(customer="c", conversation=f"x{n}"))
        for n in range(100)
    ]
    change = np.ones(100, dtype=np.int64)
    assert sign_test(change, units_of(rows)).p_better == 0.5
    strangers = [row._replace(group="") for row in rows]
    assert sign_test(change, units_of(strangers)).p_better < 1e-20
    assert units_of([]).tolist() == []


def calm_places() -> list[int]:
    return [n for n, row in enumerate(WORLD.rows) if row.role == "customer" and not row.anger and row.sentiment != 0]


def alarming_on(side: Side, places: list[int]) -> Side:
    """Its alarms on calm service turns are these and no other."""
    found = side.scores.copy()
    found[calm_places(), 3] = np.minimum(found[calm_places(), 3], 0.7)
    found[places, 3] = 0.95
    return side._replace(scores=found)


def test_one_false_alarm_more_than_a_champion_over_the_budget_is_luck() -> None:
    calm = calm_places()
    champion = alarming_on(CHAMPION, calm[::40])  # 2.5 %, the budget is 0.5 %
    candidate = alarming_on(BETTER, [*calm[::40], calm[1]])
    assert "false alarms" not in judge(WORLD.rows, champion, candidate).refused_for
    worse = alarming_on(BETTER, calm[::20])
    assert "false alarms" in judge(WORLD.rows, champion, worse).refused_for


def test_false_alarms_of_one_customer_refuse_nobody() -> None:
    calm = calm_places()
    loud = calm[:60]
    rows = [
        row._replace(group=group_of(customer="loud", conversation=str(n))) if n in loud else row
        for n, row in enumerate(WORLD.rows)
    ]
    quiet = alarming_on(CHAMPION, [])
    assert "false alarms" not in judge(rows, quiet, alarming_on(BETTER, loud)).refused_for
    assert "false alarms" in judge(rows, quiet, alarming_on(BETTER, calm[60:120])).refused_for


def test_the_sign_test_is_mcnemars() -> None:
    change = np.array([1] * 15 + [-1] * 5 + [0] * 100)
    found = sign_test(change, np.arange(120))
    assert (found.better, found.worse) == (15, 5)
    assert found.p_better == pytest.approx(0.0206947, abs=1e-6)  # binom.test(15, 20, alternative = "greater") in R


def test_delong_finds_the_areas_and_a_difference() -> None:
    rng = np.random.default_rng(2)
    angry = rng.random(2_000) < 0.3
    good, poor = angry * 2.0 + rng.normal(size=2_000), angry * 0.8 + rng.normal(size=2_000)
    areas = delong(angry, poor, good, np.arange(2_000))
    assert areas.champion == pytest.approx(0.714, abs=0.03)  # Φ(0.8 / √2)
    assert areas.candidate == pytest.approx(0.921, abs=0.02)
    assert areas.p_better < 1e-6
    assert areas.p_worse > 0.99


def test_delong_keeps_its_promise_of_one_in_twenty() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(400):
        angry = rng.random(400) < 0.3
        shared = rng.normal(size=400)
        one, other = (angry + shared + 0.5 * rng.normal(size=400) for _ in range(2))
        found.append(delong(angry, one, other, np.arange(400)).p_better < 0.05)
    assert np.mean(found) < 0.08  # 0.05 and three standard errors


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_facts_and_sides_need_no_texts() -> None:
    """The gate is pure: it judges rows it has never loaded a model for."""
    rows = [Row("own", "a", ModelInput("fine", None), 2, None)]
    one = np.array([[0.1, 0.1, 0.8, 0.0]])
    assert isinstance(judge(rows, Side(FACTS, one), Side(FACTS, one)), Verdict)
    assert Facts.__struct_config__.frozen
