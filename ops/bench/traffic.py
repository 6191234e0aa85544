"""Texts for the benchmarks: the project's own sample, in the lengths that real traffic has.

The sample is written by hand, and hand-written texts are too alike in length; what a scorer does with one long review
among thirty short turns decides its speed. So sample texts of one language are joined and cut to lengths drawn from
the quantiles below, taken from 1,487 real texts: Chinese shop reviews and service chat, English reviews and tweets to
airlines, 2 : 1 (tokens of the shipped model: mean 32, median 23, 95 % under 100).
"""

import json
import random
from bisect import bisect
from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "stream_app" / "local" / "data" / "sample.jsonl"

SHARES = (0.0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 1.0)
CHARACTERS = {
    "zh": (1, 1, 2, 5, 13, 23, 43, 88, 147, 288, 525),
    "en": (10, 18, 28, 40, 69, 116, 140, 246, 365, 659, 1539),
}


def texts(count: int, seed: int = 7) -> list[str]:
    """`count` raw texts, two Chinese to one English, the same for the same seed."""
    chance = random.Random(seed)
    sample = sample_texts()
    pools = {
        "zh": [text for text in sample if not text.isascii()],
        "en": [text for text in sample if text.isascii()],
    }
    made = []
    for number in range(count):
        language = "en" if number % 3 == 2 else "zh"
        made.append(_of_length(pools[language], _length(CHARACTERS[language], chance), chance))
    return made


def sample_texts() -> list[str]:
    """Every text of the sample's valid events, as it is published."""
    lines = map(json.loads, SAMPLE.read_text(encoding="utf-8").splitlines())
    return [line["value"]["text"] for line in lines if line.get("value", {}).get("text", "").strip()]


def _length(quantiles: tuple[int, ...], chance: random.Random) -> int:
    share = chance.random()
    above = bisect(SHARES, share)
    low, high = SHARES[above - 1], SHARES[above]
    part = (share - low) / (high - low)
    return max(1, round(quantiles[above - 1] + part * (quantiles[above] - quantiles[above - 1])))


def _of_length(pool: list[str], length: int, chance: random.Random) -> str:
    text = chance.choice(pool)
    while len(text) < length:
        text += " " + chance.choice(pool)
    return text[:length]
