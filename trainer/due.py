"""Is it time to train? Enough new labels, a champion grown old, or because somebody says so."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

Trigger = Literal["labels", "age", "hand"]


class State(NamedTuple):
    """What the decision needs to know, as of a moment."""

    as_of: datetime
    new_labels: int
    """Labelled texts since the last run looked."""
    last_run: datetime | None
    """The moment as of which the last run that came to a verdict read its labels."""
    champion_created: datetime | None


class Due(NamedTuple):
    """Whether to train, why, and a sentence for a person."""

    trigger: Trigger | None
    reason: str


def due(state: State, *, min_labels: int, max_age: timedelta, by_hand: bool = False) -> Due:
    """By hand beats labels, labels beat age. Age needs a new label at least: the same rows teach nothing new.

    A run that was refused renews the age as well, or a candidate that cannot win would be trained every hour.
    """
    if by_hand:
        return Due("hand", f"asked for, with {state.new_labels:,} new labels")
    if state.new_labels >= min_labels:
        return Due("labels", f"{state.new_labels:,} new labels, {min_labels:,} are enough")
    renewed = max((moment for moment in (state.last_run, state.champion_created) if moment), default=None)
    if renewed is not None and state.new_labels and state.as_of - renewed >= max_age:
        return Due("age", f"the champion is {_days(state.as_of - renewed)} old, and there are new labels")
    age = f"{_days(state.as_of - renewed)} of {_days(max_age)}" if renewed else "unknown"
    return Due(None, f"{state.new_labels:,} of {min_labels:,} new labels; age {age}")


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):.3g} days"
