"""The report: whole, escaped, without anybody's words unless asked."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.bundle import Decisions
from stream_app.errors import SetupError
from stream_app.scoring.scorer import Scores
from stream_app.text.model_input import ModelInput
from trainer.behaviour import Case, examine
from trainer.evaluate import Evaluation, evaluate
from trainer.pages import page, read_curves, write_report
from trainer.plots import smoothed
from trainer.rows import Row

HALF = Decisions(anger_threshold=0.5)
SECRET = "<b>这句话是顾客说的</b>"


class Shy:
    """Calls everything neutral."""

    name, text_version, decisions = "shy", 1, HALF

    def score(self, inputs: object) -> list[Scores]:
        return [Scores(0.2, 0.6, 0.2, 0.1) for _ in inputs]  # type: ignore[attr-defined]

    def check_canary(self) -> None: ...


def evaluation(*, show_texts: bool = False, labels: bool = True) -> Evaluation:
    rng = np.random.default_rng(0)
    rows, scores = [], []
    for i in range(120):
        mood, angry = int(rng.integers(3)), float(rng.integers(2))
        text = f"{SECRET} {i}" if i % 2 else f"text {i}"
        role = "customer" if i % 3 == 0 else ""
        rows.append(
            Row("shop", text, ModelInput(text, None), mood if labels else None, angry if labels else None, role=role)
        )
        likely = rng.dirichlet((1, 1, 1))
        scores.append([*likely, rng.random()])
    return evaluate("mine-<1>", rows, np.array(scores), HALF, resamples=20, show_texts=show_texts)


def images(text: str) -> list[bytes]:
    return [base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text)]


def test_it_is_one_file_with_its_pictures_inside_for_light_and_dark(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    curves = [{"step": step, "loss": 1 / step} for step in range(1, 30)] + [{"step": 29, "held_loss": 0.4}]
    write_report(path, evaluation(), curves=curves)
    text = path.read_text("utf-8")
    assert not re.findall(r"(?:src|href|srcset)=\"(?!data:image/png)", text), "needs nothing beside it"
    drawn = images(text)
    # two languages, two heads, confusion and reliability, and the curves; each light and dark
    assert len(drawn) == (2 * 2 * 2 + 1) * 2
    (tmp_path / "one.png").write_bytes(drawn[0])
    with Image.open(tmp_path / "one.png") as picture:
        assert min(picture.size) > 300
    assert "prefers-color-scheme: dark" in text
    assert list(tmp_path.glob("*.new")) == []


def test_nobodys_words_are_in_it_unless_asked() -> None:
    assert "顾客" not in page(evaluation())
    shown = page(evaluation(show_texts=True), show_texts=True)
    assert "这句话是顾客说的" in shown
    assert SECRET not in shown, "and then they are escaped"
    assert "mine-&lt;1&gt;" in shown


def test_what_cannot_be_said_is_a_dot_and_not_a_crash() -> None:
    text = page(evaluation(labels=False))
    assert "called negative" in text
    assert not images(text)
    assert "surest mistakes" not in text


def test_nothing_to_evaluate_is_still_a_page() -> None:
    assert "<title>empty" in page(evaluate("empty", [], np.empty((0, 4)), HALF))


def test_behaviour_is_shown_with_its_failures() -> None:
    cases = [
        Case("a-1", "minimum", "dark_humour", "en", "how lovely of you", sentiment="neg"),
        Case("a-2", "minimum", "dark_humour", "en", "a parcel", sentiment="neu"),
    ]
    text = page(evaluation(), behaviour=examine(Shy(), cases))
    assert "1 of 2 cases" in text
    assert "dark humour" in text
    assert "neutral, not negative" in text
    assert "how lovely of you" not in text


def test_curves_are_read_line_by_line_and_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.5, "note": "x"}\n{"step": 2', "utf-8")
    with pytest.raises(SetupError, match=r"metrics\.jsonl line 2"):
        read_curves(path)
    path.write_text('{"step": 1, "loss": 2.5, "note": "x"}\n', "utf-8")
    assert read_curves(path) == [{"step": 1, "loss": 2.5}]


def test_a_smoothed_constant_is_that_constant() -> None:
    assert smoothed(np.full(100, 3.0)) == pytest.approx([3.0] * 100)
