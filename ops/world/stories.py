"""Which customers' stories a world has, and when: every story has a customer of its own.

So no two stories make a third one by accident: two singles of one customer and one more would be a repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from ops.world import tales
from ops.world.settings import HOUR_MS, Settings
from ops.world.shop import Shop
from ops.world.texts import Pen, Text
from ops.world.truth import Incident


class Story(NamedTuple):
    texts: list[Text]
    incidents: list[Incident]


Teller = Callable[[Settings, Pen, int], list[Incident]]

PLAN: tuple[tuple[Teller, float], ...] = (
    (tales.furious_review, 0.8),
    (tales.furious_turn, 0.5),
    (tales.souring, 0.4),
    (tales.rude_agent, 0.2),
    (tales.dip, 0.4),
    (tales.grumble, 0.4),
    (tales.repeat, 0.2),
    (tales.twice, 0.2),
    (tales.unanswered, 0.4),
    (tales.late_answer, 0.4),
    (tales.grave, 0.3),
    (tales.harmless, 0.3),
)
"""Stories of each kind per 1,000 events."""


def stories(settings: Settings, shop: Shop) -> Iterator[Story]:
    """Every customer's story of this world; as many of each as `PLAN` says per 1,000 events."""
    chance = settings.chance(2)
    planned = [teller for teller, rate in PLAN for _ in range(_count(settings, rate))]
    most = settings.customers // 2
    if len(planned) > most:  # a crowded world: fewer stories, in the same proportions
        planned = planned[:: len(planned) // most + 1]
    heroes = chance.permutation(settings.customers)[: len(planned)]
    last = settings.hours - (tales.WITHIN_H + 4 if settings.days > 2 else settings.hours // 2)
    rhythm = np.resize(shop.rhythm, last)
    hours = chance.choice(last, size=len(planned), p=rhythm / rhythm.sum())
    products = chance.choice(settings.products, size=len(planned), p=shop.popularity)
    for number, teller in enumerate(planned):
        pen = Pen(settings, shop, chance, f"story/{number}", int(heroes[number]), int(products[number]))
        at_ms = int(hours[number]) * HOUR_MS + int(chance.integers(HOUR_MS))
        incidents = teller(settings, pen, at_ms)
        yield Story(pen.texts, [_named(incident, pen, shop) for incident in incidents])


def _count(settings: Settings, rate: float) -> int:
    return max(2, round(rate * settings.days * settings.events_per_day / 1000))


def _named(incident: Incident, pen: Pen, shop: Shop) -> Incident:
    return replace(incident, customer=shop.customers[pen.customer], product_id=shop.products[pen.product].id)
