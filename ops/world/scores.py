"""What the model says of the world's texts: the noise the rules must live with, and its limits.

The truth is judged *given the scores*, so the noise stays inside a band for each way of speaking; bands do not touch
where a rule has to tell them apart:

    CALM      0.01–0.14   praise, questions, thanks
    UNHAPPY   0.02–0.34   an everyday complaint: negative, never angry
    ANNOYED   0.28–0.385  somebody who stays irritated and goes no further
    HOT       0.40–0.485  just below the threshold: the end of a souring conversation
    FURIOUS   0.62–0.97   flagged angry
    WRONG     0.51–0.70   flagged angry, and nothing is the matter: a share `Settings.wrong_flags` of the background's
                          customer texts (1 in 20,000), in no truth. An alert for one is a false alert: they cost a rule
                          for single messages about 1.3 points of precision, and no other rule anything.

`angry` is anger >= 0.5. The label is the story's own: how often the model misreads a mood is part of a product's usual
share of negative texts. Probabilities scatter around the label: the winning one is 0.46–0.99.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.events import Label

Floats = NDArray[np.float64]

THRESHOLD = 0.5
INTENSITY_CUTS = (0.2, 0.4, 0.6, 0.8)
NEGATIVE, NEUTRAL, POSITIVE = 0, 1, 2
LABELS: tuple[Label, Label, Label] = ("negative", "neutral", "positive")


class Band(NamedTuple):
    """Anger of one way of speaking: from, to."""

    low: float
    high: float


CALM = Band(0.01, 0.14)
UNHAPPY = Band(0.02, 0.34)
ANNOYED = Band(0.28, 0.385)
HOT = Band(0.40, 0.485)
FURIOUS = Band(0.62, 0.97)
WRONG = Band(0.51, 0.70)


def anger(chance: np.random.Generator, band: Band) -> float:
    """One draw, thickest in the middle of the band."""
    return float(angers(chance, band, 1)[0])


def angers(chance: np.random.Generator, band: Band, size: int) -> Floats:
    """(size,) draws."""
    drawn: Floats = np.round(band.low + (band.high - band.low) * chance.beta(2.0, 2.0, size), 4)
    return drawn


def probabilities(chance: np.random.Generator, moods: NDArray[np.int64]) -> Floats:
    """(N, 3) negative, neutral, positive for (N,) labels; rows add up to 1, the label has the largest."""
    size = len(moods)
    winner = np.round(0.46 + 0.53 * chance.beta(4.0, 2.0, size), 4)
    # What is left is shared out so that neither part reaches the winner.
    left = 1.0 - winner
    share = chance.uniform(0.2, 0.8, size)
    found = np.empty((size, 3))
    rows = np.arange(size)
    first, second = (moods + 1) % 3, (moods + 2) % 3
    found[rows, moods] = winner
    found[rows, first] = np.round(left * share, 4)
    found[rows, second] = np.maximum(0.0, np.round(left - found[rows, first], 4))
    return found
