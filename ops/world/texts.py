"""One text before it is scored, and the pen that writes stories with it."""

from __future__ import annotations

from hashlib import blake2s
from typing import NamedTuple

import numpy as np

from ops.world import words
from ops.world.scores import CALM, NEGATIVE, NEUTRAL, Band, anger
from ops.world.settings import Settings
from ops.world.shop import LANGUAGES, Shop
from schemas.events import Side


class Text(NamedTuple):
    """`at_ms` counts from the world's start; `customer` and `product` are places in the shop."""

    at_ms: int
    event_id: str
    customer: int
    product: int
    mood: int
    anger: float
    text: str
    conversation: str | None = None
    side: Side | None = None
    turn: int | None = None


def name(settings: Settings, *parts: object) -> str:
    """An id that tells a rule nothing: 16 hexadecimal digits of what it is made from."""
    made_of = "/".join(map(str, (settings.seed, *parts)))
    return blake2s(made_of.encode(), digest_size=8).hexdigest()


class Pen:
    """Writes one customer's story: reviews and turns of conversations, in order of their times.

    `texts` is what was written; `product` and `language` stay the same for the story.
    """

    def __init__(
        self, settings: Settings, shop: Shop, chance: np.random.Generator, story: str, customer: int, product: int
    ) -> None:
        self.chance = chance
        self.customer = customer
        self.product = product
        self.texts: list[Text] = []
        self.language = LANGUAGES[int(shop.languages[customer])]
        self._settings = settings
        self._story = story
        self._chats = 0

    def review(self, at_ms: int, band: Band, phrases: words.Phrases, mood: int = NEGATIVE) -> Text:
        said = words.said(self.chance, phrases, self.language)
        return self.write(at_ms, mood, anger(self.chance, band), said)

    def copy(self, at_ms: int, phrases: words.Phrases, mood: int, band: Band) -> Text:
        """A near-duplicate review."""
        return self.write(at_ms, mood, anger(self.chance, band), words.copied(self.chance, phrases, self.language))

    def chat(self, at_ms: int) -> Chat:
        """A new conversation of this customer, whose first turn is at this time."""
        self._chats += 1
        return Chat(self, name(self._settings, "conversation", self._story, self._chats), at_ms)

    def write(
        self, at_ms: int, mood: int, angry: float, said: str, chat: Chat | None = None, side: Side | None = None
    ) -> Text:
        event_id = name(self._settings, self._story, len(self.texts))
        turn = None if chat is None else chat.turns
        conversation = None if chat is None else chat.id
        text = Text(at_ms, event_id, self.customer, self.product, mood, round(angry, 4), said, conversation, side, turn)
        self.texts.append(text)
        return text


class Chat:
    """A conversation being written. Each turn comes `after_s` seconds after the one before; the first at once."""

    def __init__(self, pen: Pen, conversation: str, at_ms: int) -> None:
        self.id = conversation
        self.turns = 0
        self.now_ms = at_ms
        self._pen = pen

    def customer(self, band: Band | float, phrases: words.Phrases, after_s: float = 60, mood: int = NEGATIVE) -> Text:
        return self._say("customer", band, phrases, after_s, mood)

    def agent(self, after_s: float = 60, band: Band = CALM, phrases: words.Phrases = words.AGENT) -> Text:
        return self._say("agent", band, phrases, after_s, NEUTRAL)

    def _say(self, side: Side, band: Band | float, phrases: words.Phrases, after_s: float, mood: int) -> Text:
        self.turns += 1
        if self.turns > 1:
            self.now_ms += round(after_s * 1000)
        pen = self._pen
        angry = band if isinstance(band, float) else anger(pen.chance, band)
        return pen.write(self.now_ms, mood, angry, words.said(pen.chance, phrases, pen.language), self, side)
