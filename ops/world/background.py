"""What happens anyway: an hour of reviews and conversations, thinned and thickened by the week's rhythm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ops.world import words
from ops.world.crowds import MOST_NEGATIVE, Condition
from ops.world.scores import CALM, NEGATIVE, NEUTRAL, POSITIVE, UNHAPPY, WRONG, Floats, angers
from ops.world.settings import HOUR_MS, Settings
from ops.world.shop import LANGUAGES, Shop
from ops.world.texts import Text, name

REVIEWS = 0.55  # share of the events; the rest are turns of conversations, half of them agents'
_TURNS = (0.35, 0.35, 0.20, 0.10)  # customers' turns of a conversation: 1, 2, 3, 4
_EVENTS_A_CHAT = 2 * sum(share * (turns + 1) for turns, share in enumerate(_TURNS))

Ints = NDArray[np.int64]


class Hour:
    """The texts of one hour of the world, not in order. A conversation may last 40 minutes beyond it.

    `wrong` counts the texts that the model flags angry although nothing is the matter.
    """

    def __init__(self, settings: Settings, shop: Shop, hour: int, conditions: Sequence[Condition]) -> None:
        self._settings, self._shop, self._hour = settings, shop, hour
        self._chance = settings.chance(4, hour)
        end_ms = (hour + 2) * HOUR_MS
        self._conditions = [one for one in conditions if one.start_ms < end_ms and one.end_ms > hour * HOUR_MS]
        self.wrong = 0

    def texts(self) -> list[Text]:
        chance = self._chance
        expected = self._settings.events_per_day / 24 * float(self._shop.rhythm[self._hour % 168])
        products, at = self._reviews(chance.poisson(expected * REVIEWS))
        chats = int(chance.poisson(expected * (1 - REVIEWS) / _EVENTS_A_CHAT))
        turns = chance.choice(4, size=chats, p=_TURNS) + 1
        # 1. Every customer's text in one array: the reviews, then the conversations turn by turn.
        subjects = np.repeat(self._products(chats), turns)
        first = np.repeat(np.cumsum(turns) - turns, turns)
        turn = np.arange(len(first)) - first + 1
        waits = np.stack([chance.integers(20_000, 240_000, len(turn)), chance.integers(30_000, 300_000, len(turn))])
        said_at = np.repeat(self._times(chats), turns) + _before(waits.sum(axis=0), turns)
        customers = np.concatenate([self._customers(len(products)), np.repeat(self._customers(chats), turns)])
        products, at = np.concatenate([products, subjects]), np.concatenate([at, said_at])
        # 2. Their moods and their anger.
        usual = self._shop.unhappy[products] * self._shop.gloom[self._hour % 168]
        share = self._raised(usual, products, at)
        mood = np.where(
            chance.random(len(at)) < share, NEGATIVE, np.where(chance.random(len(at)) < 0.35, NEUTRAL, POSITIVE)
        )
        anger = np.where(mood == NEGATIVE, angers(chance, UNHAPPY, len(at)), angers(chance, CALM, len(at)))
        wrong = chance.random(len(at)) < self._settings.wrong_flags
        anger[wrong] = angers(chance, WRONG, int(wrong.sum()))
        self.wrong = int(wrong.sum())
        # 3. Put into words, with the agents' answers.
        found = self._said(at, customers, products, mood, anger, len(at) - len(turn), turn)
        self._seen(found, usual)
        return found + self._answers(found[len(at) - len(turn) :], waits[0])

    def _reviews(self, usual: int) -> tuple[Ints, Ints]:
        """Product and time of the usual reviews and of those that conditions bring."""
        products, at = [self._products(usual)], [self._times(usual)]
        for one in self._conditions:
            start = max(one.start_ms, self._hour * HOUR_MS)
            end = min(one.end_ms, (self._hour + 1) * HOUR_MS)
            if one.extra_per_hour and end > start:
                more = int(self._chance.poisson(one.extra_per_hour * (end - start) / HOUR_MS))
                products.append(np.full(more, one.product))
                at.append(self._chance.integers(start, end, more))
        return np.concatenate(products), np.concatenate(at)

    def _raised(self, usual: Floats, products: Ints, at: Ints) -> Floats:
        """(N,) the chance of each text to be negative under the conditions of its product."""
        share = usual.copy()
        for one in self._conditions:
            for place in np.flatnonzero((products == one.product) & (at >= one.start_ms) & (at < one.end_ms)):
                share[place] = min(MOST_NEGATIVE, usual[place] * one.factor_at(int(at[place])))
        return share

    def _seen(self, texts: Sequence[Text], usual: Floats) -> None:
        for one in self._conditions:
            if one.sort == "surge":
                one.seen.extend(
                    (text.at_ms, text.event_id, text.mood == NEGATIVE, float(share))
                    for text, share in zip(texts, usual, strict=True)
                    if text.product == one.product and one.start_ms <= text.at_ms < one.end_ms
                )

    def _said(
        self, at: Ints, customers: Ints, products: Ints, mood: Ints, anger: Floats, reviews: int, turns: Ints
    ) -> list[Text]:
        settings, shop, found = self._settings, self._shop, []
        dice = self._chance.integers(0, words.DICE, (len(at), 4)).tolist()
        languages = shop.languages[customers].tolist()
        columns = (at.tolist(), customers.tolist(), products.tolist(), mood.tolist(), anger.tolist())
        conversation = ""
        for number, (at_ms, customer, product, how, angry) in enumerate(zip(*columns, strict=True)):
            said = words.composed(LANGUAGES[languages[number]], how, shop.products[product].category, dice[number])
            event_id = name(settings, self._hour, number)
            if number < reviews:
                found.append(Text(at_ms, event_id, customer, product, how, angry, said))
                continue
            turn = int(turns[number - reviews])
            if turn == 1:
                conversation = name(settings, "conversation", self._hour, number)
            found.append(
                Text(at_ms, event_id, customer, product, how, angry, said, conversation, "customer", 2 * turn - 1)
            )
        return found

    def _answers(self, turns: Sequence[Text], waits: Ints) -> list[Text]:
        """An agent's answer to every turn, within four minutes."""
        phrases = {language: words.AGENT[language].split("|") for language in ("zh", "en")}
        answers = []
        calm = angers(self._chance, CALM, len(turns)).tolist()
        picks = self._chance.integers(0, 1 << 16, len(turns)).tolist()
        for turn, wait, anger, pick in zip(turns, waits.tolist(), calm, picks, strict=True):
            choices = phrases["en" if self._shop.languages[turn.customer] == 1 else "zh"]
            answers.append(
                turn._replace(
                    at_ms=turn.at_ms + wait,
                    event_id=name(self._settings, "answer", turn.event_id),
                    mood=NEUTRAL,
                    anger=anger,
                    text=choices[pick % len(choices)],
                    side="agent",
                    turn=(turn.turn or 0) + 1,
                )
            )
        return answers

    def _products(self, size: int) -> Ints:
        places: Ints = np.searchsorted(np.cumsum(self._shop.popularity), self._chance.random(size))
        return np.minimum(places, len(self._shop.products) - 1)

    def _customers(self, size: int) -> Ints:
        return self._chance.integers(0, len(self._shop.customers), size)

    def _times(self, size: int) -> Ints:
        return self._chance.integers(self._hour * HOUR_MS, (self._hour + 1) * HOUR_MS, size)


def _before(waits: Ints, turns: Ints) -> Ints:
    """For each turn the waits of the turns before it in its conversation."""
    total = np.cumsum(waits) - waits
    starts = np.repeat(total[np.cumsum(turns) - turns] if len(turns) else total, turns)
    before: Ints = total - starts
    return before
