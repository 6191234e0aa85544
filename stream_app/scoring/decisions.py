"""From calibrated probabilities to what people and rules act on: a label, a strength, anger or not."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from schemas.bundle import Decisions
from stream_app.scoring.scorer import Scores

__all__ = ["Decisions", "Judgement", "judge"]


class Judgement(NamedTuple):
    label: str  # "negative", "neutral" or "positive"
    score: float  # positive minus negative: -1.0 … 1.0
    intensity: int  # 1 (calm) … 5 (as strong as it gets), whatever the direction
    angry: bool


def judge(scores: Scores, decisions: Decisions) -> Judgement:
    """What these probabilities mean under a bundle's decisions. Pure, about a microsecond.

    A tie goes to neutral: an undecided model must not raise anybody's negative count. Strength is the larger of
    |score| and anger, because an angry text may well be mixed in sentiment ("love the phone, hate your service").
    """
    negative, neutral, positive, anger = scores
    if negative > neutral and negative > positive:
        label = "negative"
    elif positive > neutral and positive > negative:
        label = "positive"
    else:
        label = "neutral"
    score = positive - negative
    strength = score if score > 0 else -score
    if anger > strength:
        strength = anger
    intensity = 1 + bisect_left(decisions.intensity_cuts, strength)  # how many cuts lie below the strength
    return Judgement(label, score, intensity, anger >= decisions.anger_threshold)
