"""A promoted model serves only if it is there, is what it says, and still knows its canary; else the old one stays."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from schemas.bundle import BundleError
from schemas.codec import encode
from schemas.events import ModelPromoted, ModelServing
from stream_app.scoring.quick import QuickScorer
from stream_app.scoring.scorer import CanaryFailed, LoadedScorer
from stream_app.serving.model_watch import ModelWatch

NOW = datetime(2025, 6, 30, tzinfo=UTC)


class NewScorer(QuickScorer):
    name = "new"
    closed = False

    def close(self) -> None:
        self.closed = True


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


def missing(path: str) -> LoadedScorer:
    raise BundleError(f"No model bundle at {path}: no such folder.")


def exhausted(path: str) -> LoadedScorer:
    raise MemoryError


def watch(load: Callable[[str], LoadedScorer]) -> tuple[ModelWatch, list[LoadedScorer]]:
    watching, serving, _ = watch_and_answers(load)
    return watching, serving


def watch_and_answers(load: Callable[[str], LoadedScorer]) -> tuple[ModelWatch, list[LoadedScorer], list[ModelServing]]:
    serving: list[LoadedScorer] = []
    answers: list[ModelServing] = []
    watching = ModelWatch(load, serving.append, answers.append, worker="w-0", model="old", now=lambda: NOW)
    return watching, serving, answers


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
    load: Callable[[str], LoadedScorer], complaint: str, caplog: pytest.LogCaptureFixture
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


def test_a_worker_that_starts_acts_on_the_newest_promotion_that_can_be_read() -> None:
    asked: list[str] = []
    watching, serving, answers = watch_and_answers(lambda path: asked.append(path) or NewScorer())  # type: ignore[func-returns-value]
    payloads = [promotion(path="/2", day=2), promotion(path="/9", day=9), promotion(path="/5", day=5), None, b"{"]

    watching.started(payloads)

    assert (asked, len(serving)) == (["/9"], 1)
    assert [said.promoted_at for said in answers] == [datetime(2025, 6, 9, tzinfo=UTC)]


def test_of_two_records_of_one_promotion_the_later_tells_the_folder() -> None:
    asked: list[str] = []
    watching, _ = watch(lambda path: asked.append(path) or NewScorer())  # type: ignore[func-returns-value]

    watching.started([promotion(path="/before"), promotion(path="/moved")])

    assert asked == ["/moved"]


def only_at(*paths: str) -> Callable[[str], LoadedScorer]:
    return lambda path: NewScorer() if path in paths else missing(path)


def test_a_worker_that_starts_serves_the_newest_promotion_it_can_load_and_says_what_it_refused() -> None:
    watching, serving, answers = watch_and_answers(only_at("/1", "/2"))

    watching.started([promotion(path=f"/{day}", day=day) for day in (1, 2, 3, 4)])

    assert [scorer.name for scorer in serving] == ["new"], "one is enough"
    (said,) = answers
    assert (said.model, said.promoted_at) == ("new", datetime(2025, 6, 4, tzinfo=UTC))
    assert said.refused == "No model bundle at /4: no such folder."


def test_a_worker_that_starts_and_can_load_nothing_keeps_its_own_model() -> None:
    watching, serving, answers = watch_and_answers(missing)

    watching.started([promotion(path="/1", day=1), promotion(path="/2", day=2)])

    assert serving == []
    assert [(said.model, said.refused) for said in answers] == [("old", "No model bundle at /2: no such folder.")]


def test_a_worker_in_a_new_slot_serves_what_one_in_an_old_slot_does_after_a_refusal() -> None:
    """The new one reads the topic from its beginning once more, after its start."""
    history = [promotion(path=f"/{day}", day=day) for day in (1, 2, 3)]
    old, old_serves, _ = watch_and_answers(only_at("/1", "/2"))
    new, new_serves, _ = watch_and_answers(only_at("/1", "/2"))

    for payload in history:
        old.announced(payload)
    new.started(history)
    new_at_start = new_serves[-1]
    for payload in history:
        new.announced(payload)

    assert len(old_serves) == 2
    assert new_serves == [new_at_start]


def test_after_a_refusal_older_promotions_are_history() -> None:
    watching, serving, answers = watch_and_answers(only_at("/1"))

    watching.announced(promotion(path="/2", day=2))
    watching.announced(promotion(path="/1", day=1))

    assert serving == []
    assert len(answers) == 1


def test_the_default_bundle_is_that_of_the_workers_own_release_whatever_its_name() -> None:
    watching, serving, answers = watch_and_answers(lambda path: NewScorer())

    watching.announced(promotion(model="default-of-another-release", path="default"))

    assert len(serving) == 1
    assert [(said.model, said.refused) for said in answers] == [("new", None)]


def test_a_model_that_failed_may_be_announced_again_when_it_is_mended() -> None:
    scorers: list[LoadedScorer] = [DamagedScorer(), NewScorer()]
    watching, serving = watch(lambda path: scorers.pop(0))

    watching.announced(promotion())
    watching.announced(promotion())

    assert len(serving) == 1


def test_every_promotion_is_answered_once_it_serves() -> None:
    watching, serving, answers = watch_and_answers(lambda path: NewScorer())

    watching.announced(promotion(day=1))
    watching.announced(promotion(day=2))

    assert len(serving) == 1
    assert [(said.worker, said.model, said.promoted_at, said.refused) for said in answers] == [
        ("w-0", "new", datetime(2025, 6, day, tzinfo=UTC), None) for day in (1, 2)
    ]


def test_a_refusal_is_answered_with_its_reason_and_the_model_that_stays() -> None:
    scorer = DamagedScorer()
    watching, _, answers = watch_and_answers(lambda path: scorer)

    watching.announced(promotion())

    assert [(said.model, said.refused) for said in answers] == [("old", "canary 3 gives anger 0.12 instead of 0.97")]
    assert scorer.closed, "its threads and its memory are given back"


def test_a_promotion_of_the_past_is_not_answered() -> None:
    watching, _, answers = watch_and_answers(lambda path: NewScorer())

    watching.announced(promotion(day=3))
    watching.announced(promotion(day=1))

    assert len(answers) == 1


def test_a_worker_that_starts_says_what_it_serves_with() -> None:
    watching, serving, answers = watch_and_answers(lambda path: NewScorer())

    watching.started([None])

    assert serving == []
    assert [(said.model, said.promoted_at) for said in answers] == [("old", None)]
