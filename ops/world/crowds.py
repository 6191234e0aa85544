"""What happens to single products: surges and bought reviews, and what looks like a surge and is none.

Of each best-selling product and each six days at most one thing happens, so that none hides another.
"""

from __future__ import annotations

from math import log
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from ops.world import words
from ops.world.scores import CALM, NEGATIVE, POSITIVE, UNHAPPY
from ops.world.settings import DAY_MS, HOUR_MS, MINUTE_MS, Settings, moment
from ops.world.shop import Shop
from ops.world.texts import Pen, Text, name
from ops.world.truth import Incident

MUST_FACTOR = 3.0
CERTAIN_NATS = log(10_000)
"""A surge is decidable at the first text by which somebody who knew the usual share and the surge's would hold it for
real at odds of 10,000 : 1 (the log likelihood ratio of the product's texts since the start)."""
ENOUGH_MIN = 10
"""A surge must be found if it was decidable within so many minutes of its start: then its product has enough volume for
a rule that does not know the shares to find it in a quarter of an hour."""
MOST_NEGATIVE = 0.9

Sort = Literal["surge", "spike", "drift"]
PER_DAY: dict[Sort | Literal["brushing"], float] = {"surge": 2.5, "spike": 0.7, "drift": 0.7, "brushing": 0.7}


class Condition(msgspec.Struct, kw_only=True):
    """A stretch of a product's time. `seen` gathers a surge's texts: time, id, negative?, usual share."""

    sort: Sort
    product: int
    start_ms: int
    end_ms: int
    factor: float  # on the negative share; a drift reaches it at its end
    extra_per_hour: float = 0.0  # reviews beside the usual ones
    seen: list[tuple[int, str, bool, float]] = msgspec.field(default_factory=list)

    def factor_at(self, at_ms: int) -> float:
        if self.sort == "drift":
            return 1.0 + (self.factor - 1.0) * (at_ms - self.start_ms) / (self.end_ms - self.start_ms)
        return self.factor


class Crowds(NamedTuple):
    """`incidents` holds the bought reviews; what a surge was is known when it is over (`surged`)."""

    conditions: list[Condition]
    texts: list[Text]
    incidents: list[Incident]


def crowds(settings: Settings, shop: Shop) -> Crowds:
    """Surges of x2 to x6 for 1 to 12 hours; spikes of volume; drifts of x1.3 over a day and more; bought reviews."""
    chance = settings.chance(3)
    places = _places(settings, chance)
    found = Crowds([], [], [])
    for sort, per_day in PER_DAY.items():
        share = 0.5 if sort == "surge" else 0.15
        for _ in range(min(max(1, round(per_day * settings.days)), int(share * _slots(settings)))):
            product, slot = places.pop()
            if sort == "brushing":
                _bought(settings, shop, chance, found, product, slot)
            else:
                found.conditions.append(_condition(settings, shop, chance, sort, product, slot))
    return found


def _slots(settings: Settings) -> int:
    """Pairs of a best-selling product and a stretch of days."""
    return min(settings.products // 2, max(24, settings.products // 50)) * (settings.days // _slot_days(settings))


def _slot_days(settings: Settings) -> int:
    return min(6, settings.days)


def _places(settings: Settings, chance: np.random.Generator) -> list[tuple[int, int]]:
    """The pairs in random order: product, slot."""
    slots = settings.days // _slot_days(settings)
    drawn = chance.permutation(_slots(settings)).tolist()
    return [(place // slots, place % slots) for place in drawn]


def _start(settings: Settings, chance: np.random.Generator, slot: int) -> int:
    """A time in the slot, after a quarter of it, so that the usual share can be known, and 13 hours before its end."""
    length = _slot_days(settings) * DAY_MS
    return slot * length + int(chance.integers(length // 4, length - 13 * HOUR_MS))


def _condition(
    settings: Settings, shop: Shop, chance: np.random.Generator, sort: Sort, product: int, slot: int
) -> Condition:
    start = _start(settings, chance, slot)
    if sort == "drift":
        length = _slot_days(settings) * DAY_MS
        return Condition(sort=sort, product=product, start_ms=slot * length, end_ms=(slot + 1) * length, factor=1.3)
    most = min(6.0, MOST_NEGATIVE / float(shop.unhappy[product]))
    return Condition(
        sort=sort,
        product=product,
        start_ms=start,
        end_ms=start + int(chance.uniform(1, 12) * HOUR_MS),
        factor=round(float(chance.uniform(2, most)), 2) if sort == "surge" else 1.0,
        # An outage or a bad batch makes people write; without that, an hour of most products is a handful of texts.
        extra_per_hour=float(chance.uniform(90, 240)),
    )


def surged(settings: Settings, shop: Shop, surge: Condition) -> Incident | None:
    """The incident a surge is by its texts; None if nobody wrote in it."""
    texts = sorted(surge.seen)
    if not texts:
        return None
    decided, evidence = None, 0.0
    for at_ms, event_id, negative, usual in texts:
        raised = min(MOST_NEGATIVE, usual * surge.factor)
        evidence += log(raised / usual) if negative else log((1 - raised) / (1 - usual))
        if evidence >= CERTAIN_NATS:
            decided = (at_ms, event_id)
            break
    at_ms, event_id = decided or texts[-1][:2]
    soon = at_ms - surge.start_ms <= ENOUGH_MIN * MINUTE_MS
    return Incident(
        incident=f"surge-{name(settings, 'surge', surge.product, surge.start_ms)}",
        kind="surge",
        start=moment(surge.start_ms),
        end=moment(surge.end_ms),
        decidable_at=moment(at_ms),
        decided_by=event_id,
        size=surge.factor,
        events=(event_id,),
        must=surge.factor >= MUST_FACTOR and decided is not None and soon,
        product_id=shop.products[surge.product].id,
    )


BOUGHT = 8
"""Bought reviews are decidable at the eighth."""


def _bought(
    settings: Settings, shop: Shop, chance: np.random.Generator, found: Crowds, product: int, slot: int
) -> None:
    """25 to 60 near-duplicates in half an hour to two hours, by as many customers; a third of the bursts slate."""
    start, mood = _start(settings, chance, slot), POSITIVE if chance.random() < 0.67 else NEGATIVE
    size = int(chance.integers(25, 61))
    times = start + np.sort(chance.integers(0, int(chance.uniform(30, 120) * MINUTE_MS), size))
    writers = chance.choice(settings.customers, size=size, replace=False)
    language = int(chance.integers(2))
    texts: list[Text] = []
    for number, (at_ms, writer) in enumerate(zip(times.tolist(), writers.tolist(), strict=True)):
        pen = Pen(settings, shop, chance, f"bought/{product}/{slot}/{number}", writer, product)
        pen.language = ("zh", "en")[language]  # one text was ordered, whoever posts it
        phrases, band = (words.PRAISE, CALM) if mood == POSITIVE else (words.SLATING, UNHAPPY)
        texts.append(pen.copy(at_ms, phrases, mood, band))
    found.texts.extend(texts)
    found.incidents.append(
        Incident(
            incident=f"brushing-{name(settings, 'brushing', product, slot)}",
            kind="brushing",
            start=moment(texts[0].at_ms),
            end=moment(texts[-1].at_ms),
            decidable_at=moment(texts[BOUGHT - 1].at_ms),
            decided_by=texts[BOUGHT - 1].event_id,
            size=float(size),
            events=tuple(text.event_id for text in texts),
            product_id=shop.products[product].id,
        )
    )
