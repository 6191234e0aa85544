"""What the bundle that ships promises. These figures are floors, not results: the results are in its README.md."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

from stream_app.commands.models import command as models
from stream_app.scoring.decisions import judge
from stream_app.scoring.load import default_bundle, load_scorer
from stream_app.scoring.model_scorer import ModelScorer
from stream_app.scoring.outputs import Outputs
from stream_app.text.model_input import TEXT_VERSION, ModelInput, model_input
from tests.model.test_packed_bert import padded_logits
from trainer.corpus import read_own_turns

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def scorer() -> ModelScorer:
    return cast(ModelScorer, load_scorer("default"))


def test_the_shipped_bundle_passes_its_canary(scorer: ModelScorer) -> None:
    assert len(scorer.manifest.canary) >= 6
    assert {canary.context is None for canary in scorer.manifest.canary} == {True, False}
    scorer.check_canary()


def test_it_was_trained_on_the_text_that_this_program_prepares(scorer: ModelScorer) -> None:
    assert scorer.text_version == scorer.manifest.text_version == TEXT_VERSION


def test_it_scores_as_padded_fp32_does(scorer: ModelScorer) -> None:
    folder = default_bundle()
    inputs = [row.input for row in read_own_turns()][::25]
    inputs += [ModelInput("东西收到了，" * 60, "什么时候发货"), ModelInput("", None)]
    scores = np.array(scorer.score(inputs))
    for name, places in scorer.encode(inputs).items():
        encoder = scorer.manifest.checkpoints[name]
        manifest = msgspec.structs.replace(scorer.manifest, temperatures=encoder.temperatures)
        reference = Outputs(manifest, {0: "negative", 1: "neutral", 2: "positive", 3: "anger"})
        expected = reference.scores(padded_logits(folder / encoder.folder, list(places.values())))
        assert np.abs(scores[list(places)] - np.array(expected)).max() < 1e-4


def test_anyone_can_load_it_as_a_plain_classifier(scorer: ModelScorer, tmp_path: Path) -> None:
    done = CliRunner().invoke(models, ["export", "default", "--out", str(tmp_path / "plain")])
    assert done.exit_code == 0, done.output
    for encoder in scorer.manifest.checkpoints.values():
        model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "plain" / encoder.folder)
        assert model.config.id2label == {0: "negative", 1: "neutral", 2: "positive", 3: "anger"}
        assert model.dtype == torch.float32


def test_it_is_small_enough_to_ship_in_the_package() -> None:
    assert sum(path.stat().st_size for path in default_bundle().rglob("*") if path.is_file()) < 45e6


def test_its_card_and_manifest_name_the_licences_of_its_data(scorer: ModelScorer) -> None:
    card = (default_bundle() / "README.md").read_text(encoding="utf-8")
    assert len(scorer.manifest.licences) > 10
    assert all(name in card for name in scorer.manifest.licences)


@pytest.mark.parametrize(
    ("text", "context", "label"),
    [
        ("质量很好，物流也快，非常满意", (), "positive"),
        ("收到就是坏的，客服也不理人，太失望了", (), "negative"),
        ("不好用，别买", (), "negative"),
        pytest.param(
            "没有失望，比想象的好",
            (),
            "positive",
            marks=pytest.mark.xfail(reason="negated disappointment: not learnt yet"),
        ),
        ("请问什么时候发货", (), "neutral"),
        ("好的", ("请稍等，正在为您查询",), "neutral"),
        ("Absolutely love it, works perfectly", (), "positive"),
        ("Broke after two days, waste of money", (), "negative"),
        ("Where is my parcel?", (), "neutral"),
    ],
)
def test_plain_cases_are_plain(scorer: ModelScorer, text: str, context: tuple[str, ...], label: str) -> None:
    assert judge(scorer.score([model_input(text, context)])[0], scorer.decisions).label == label


def test_fury_is_heard_and_a_polite_question_is_not_fury(scorer: ModelScorer) -> None:
    furious = [
        model_input(text) for text in ("骗子！！气死我了，退钱！", "You liars, I am so angry, give me my money back!!!")
    ]
    calm = [model_input(text) for text in ("请问退款一般几天到账", "How long does a refund take?")]
    lowest = min(scores.anger for scores in scorer.score(furious))
    assert lowest > max(scores.anger for scores in scorer.score(calm)) + 0.3


def test_unknown_pieces_are_rare_in_customers_language(scorer: ModelScorer) -> None:
    for name, places in scorer.encode([row.input for row in read_own_turns()]).items():
        folder = default_bundle() / scorer.manifest.checkpoints[name].folder
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        unknown = {tokenizer.token_to_id(piece) for piece in ("<unk>", "[UNK]")}
        tokens = [token for item in places.values() for token in item.ids]
        # The Chinese base knows no “, ” and …: two thirds of what is unknown.
        assert sum(token in unknown for token in tokens) / len(tokens) < 0.003
