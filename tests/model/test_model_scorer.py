"""The promises of `Scorer`, kept by a real (tiny) model."""

from __future__ import annotations

import gc
import random
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stream_app import settings
from stream_app.errors import SetupError
from stream_app.model import load_model
from stream_app.scoring.load import load_scorer
from stream_app.scoring.model_scorer import ModelScorer
from stream_app.scoring.scorer import CanaryFailed, Scores, ScoringError
from stream_app.text.model_input import ModelInput
from tests.model.tiny import change_manifest
from trainer.corpus import read_own_turns

TURNS = [row.input for row in read_own_turns()]


def load(folder: Path, *, remember: int = 0, token_budget: int = 1024) -> ModelScorer:
    return cast(ModelScorer, load_scorer(str(folder), remember=remember, token_budget=token_budget))


def same(found: list[Scores], expected: list[Scores]) -> bool:
    return bool(np.allclose(found, expected, atol=1e-5))


@pytest.fixture(scope="module")
def alone(shared_bundle: Path) -> dict[ModelInput, Scores]:
    scorer = load(shared_bundle)
    return {turn: scorer.score([turn])[0] for turn in TURNS}


@pytest.mark.parametrize("token_budget", [1, 40, 1024, 100_000])
def test_a_text_scores_the_same_in_any_batch(
    shared_bundle: Path, alone: dict[ModelInput, Scores], token_budget: int
) -> None:
    together = load(shared_bundle, token_budget=token_budget).score(TURNS)
    assert same(together, [alone[turn] for turn in TURNS])
    assert np.ptp(np.array(together), axis=0).max() > 0.05, "a model that says the same of every text proves nothing"


def test_scores_come_back_in_the_order_of_the_inputs_whoever_calls_at_once(
    shared_bundle: Path, alone: dict[ModelInput, Scores]
) -> None:
    scorer = load(shared_bundle, remember=50, token_budget=128)

    def call(seed: int) -> bool:
        turns = random.Random(seed).sample(TURNS, 60)
        return same(scorer.score(turns), [alone[turn] for turn in turns])

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(call, range(40)))


def test_the_three_moods_sum_to_one(alone: dict[ModelInput, Scores]) -> None:
    for scores in alone.values():
        assert sum(scores[:3]) == pytest.approx(1)
        assert all(0 <= value <= 1 for value in scores)


def test_nothing_in_nothing_out(shared_bundle: Path) -> None:
    assert load(shared_bundle).score([]) == []


def test_empty_and_huge_texts_get_a_score_and_leave_their_neighbours_alone(
    shared_bundle: Path, alone: dict[ModelInput, Scores]
) -> None:
    huge = ModelInput("这个订单到底怎么回事" * 2000, "huge " * 4000)
    found = load(shared_bundle).score([huge, ModelInput("", None), TURNS[0]])
    assert len(found) == 3
    assert same(found[2:], [alone[TURNS[0]]])


def test_repeats_are_scored_once(shared_bundle: Path) -> None:
    scorer = load(shared_bundle, remember=10)
    first = scorer.score([TURNS[0], TURNS[1], TURNS[0]])
    assert first[0] == first[2]
    assert scorer.hits == 1
    scorer.score([TURNS[1]])
    assert scorer.hits == 2


def test_the_same_text_in_another_context_is_another_text(shared_bundle: Path) -> None:
    scorer = load(shared_bundle, remember=10)
    scorer.score([ModelInput("好的", None), ModelInput("好的", "又要等一个星期")])
    assert scorer.hits == 0


def test_memory_of_recent_texts_is_bounded_and_forgets_the_oldest(shared_bundle: Path) -> None:
    scorer = load(shared_bundle, remember=10)
    scorer.score(TURNS[:11])
    scorer.score(TURNS[1:11])
    assert scorer.hits == 10
    scorer.score(TURNS[:1])
    assert scorer.hits == 10


def test_a_failing_forward_is_a_scoring_error_and_the_next_call_works(
    shared_bundle: Path, alone: dict[ModelInput, Scores]
) -> None:
    scorer = load(shared_bundle)
    surrogate = ModelInput("\ud800", None)  # no valid Unicode: the tokenizer refuses it
    with pytest.raises(ScoringError):
        scorer.score([TURNS[0], surrogate])
    assert same(scorer.score(TURNS[:1]), [alone[TURNS[0]]])


def test_a_closed_scorer_says_so_instead_of_hanging(shared_bundle: Path) -> None:
    scorer = load(shared_bundle)
    scorer.close()
    with pytest.raises(ScoringError):
        scorer.score(TURNS[:1])


@pytest.fixture
def no_collection() -> Iterator[None]:
    """As in a worker, which puts full collections off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_a_closed_scorer_is_gone_with_its_last_user_without_a_collection(shared_bundle: Path) -> None:
    scorer = load(shared_bundle, remember=10)
    scorer.check_canary()
    scorer.score(TURNS[:50])
    scorer.close()
    scorer_gone, model_gone = weakref.ref(scorer), weakref.ref(scorer.parts["all"].model)
    del scorer
    assert scorer_gone() is None
    assert model_gone() is None


def scoring_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("score-refused")]


@pytest.mark.usefixtures("no_collection")
def test_a_model_that_fails_its_canary_leaves_no_threads(bundle: Path) -> None:
    change_manifest(bundle, name="refused")
    perturb(bundle, 1.2)
    with pytest.raises(SetupError, match="canary text"):
        load_model(settings.load(model=str(bundle)))
    assert scoring_threads() == []


def test_scoring_threads_leave_the_torch_threads_of_the_caller_alone(shared_bundle: Path) -> None:
    before = torch.get_num_threads()
    load(shared_bundle).score(TURNS[:4])
    assert torch.get_num_threads() == before
    assert threading.current_thread() is threading.main_thread()


def test_the_canary_passes_on_a_healthy_model(shared_bundle: Path) -> None:
    load(shared_bundle).check_canary()


def perturb(folder: Path, factor: float) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = "bert.encoder.layer.0.output.dense.weight"
    save_file(weights | {name: weights[name] * factor}, path)


@pytest.mark.parametrize("factor", [1.2, float("nan")], ids=["slightly other weights", "weights that are no numbers"])
def test_the_canary_fails_on_perturbed_weights(bundle: Path, factor: float) -> None:
    perturb(bundle, factor)
    with pytest.raises(CanaryFailed):
        load(bundle).check_canary()


@pytest.mark.parametrize("where", range(4))
def test_the_canary_fails_on_a_score_that_is_no_number(
    shared_bundle: Path, monkeypatch: pytest.MonkeyPatch, where: int
) -> None:
    """Whatever let it through: a comparison with NaN is never true."""
    scorer = load(shared_bundle)
    right = scorer._compute

    def no_number(inputs: Sequence[ModelInput]) -> list[Scores]:
        return [Scores(*(float("nan") if n == where else score for n, score in enumerate(scores)))
                for scores in right(inputs)]  # fmt: skip

    monkeypatch.setattr(scorer, "_compute", no_number)
    with pytest.raises(CanaryFailed):
        scorer.check_canary()
