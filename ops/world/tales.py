"""What single customers go through: five kinds of incidents, and the stories that look like them and are none.

A teller writes one story with its customer's pen and returns the incidents in it. An angry turn in a conversation is
answered within four minutes unless the story is about that. A flagged review or conversation is also a `single`,
whatever else it belongs to.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from ops.world import words
from ops.world.scores import ANNOYED, CALM, FURIOUS, HOT, NEGATIVE, NEUTRAL, POSITIVE, UNHAPPY, Band
from ops.world.settings import HOUR_MS, MINUTE_MS, Settings, moment
from ops.world.texts import Chat, Pen, Text, name
from ops.world.truth import Incident, Kind

REPEATS, WITHIN_H = 3, 24
"""So many angry texts of a customer in so many hours are a `repeat`."""
PATIENCE_MIN = 10
"""So long without a reply after an angry turn is `unanswered`."""
CLIMB_TO, CLIMB_MEAN, CLIMB_BY = 0.40, 0.35, 0.20
"""A conversation has soured at the first turn of the customer, the fourth or later, with an anger of at least CLIMB_TO,
a mean of the last three turns of at least CLIMB_MEAN, and a rise of CLIMB_BY over the mean of the first two turns."""


def _planted(settings: Settings, kind: Kind, texts: list[Text], size: float, *, end_ms: int | None = None) -> Incident:
    """An incident of these texts, decided by the last of them."""
    first, last = texts[0], texts[-1]
    return Incident(
        incident=f"{kind}-{name(settings, kind, last.event_id)}",
        kind=kind,
        start=moment(first.at_ms),
        end=moment(last.at_ms if end_ms is None else end_ms),
        decidable_at=moment(last.at_ms + (PATIENCE_MIN * MINUTE_MS if kind == "unanswered" else 0)),
        decided_by=last.event_id,
        size=round(size, 4),
        events=tuple(text.event_id for text in texts),
        conversation_id=first.conversation,
    )


# --- a single furious message ----------------------------------------------------------------------------------------


def furious_review(settings: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    text = pen.review(at_ms, FURIOUS, words.FURIOUS)
    return [_planted(settings, "single", [text], text.anger)]


def furious_turn(settings: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    """Calm before, and calmed by the answer."""
    chat = pen.chat(at_ms)
    _greeting(chat, pen)
    text = chat.customer(FURIOUS, words.FURIOUS, _soon(pen))
    for _ in range(int(pen.chance.integers(1, 4))):
        chat.agent(_soon(pen))
        end = chat.customer(CALM, words.CALM, _soon(pen), NEUTRAL)
    return [_planted(settings, "single", [text], text.anger, end_ms=end.at_ms)]


# --- a conversation that sours, and three that do not ----------------------------------------------------------------


def souring(settings: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    """Anger climbs over five to seven turns and stays below the threshold; in two of five it is flagged after that."""
    angers = _climb(pen.chance)
    while (at := soured_at(angers)) is None:  # 1 in 200: the noise has bent the climb
        angers = _climb(pen.chance)
    chat, said = pen.chat(at_ms), []
    for number, anger in enumerate(angers):
        phrases = words.CALM if number < 2 else words.ANNOYED if anger < HOT.low else words.HOT
        said.append(chat.customer(anger, phrases, _soon(pen), NEUTRAL if number < 2 else NEGATIVE))
        chat.agent(_soon(pen))
    start = next(number for number, anger in enumerate(angers) if anger >= 0.2)
    size = angers[at] - angers[0]
    found = [_planted(settings, "souring", said[min(start, at) : at + 1], size, end_ms=said[-1].at_ms)]
    if pen.chance.random() < 0.4:
        burst = chat.customer(Band(0.62, 0.8), words.FURIOUS, _soon(pen))
        chat.agent(_soon(pen))
        # Whoever was told that the conversation sours need not be told again.
        found.append(replace(_planted(settings, "single", [burst], burst.anger), must=False))
    return found


def _climb(chance: np.random.Generator) -> list[float]:
    turns = int(chance.integers(5, 8))
    low, high = chance.uniform(0.05, 0.15), chance.uniform(0.425, 0.485)
    curve = low + (high - low) * np.linspace(0, 1, turns) ** chance.uniform(0.6, 0.8)
    angers: list[float] = np.round(np.clip(curve + chance.normal(0, 0.012, turns), 0.01, 0.495), 4).tolist()
    return angers


def soured_at(angers: list[float]) -> int | None:
    """The place of the turn at which a conversation has soured by these angers of its customer; None if it has not."""
    for number in range(3, len(angers)):
        mean = sum(angers[number - 2 : number + 1]) / 3
        rise = angers[number] - sum(angers[:2]) / 2
        if angers[number] >= CLIMB_TO and mean >= CLIMB_MEAN and rise >= CLIMB_BY:
            return number
    return None


def rude_agent(_: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    """The agent grows angry, and is even flagged; the customer does not."""
    chat = pen.chat(at_ms)
    for anger in (0.1, 0.3, 0.5, 0.7):
        chat.customer(CALM, words.CALM, _soon(pen), NEUTRAL)
        chat.agent(_soon(pen), Band(anger, anger + 0.15), words.RUDE_AGENT)
    return []


def dip(_: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    """One turn just below the threshold, and all is well again."""
    chat = pen.chat(at_ms)
    _greeting(chat, pen)
    chat.customer(CALM, words.CALM, _soon(pen), NEUTRAL)
    chat.agent(_soon(pen))
    chat.customer(HOT, words.HOT, _soon(pen))
    for _turn in range(3):
        chat.agent(_soon(pen))
        chat.customer(CALM, words.CALM, _soon(pen), NEUTRAL)
    return []


def grumble(_: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    """Irritated from the first turn to the last, and never more than that."""
    chat = pen.chat(at_ms)
    for _turn in range(int(pen.chance.integers(4, 8))):
        chat.customer(ANNOYED, words.ANNOYED, _soon(pen))
        chat.agent(_soon(pen))
    return []


# --- a customer who is angry again and again -------------------------------------------------------------------------


def repeat(settings: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    """Three or four angry texts in less than a day, in reviews and conversations."""
    angry, found = _outbursts(settings, pen, at_ms, _in_a_day(settings, pen, REPEATS + int(pen.chance.random() < 0.3)))
    again = _planted(settings, "repeat", angry[:REPEATS], len(angry), end_ms=angry[-1].at_ms)
    return [*found, replace(again, conversation_id=None)]


def twice(settings: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    """Two angry texts in a day; in a world of more than two days half of them with a third when the day is over."""
    hours = _in_a_day(settings, pen, 2)
    if settings.days > 2 and pen.chance.random() < 0.5:
        hours = [0.0, float(pen.chance.uniform(1, 23)), float(pen.chance.uniform(WITHIN_H + 1, WITHIN_H + 3))]
    return _outbursts(settings, pen, at_ms, hours)[1]


def _in_a_day(settings: Settings, pen: Pen, count: int) -> list[float]:
    """So many hours after the start, in order, half an hour apart at least; a short world has a short day."""
    span = min(WITHIN_H - 1.0, settings.hours / 2 - 1.0) - 0.5 * count
    hours: list[float] = (np.sort(pen.chance.uniform(0, span, count)) + 0.5 * np.arange(count)).tolist()
    return hours


def _outbursts(settings: Settings, pen: Pen, at_ms: int, hours: list[float]) -> tuple[list[Text], list[Incident]]:
    """A furious text at each of these hours, each a story of its own; the texts and their incidents."""
    found: list[Incident] = []
    for hour in hours:
        teller = furious_turn if pen.chance.random() < 0.5 else furious_review
        found += teller(settings, pen, at_ms + round(hour * HOUR_MS))
    flagged = {event for incident in found for event in incident.events}
    return [text for text in pen.texts if text.event_id in flagged], found


# --- an angry turn without an answer ---------------------------------------------------------------------------------


def unanswered(settings: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    """No agent for 12 minutes to an hour, in a third of them never; half the customers ask again meanwhile."""
    chat = pen.chat(at_ms)
    _greeting(chat, pen)
    text = chat.customer(FURIOUS, words.FURIOUS, _soon(pen))
    single = _planted(settings, "single", [text], text.anger)
    if pen.chance.random() < 0.5:
        chat.customer(UNHAPPY, words.ANNOYED, float(pen.chance.uniform(60, 500)))
    minutes = float(pen.chance.uniform(PATIENCE_MIN + 2, 60))
    end_ms = text.at_ms + round(minutes * MINUTE_MS)
    if pen.chance.random() < 0.67:
        chat.agent((end_ms - chat.now_ms) / 1000)
    return [single, _planted(settings, "unanswered", [text], minutes, end_ms=end_ms)]


def late_answer(settings: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    """An answer after seven to eight and a half minutes: late, and in time."""
    chat = pen.chat(at_ms)
    _greeting(chat, pen)
    text = chat.customer(FURIOUS, words.FURIOUS, _soon(pen))
    chat.agent(float(pen.chance.uniform(420, 510)))
    end = chat.customer(CALM, words.CALM, _soon(pen), NEUTRAL)
    chat.agent(_soon(pen))
    return [_planted(settings, "single", [text], text.anger, end_ms=end.at_ms)]


# --- grave words, calmly said ----------------------------------------------------------------------------------------


def grave(settings: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    if pen.chance.random() < 0.5:
        text = pen.review(at_ms, UNHAPPY, words.GRAVE)
    else:
        chat = pen.chat(at_ms)
        _greeting(chat, pen)
        text = chat.customer(UNHAPPY, words.GRAVE, _soon(pen))
        chat.agent(_soon(pen))
    return [_planted(settings, "grave", [text], text.anger)]


def harmless(_: Settings, pen: Pen, at_ms: int) -> list[Incident]:
    """Words that only look grave."""
    pen.review(at_ms, CALM, words.HARMLESS, POSITIVE)
    return []


def _greeting(chat: Chat, pen: Pen) -> None:
    chat.customer(CALM, words.CALM, mood=NEUTRAL)
    chat.agent(_soon(pen))


def _soon(pen: Pen) -> float:
    """Seconds until the next turn."""
    return float(pen.chance.uniform(20, 240))
