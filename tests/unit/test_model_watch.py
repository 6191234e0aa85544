"""A promoted model serves only if it is there, is what it says, and still knows its canary; else the old one stays."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from schemas.bundle import BundleError
from schemas.codec import encode
from schemas.events import ModelPromoted
from stream_app.scoring.quick import QuickScorer
from stream_app.scoring.scorer import CanaryFailed, Scorer
from stream_app.serving.model_watch import ModelWatch, latest


class NewScorer(QuickScorer):
    name = "new"


class DamagedScorer(NewScorer):
    def check_canary(self) -> None:
        raise CanaryFailed("canary 3 gives anger 0.12\ninstead of 0.97")


def promotion(model: str = "new", path: str = "/bundles/new", day: int = 1) -> bytes:
    return encode(
        ModelPromoted(
            model=model, path=path, promoted_at=datetime(2025, 6, day, tzinfo=UTC), promoted_by="trainer",
            reason="better on held-back labels",
        )
    )  # fmt: skip


def missing(path: str) -> Scorer:
    raise BundleError(f"No model bundle at {path}: no such folder.")


def exhausted(path: str) -> Scorer:
    raise MemoryError


def watch(load: Callable[[str], Scorer]) -> tuple[ModelWatch, list[Scorer]]:
    serving: list[Scorer] = []
    return ModelWatch(load, serving.append), serving


def test_a_promoted_model_that_passes_its_canary_serves(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    asked: list[str] = []
    watching, serving = watch(lambda path: asked.append(path) or NewScorer())  # type: ignore[func-returns-value]

    watching.announced(promotion())

    assert asked == ["/bundles/new"]
    assert [scorer.name for scorer in serving] == ["new"]
    assert caplog.messages == ["model new serves, promoted by trainer: better on held-back labels"]


@pytest.mark.parametrize(
    ("load", "complaint"),
    [
        pytest.param(missing, "No model bundle at /bundles/new: no such folder.", id="missing"),
        pytest.param(lambda path: DamagedScorer(), "canary 3 gives anger 0.12 instead of 0.97", id="damaged"),
        pytest.param(lambda path: QuickScorer(), "the bundle there is quick-stand-in", id="another model"),
        pytest.param(exhausted, "MemoryError", id="too large"),
    ],
)
def test_a_model_that_cannot_serve_leaves_the_old_one_and_one_line(
    load: Callable[[str], Scorer], complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    watching, serving = watch(load)

    watching.announced(promotion())

    assert serving == []
    assert caplog.messages == [
        f"model new at /bundles/new was promoted and cannot serve, the serving model stays: {complaint}"
    ]


@pytest.mark.parametrize("payload", [None, b"", b"{}", b"junk"])
def test_an_announcement_that_cannot_be_read_changes_nothing(
    payload: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    watching, serving = watch(lambda path: NewScorer())

    watching.announced(payload)

    assert serving == []
    assert len(caplog.messages) == 1


def test_a_model_announced_again_is_not_loaded_again() -> None:
    watching, serving = watch(lambda path: NewScorer())

    watching.announced(promotion())
    watching.announced(promotion())

    assert len(serving) == 1


def test_promotions_of_the_past_do_not_replace_the_model_of_today() -> None:
    """A worker in a new slot reads the topic from its beginning."""
    watching, serving = watch(lambda path: NewScorer())

    watching.announced(promotion(day=3))
    for day in (1, 2, 3):
        watching.announced(promotion(path=f"/bundles/{day}", day=day))

    assert len(serving) == 2, "the one at the start, and another of the same day from elsewhere"


def test_the_latest_promotion_is_the_newest_that_can_be_read() -> None:
    newest = promotion(day=9)

    assert latest([promotion(day=2), newest, promotion(day=5), None, b"tombstone of another kind"]) == newest
    assert latest([None, b"{"]) is None


def test_a_model_that_failed_may_be_announced_again_when_it_is_mended() -> None:
    scorers: list[Scorer] = [DamagedScorer(), NewScorer()]
    watching, serving = watch(lambda path: scorers.pop(0))

    watching.announced(promotion())
    watching.announced(promotion())

    assert len(serving) == 1
