"""A promoted model takes over in the running worker, or, whatever is wrong with it, does not: the old one goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from schemas import codec
from schemas.bundle import DEFAULT
from schemas.events import ModelPromoted, ModelServing
from schemas.topics import MODELS
from stream_app.metrics import MODEL_SWITCHES

if TYPE_CHECKING:
    from stream_app.scoring.scorer import LoadedScorer

log = logging.getLogger("moodstream.models")


class ModelWatch:
    """Acts on the topic `models`, and answers each promotion it heard on the topic `serving`.

    `load` opens a bundle (a folder, or "default"). `switch` makes the scoring stage use a scorer, and returns when no
    batch is under way with the one before. `answer` says what serves; it may fail, but not raise.
    Called from one thread at a time; blocks while the model loads, so not from an event loop.
    """

    def __init__(
        self,
        load: Callable[[str], LoadedScorer],
        switch: Callable[[LoadedScorer], None],
        answer: Callable[[ModelServing], None],
        *,
        worker: str,
        model: str,
        now: Callable[[], datetime],
    ) -> None:
        self._load = load
        self._switch = switch
        self._answer = answer
        self._worker = worker
        self._model = model
        self._now = now
        self._serving: tuple[str, str] | None = None
        self._since: datetime | None = None

    def started(self, payloads: Iterable[bytes | None]) -> None:
        """At the worker's start: act on the newest promotion there is, or say what serves where there was none.

        When the newest cannot serve, the newest before it that can does, as in a worker that was running all the time;
        the answer is to the newest. The topic is compacted: when older promotions are gone from it, the model that this
        worker was started with stays.
        """
        promotions = _newest_first(payloads)
        if not promotions:
            self._say(None)
            return
        refusals: dict[tuple[str, str], str] = {}
        for promoted in promotions:
            if (which := (promoted.model, promoted.path)) in refusals:
                continue
            if (why := self._taken_over(promoted)) is None:
                break
            refusals[which] = why
        newest = promotions[0]
        self._since = newest.promoted_at
        self._say(newest, refusals.get((newest.model, newest.path)))

    def announced(self, payload: bytes | None) -> None:
        """Load, check, switch, answer. Raises nothing: a failure leaves the serving model alone and is one log line."""
        # 1. What is promoted?
        try:
            promoted = codec.decode(MODELS.name, payload)
        except codec.Undecodable as mistake:
            log.error("an announcement on %s cannot be read, the serving model stays: %s", MODELS.name, mistake)
            return
        assert isinstance(promoted, ModelPromoted)  # the topic carries nothing else: schemas/topics.py
        # An older promotion is history, whatever became of the newer one: a worker in a new slot reads the topic from
        # its beginning.
        if self._since and promoted.promoted_at < self._since:
            return
        # 2. Load it and 3. let it score customers, or know why not.
        refused = self._taken_over(promoted)
        self._since = promoted.promoted_at
        # 4. Who promoted it may be waiting.
        self._say(promoted, refused)

    def _taken_over(self, promoted: ModelPromoted) -> str | None:
        """None: it serves. Otherwise why it cannot; then what served before goes on."""
        if self._serving == (promoted.model, promoted.path):
            return None
        # Loaded beside the one that serves. Only then does it score customers.
        try:
            scorer = self._loaded(promoted)
            name = scorer.name
            self._switch(scorer)
        except Exception as failure:  # missing, damaged, out of memory, …: all end the same way
            why = " ".join(str(failure).split()) or type(failure).__name__
            log.error(
                "model %s at %s was promoted and cannot serve, the serving model stays: %s",
                promoted.model, promoted.path, why,
            )  # fmt: skip
            MODEL_SWITCHES.labels("refused").inc()
            return why
        MODEL_SWITCHES.labels("serves").inc()
        log.info("model %s serves, promoted by %s: %s", name, promoted.promoted_by, promoted.reason)
        self._serving, self._model = (promoted.model, promoted.path), name
        return None

    def _loaded(self, promoted: ModelPromoted) -> LoadedScorer:
        """The promoted model, warm, and known to give the scores it gave when it was made. Raises when it is not."""
        scorer = self._load(promoted.path)
        try:
            # the default bundle is that of this worker's release, whatever it is called there
            if promoted.path != DEFAULT and scorer.name != promoted.model:
                raise ValueError(f"the bundle there is {scorer.name}")
            scorer.check_canary()
        except Exception:
            scorer.close()
            raise
        return scorer

    def _say(self, promoted: ModelPromoted | None, refused: str | None = None) -> None:
        at = promoted.promoted_at if promoted else None
        self._answer(
            ModelServing(
                worker=self._worker, model=self._model, answered_at=codec.milliseconds(self._now()), promoted_at=at,
                refused=refused,
            )
        )  # fmt: skip


def _newest_first(payloads: Iterable[bytes | None]) -> list[ModelPromoted]:
    """The promotions among these; of two of the same time, the one that came later is newer."""
    found: list[ModelPromoted] = []
    for payload in payloads:
        try:
            promoted = codec.decode(MODELS.name, payload)
        except codec.Undecodable:
            continue
        if isinstance(promoted, ModelPromoted):
            found.append(promoted)
    return sorted(found, key=lambda promoted: promoted.promoted_at)[::-1]
