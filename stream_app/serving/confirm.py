"""The topic `serving`, from both ends: a worker says what it serves with; who promotes hears it of all that run."""

from __future__ import annotations

import logging
import time

from schemas.codec import Undecodable, decode, encode
from schemas.events import ModelPromoted, ModelServing
from schemas.topics import SERVING
from stream_app.errors import MoodstreamError
from stream_app.flow.delivery import Offsets
from stream_app.flow.kafka.admin import Admin
from stream_app.flow.kafka.publisher import Publisher
from stream_app.flow.kafka.reader import read
from stream_app.settings import Settings

log = logging.getLogger("moodstream.models")

ANSWER_PATIENCE_S = 10.0
SERVES = ""


def worker_name(settings: Settings, slot: int) -> str:
    """As it stands in ModelServing.worker."""
    return f"{settings.group}-{slot}"


def answer(settings: Settings, said: ModelServing) -> None:
    """Publish what a worker says of itself. A failure is a line in the log: the model serves all the same."""
    try:
        publisher = Publisher(settings, patience_s=ANSWER_PATIENCE_S)
        publisher.send(SERVING.name, said.worker.encode(), encode(said))
        publisher.flush()
    except MoodstreamError as failure:
        log.warning("model %s serves, but nobody hears it: %s", said.model, failure)


def answers_end(settings: Settings) -> Offsets:
    """Where the answers end now: what is said of a message that is not out yet comes after it."""
    return Admin(settings).end_offsets(SERVING.name)


def confirmed(settings: Settings, promoted: ModelPromoted, since: Offsets, within_s: float) -> dict[str, str]:
    """Every running worker that scores -> SERVES, or why it does not serve with the promoted model.

    `since` is `answers_end` from before the message: a promotion that is sent again has the time it had, and what was
    said of it the first time is no answer to the second. Returns as soon as all have answered, else after `within_s`.
    Running is who is a member of the group of `score`: a worker that was killed leaves it after 6 s. Raises SetupError
    or NeighbourDown.
    """
    deadline = time.monotonic() + within_s
    admin = Admin(settings)
    answers: dict[str, ModelServing] = {}
    for delivery in read(settings, [SERVING.name], follow=True, idle=0.1):
        if delivery is not None:
            if delivery.offset < since.get((delivery.topic, delivery.partition), 0):
                continue
            try:
                said = decode(SERVING.name, delivery.value)
            except Undecodable:
                continue
            assert isinstance(said, ModelServing)  # the topic carries nothing else
            if said.promoted_at == promoted.promoted_at:
                answers[said.worker] = said
            continue
        # Nothing new for a moment: is anybody missing?
        running = _running(settings, admin)
        if running <= answers.keys() or time.monotonic() > deadline:
            return {worker: _verdict(answers.get(worker)) for worker in sorted(running)}
    raise AssertionError("a reader that follows does not end")


def _verdict(said: ModelServing | None) -> str:
    return "no answer; has it the role models?" if said is None else said.refused or SERVES


def _running(settings: Settings, admin: Admin) -> set[str]:
    """Workers by their static membership: `moodstream-score-3` is the worker moodstream-3."""
    group = f"{settings.group}-score"
    slots = [member.removeprefix(f"{group}-") for member in admin.members(group)]
    return {worker_name(settings, int(slot)) for slot in slots if slot.isdigit()}
