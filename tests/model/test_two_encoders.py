"""A bundle with an encoder for each language promises what one with a single encoder does."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from schemas.bundle import BundleError, Manifest, Temperatures, read_manifest, write_manifest
from stream_app.scoring.load import load_scorer
from stream_app.scoring.model_scorer import ModelScorer
from stream_app.scoring.scorer import Scores
from stream_app.text.language import encoder_language
from stream_app.text.model_input import ModelInput
from tests.model.pair import english_base, pair_bundle
from tests.model.tiny import change_manifest
from trainer.corpus import read_own_turns

OWN = [row.input for row in read_own_turns()]
TURNS = [*OWN[:: len(OWN) // 100], ModelInput("👍", "thanks a lot"), ModelInput("666", None)]


def load(folder: Path, *, remember: int = 0, token_budget: int = 1024) -> ModelScorer:
    return cast(ModelScorer, load_scorer(str(folder), remember=remember, token_budget=token_budget))


def language(item: ModelInput) -> str:
    return encoder_language(item.text, item.context)


@pytest.fixture(scope="module")
def shared_pair(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    return pair_bundle(folder / "pair", base, english_base(folder / "english"))


@pytest.fixture
def pair(shared_pair: Path, tmp_path: Path) -> Path:
    """One to damage."""
    return shutil.copytree(shared_pair, tmp_path / "pair")


@pytest.fixture(scope="module")
def alone(shared_pair: Path) -> dict[ModelInput, Scores]:
    scorer = load(shared_pair)
    return {turn: scorer.score([turn])[0] for turn in TURNS}


def same(found: list[Scores], expected: list[Scores]) -> bool:
    return bool(np.allclose(found, expected, atol=1e-5))


@pytest.mark.parametrize("token_budget", [1, 40, 1024, 100_000])
def test_a_text_scores_the_same_in_any_batch_whatever_its_neighbours_language(
    shared_pair: Path, alone: dict[ModelInput, Scores], token_budget: int
) -> None:
    assert {language(turn) for turn in TURNS} == {"zh", "en"}
    mixed = random.Random(1).sample(TURNS, len(TURNS))
    together = load(shared_pair, token_budget=token_budget).score(mixed)
    assert same(together, [alone[turn] for turn in mixed])
    assert np.ptp(np.array(together), axis=0).max() > 0.05, "a model that says the same of every text proves nothing"


@pytest.mark.parametrize("name", ["zh", "en"])
def test_each_text_is_read_by_the_encoder_of_its_language(
    pair: Path, alone: dict[ModelInput, Scores], name: str
) -> None:
    """The encoder's folder, as a bundle of its own, gives the same scores."""
    manifest = read_manifest(pair)
    encoder = manifest.encoders["zh" if name == "zh" else "en"]
    single = Manifest(
        name="single",
        labels=manifest.labels,
        anger_output=manifest.anger_output,
        architecture=manifest.architecture,
        max_tokens=manifest.max_tokens,
        temperatures=encoder.temperatures,
    )
    write_manifest(pair / name, single)
    texts = [turn for turn in TURNS if language(turn) == name]
    assert same(load(pair / name).score(texts), [alone[turn] for turn in texts])


def test_each_encoder_has_its_own_temperatures(pair: Path, alone: dict[ModelInput, Scores]) -> None:
    encoders = json.loads((pair / "bundle.json").read_bytes())["encoders"]
    encoders["en"]["temperatures"] = {"sentiment": 9.0, "anger": 9.0}
    change_manifest(pair, encoders=encoders)
    changed = dict(zip(TURNS, load(pair).score(TURNS), strict=True))
    assert {language(turn) for turn in TURNS if not same([changed[turn]], [alone[turn]])} == {"en"}
    assert read_manifest(pair).encoders["en"].temperatures == Temperatures(9.0, 9.0)


def test_scores_come_back_in_order_whoever_calls_at_once(shared_pair: Path, alone: dict[ModelInput, Scores]) -> None:
    scorer = load(shared_pair, remember=50, token_budget=128)

    def call(seed: int) -> bool:
        turns = random.Random(seed).sample(TURNS, 40)
        return same(scorer.score(turns), [alone[turn] for turn in turns])

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(call, range(30)))


