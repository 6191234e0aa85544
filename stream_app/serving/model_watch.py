"""A promoted model takes over in the running worker, or, whatever is wrong with it, does not: the old one goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from schemas import codec
from schemas.events import ModelPromoted
from schemas.topics import MODELS
from stream_app.metrics import MODEL_SWITCHES

if TYPE_CHECKING:
    from stream_app.scoring.scorer import Scorer

log = logging.getLogger("moodstream.models")


class ModelWatch:
    """Acts on the topic `models`. `load` opens a bundle folder; `switch` makes the scoring stage use a scorer.

    Called from one thread at a time; blocks while the model loads, so not from an event loop.
    """

    def __init__(self, load: Callable[[str], Scorer], switch: Callable[[Scorer], None]) -> None:
        self._load = load
        self._switch = switch
        self._serving: tuple[str, str] | None = None
        self._since: datetime | None = None

    def announced(self, payload: bytes | None) -> None:
        """Load, check, switch. Raises nothing: a failure is one line in the log and leaves the serving model alone."""
        # 1. What is promoted? The topic is read again at every start, and a model that serves already stays.
        try:
            promoted = codec.decode(MODELS.name, payload)
        except codec.Undecodable as mistake:
            log.error("an announcement on %s cannot be read, the serving model stays: %s", MODELS.name, mistake)
            return
        assert isinstance(promoted, ModelPromoted)  # the topic carries nothing else: schemas/topics.py
        # An older promotion is history: a worker in a new slot reads the topic from its beginning.
        if self._serving == (promoted.model, promoted.path) or (self._since and promoted.promoted_at < self._since):
            return
        try:
            # 2. Load it. 3. Does it give the scores it gave when it was made?
            scorer = self._load(promoted.path)
            if scorer.name != promoted.model:
                raise ValueError(f"the bundle there is {scorer.name}")
            scorer.check_canary()
            # 4. Only now does it score customers.
            self._switch(scorer)
        except Exception as failure:  # missing, damaged, out of memory, …: all end the same way
            log.error(
                "model %s at %s was promoted and cannot serve, the serving model stays: %s",
                promoted.model, promoted.path, " ".join(str(failure).split()) or type(failure).__name__,
            )  # fmt: skip
            MODEL_SWITCHES.labels("refused").inc()
            return
        MODEL_SWITCHES.labels("serves").inc()
        self._serving, self._since = (promoted.model, promoted.path), promoted.promoted_at
        log.info("model %s serves, promoted by %s: %s", promoted.model, promoted.promoted_by, promoted.reason)


def latest(payloads: Iterable[bytes | None]) -> bytes | None:
    """The newest promotion among these; what cannot be read is none."""
    found: list[tuple[datetime, bytes]] = []
    for payload in payloads:
        try:
            promoted = codec.decode(MODELS.name, payload)
        except codec.Undecodable:
            continue
        if isinstance(promoted, ModelPromoted) and payload is not None:
            found.append((promoted.promoted_at, payload))
    return max(found)[1] if found else None
