"""What decides a world: the same settings give the same events, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MINUTE_MS = 60_000

START = datetime(2025, 3, 3, tzinfo=UTC)  # a Monday; every world begins there


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`wrong_flags` is the share of harmless customer texts that the model calls angry: see `scores.py`."""

    seed: Annotated[int, Meta(ge=0)] = 1
    days: Annotated[int, Meta(ge=1, le=366)] = 30
    products: Annotated[int, Meta(ge=30)] = 2_000
    customers: Annotated[int, Meta(ge=500)] = 50_000
    events_per_day: Annotated[int, Meta(ge=100)] = 20_000
    wrong_flags: Annotated[float, Meta(ge=0.0, le=0.01)] = 0.00005

    @property
    def hours(self) -> int:
        return 24 * self.days

    @property
    def end_ms(self) -> int:
        return self.days * DAY_MS

    def chance(self, *path: int) -> np.random.Generator:
        """A generator of its own for each part, so that one part's draws do not move another's."""
        return np.random.default_rng([self.seed, *path])


def moment(at_ms: int) -> datetime:
    """The instant so many milliseconds into the world."""
    return START + timedelta(milliseconds=at_ms)
