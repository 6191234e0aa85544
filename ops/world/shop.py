"""The shop: products, customers and the rhythm of its week."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ops.world.scores import Floats
from ops.world.settings import Settings

CATEGORIES = ("appliances", "audio", "baby", "beauty", "clothing", "food", "furniture", "phones")
BRANDS = ("Norbrick", "回澜", "Tumbeloo", "青禾", "Ostrava Home", "山月", "Pelligo", "知夏", "Quaverly", "北屿")
CHANNELS = ("app", "web", "mini_program", "store")
LANGUAGES = ("zh", "en", "mixed")
TIERS = ("regular", "silver", "gold", "vip")

_LANGUAGE_SHARES = (0.60, 0.34, 0.06)
_TIER_SHARES = (0.80, 0.14, 0.05, 0.01)
_HOURS = (3, 2, 1, 1, 1, 2, 4, 7, 10, 13, 15, 15, 14, 13, 13, 13, 14, 15, 17, 20, 22, 20, 14, 7)  # texts by hour of day
_DAYS = (1.0, 0.95, 0.95, 1.0, 1.1, 1.3, 1.25)  # Monday to Sunday


class Product(NamedTuple):
    id: str
    category: str
    brand: str


class Shop(NamedTuple):
    """Products by popularity, the best-selling first. Arrays are indexed by product or by customer."""

    products: list[Product]
    popularity: Floats  # (P,) adds up to 1
    unhappy: Floats  # (P,) usual share of negative customer texts
    customers: list[str]
    languages: NDArray[np.int64]  # (C,) places in LANGUAGES
    tiers: NDArray[np.int64]  # (C,) places in TIERS
    rhythm: Floats  # (168,) texts by hour of the week, mean 1
    gloom: Floats  # (168,) factor on the share of negative texts, mean 1


def shop(settings: Settings) -> Shop:
    """The shop of this seed: Zipf popularity, usual negative shares of 6 to 26 %, 1 % VIPs."""
    chance = settings.chance(1)
    size = settings.products
    popularity = 1.0 / np.arange(1, size + 1)
    products = [
        Product(f"P-{number:05d}", str(chance.choice(CATEGORIES)), str(chance.choice(BRANDS)))
        for number in (chance.permutation(size) + 1).tolist()
    ]
    week = np.array([hour * day for day in _DAYS for hour in _HOURS], dtype=float)
    hour_of_day = np.arange(168) % 24
    return Shop(
        products=products,
        popularity=popularity / popularity.sum(),
        unhappy=np.round(0.06 + 0.20 * chance.beta(1.6, 2.4, size), 4),
        customers=[f"customer-{number:06d}" for number in range(1, settings.customers + 1)],
        languages=chance.choice(3, size=settings.customers, p=_LANGUAGE_SHARES),
        tiers=chance.choice(4, size=settings.customers, p=_TIER_SHARES),
        rhythm=week / week.mean(),
        gloom=1.0 + 0.1 * np.cos((hour_of_day - 1) * 2 * np.pi / 24),  # a tenth gloomier at one in the night
    )