def test_both_encoders_share_one_memory_of_recent_texts(shared_pair: Path) -> None:
    scorer = load(shared_pair, remember=10)
    texts = [ModelInput("好的", None), ModelInput("thanks", None)]
    assert scorer.score(texts) == scorer.score(texts)
    assert scorer.hits == 2


def test_the_canary_passes_and_covers_both(shared_pair: Path) -> None:
    scorer = load(shared_pair)
    scorer.check_canary()
    assert {encoder_language(text.text, text.context) for text in scorer.manifest.canary} == {"zh", "en"}


def move(source: str, target: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copyfile(folder / source, folder / target)


def without_hashes(damage: Callable[[Path], object]) -> Callable[[Path], None]:
    """As a bundle without hashes would have it: the loader itself must notice."""

    def both(folder: Path) -> None:
        change_manifest(folder, weights={})
        damage(folder)

    return both


def cut_short(folder: Path) -> None:
    path = folder / "en" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-300])


def other_outputs(folder: Path) -> None:
    path = folder / "en" / "config.json"
    config = json.loads(path.read_bytes())
    config["id2label"]["0"], config["id2label"]["2"] = "positive", "negative"
    path.write_text(json.dumps(config), "utf-8")


def scale(change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any] | None]) -> Callable[[Path], None]:
    """Changes the scale of the Chinese words, or takes it away."""

    def damage(folder: Path) -> None:
        path = folder / "zh" / "model.safetensors"
        weights = load_file(path)
        name = "bert.embeddings.word_embeddings.weight.scale"
        changed = change(weights.pop(name))
        save_file(weights | ({} if changed is None else {name: changed}), path)

    return damage


def encoders(**changes: object) -> Callable[[Path], None]:
    return lambda folder: change_manifest(
        folder, encoders=json.loads((folder / "bundle.json").read_bytes())["encoders"] | changes
    )


def only_zh(folder: Path) -> None:
    change_manifest(folder, encoders={"zh": {"folder": "zh"}})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lambda folder: shutil.rmtree(folder / "en"), "holds no en/", id="an encoder's folder missing"),
        pytest.param(
            without_hashes(lambda folder: shutil.rmtree(folder / "en")), "en is missing", id="the same, no hashes"
        ),
        pytest.param(without_hashes(other_outputs), "different outputs", id="encoders of different outputs"),
        pytest.param(
            without_hashes(move("zh/tokenizer.json", "en/tokenizer.json")),
            "do not belong together",
            id="tokenizer of the other encoder",
        ),
        pytest.param(without_hashes(cut_short), "cut short or damaged", id="cut-short weights"),
        pytest.param(
            without_hashes(move("zh/model.safetensors", "en/model.safetensors")), "has shape", id="the other's weights"
        ),
        pytest.param(cut_short, "is not the file that bundle.json describes", id="hash mismatch"),
        pytest.param(
            move("zh/tokenizer.json", "en/tokenizer.json"),
            "en/tokenizer.json is not the file",
            id="hash of a tokenizer",
        ),
        pytest.param(
            lambda folder: change_manifest(folder, weights={"zh/model.safetensors": "0"}),
            "has no hash of en/model.safetensors",
            id="a hash missing",
        ),
        pytest.param(without_hashes(scale(lambda _: None)), "without bert.embeddings", id="scale missing"),
        pytest.param(without_hashes(scale(lambda old: old * np.float16("nan"))), "no numbers", id="scale that is NaN"),
        pytest.param(without_hashes(scale(lambda old: old[:-1])), "has shape", id="scale of another shape"),
        pytest.param(
            without_hashes(scale(lambda old: np.zeros(old.shape, np.int32))), "no numbers", id="scale of whole numbers"
        ),
        pytest.param(only_zh, "no encoder for en", id="a language without encoder"),
        pytest.param(encoders(fr={"folder": "fr"}), "not a valid manifest", id="a language we do not know"),
        pytest.param(encoders(en={"folder": "../en"}), "not inside the bundle", id="an encoder outside of the bundle"),
        pytest.param(encoders(en={"folder": "/en"}), "not inside the bundle", id="an encoder at an absolute path"),
    ],
)
def test_a_broken_pair_gives_one_readable_sentence(pair: Path, damage: Callable[[Path], object], says: str) -> None:
    damage(pair)
    with pytest.raises(BundleError) as caught:
        load_scorer(str(pair))
    sentence = str(caught.value)
    assert says in sentence
    assert "\n" not in sentence
    assert str(pair) in sentence, "it must say where"
