"""How often does the gate promote what is not better, and how often does it see what is? By simulation.

    python -m ops.bench.gate [--worlds 400] [--rows 3000]

Models are drawn whose true quality is known: each text gives a model a signal about its mood plus noise; two models
share most of the noise, as two trainings of one network do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.text.model_input import TEXT_VERSION, ModelInput
from trainer.judge import judge
from trainer.rows import Row, group_of, text_key
from trainer.verdict import Facts, Side, Verdict

Floats = NDArray[np.float64]

FACTS = Facts(
    model="champion",
    text_version=TEXT_VERSION,
    labels={"0": "negative", "1": "neutral", "2": "positive"},
    knows_anger=True,
    anger_threshold=0.8,
    max_tokens=128,
    size_mb=30.0,
    canary_ok=True,
    seconds_per_1000=2.0,
    behaviour={"minimum": 0.9, "invariance": 0.95},
)
SIGNAL, ANGER = 1.75, 1.2
"""Strength of the champion's evidence: 81 % of three moods right, 0.955 of angry texts above calm ones."""
SHARED = 0.97
"""Correlation of two models' noise: they then differ on 8 % of the texts, as two seeds of one training do."""

_WORDS = {
    "zh": ("物流和包装", "客服的回答", "这件衣服的颜色和尺码", "手机的电池"),
    "en": ("the parcel", "your answer", "the colour and size of this shirt", "the battery of my phone"),
}
_NOT = {"zh": "不如想的", "en": "is not what I thought"}
_LONG = {"zh": "，从下单到收到一共等了几天，中间问过一次进度，回答也还算清楚" * 4, "en": " and so it goes on" * 7}


class World(NamedTuple):
    rows: list[Row]
    noise: Floats  # (N, 4), what every model of this world hears beside the signal


def world(rng: np.random.Generator, size: int = 3_000) -> World:
    """Reviews and service turns in two languages; a third negated, a tenth with emoji, chats with context."""
    return World(list(_rows(rng, size)), rng.normal(size=(size, 4)))


def scores(
    world: World,
    rng: np.random.Generator,
    *,
    signal: float | Sequence[float] | Floats = SIGNAL,
    anger: float = ANGER,
    shared: float = SHARED,
) -> Floats:
    """(N, 4) of a model that hears moods with this signal, for all texts or for each; calibrated."""
    size = len(world.rows)
    strength = np.broadcast_to(np.asarray(signal, dtype=float), size)[:, None]
    noise = shared * world.noise + np.sqrt(1 - shared**2) * rng.normal(size=(size, 4))
    moods = np.eye(3)[[row.sentiment or 0 for row in world.rows]]
    logits = strength * (strength * moods + noise[:, :3])
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    angry = np.array([row.anger == 1.0 for row in world.rows])
    heard = anger * (angry * 2.0 - 1.0) + noise[:, 3]
    odds = 2 * anger * heard + np.log(angry.mean() / (1 - angry.mean()))
    return np.column_stack([likely / likely.sum(axis=1, keepdims=True), 1 / (1 + np.exp(-odds))])


def trial(rng: np.random.Generator, size: int, gain: float, *, slice_loss: float = 0.0, slice_rows: int = 0) -> Verdict:
    """Champion and candidate of a new world; the candidate's signal is stronger by `gain`, weaker in the slice."""
    one = world(rng, size)
    strength = np.full(size, SIGNAL + gain)
    negated = [place for place, row in enumerate(one.rows) if _is_negated(row)]
    strength[negated[:slice_rows]] -= slice_loss
    kept = one
    if slice_rows:  # a slice of exactly that many rows
        places = [place for place, row in enumerate(one.rows) if not _is_negated(row)] + negated[:slice_rows]
        kept = World([one.rows[place] for place in places], one.noise[places])
        strength = strength[places]
    champion = Side(FACTS, scores(kept, rng))
    facts = msgspec.structs.replace(FACTS, model="candidate")
    return judge(kept.rows, champion, Side(facts, scores(kept, rng, signal=strength)))


def _rows(rng: np.random.Generator, size: int) -> Iterator[Row]:
    for number in range(size):
        language = "zh" if rng.random() < 0.5 else "en"
        chat = rng.random() < 0.4
        mood = int(rng.choice(3, p=(0.25, 0.5, 0.25) if chat else (0.4, 0.2, 0.4)))
        angry = mood == 0 and rng.random() < 0.4
        text = f"{rng.choice(_WORDS[language])} {number}"
        text += _NOT[language] if rng.random() < 0.33 else ""
        text += "😡" if rng.random() < 0.1 else ""
        text += _LONG[language] if rng.random() < 0.2 else ""
        context = ("请问有什么可以帮您" if language == "zh" else "how can I help") if chat else None
        yield Row(
            f"{language}_{'chat' if chat else 'reviews'}",
            text_key(text),
            ModelInput(text, context),
            mood,
            float(angry),
            role="customer" if chat else "",
            group=group_of(customer=str(number // 2), conversation=str(number) if chat else ""),
            language=language,
            channel="chat" if chat else "review",
        )


def _is_negated(row: Row) -> bool:
    return any(words in row.input.text for words in _NOT.values())


def _share(verdicts: Sequence[bool]) -> str:
    share = float(np.mean(verdicts))
    return f"{100 * share:5.1f} % ± {100 * np.sqrt(share * (1 - share) / len(verdicts)):.1f}"


@click.command()
@click.option("--worlds", default=400, show_default=True, help="Of each kind.")
@click.option("--rows", "sizes", multiple=True, type=int, default=(1_000, 3_000, 8_000), show_default=True)
def main(worlds: int, sizes: tuple[int, ...]) -> None:
    """The gate's false promotions, false refusals and power, for several numbers of held-back rows."""
    began = time.monotonic()
    for size in sizes:
        for gain in (0.0, 0.035, 0.07, 0.14):
            rng = np.random.default_rng(1)
            verdicts = [trial(rng, size, gain) for _ in range(worlds)]
            accuracy = [_points(verdict) for verdict in verdicts]
            proven = [("gain" not in verdict.refused_for) for verdict in verdicts]
            vetoed = [bool(set(verdict.refused_for) - {"gain"}) for verdict in verdicts]
            click.echo(
                f"{size:6,} rows, candidate {np.mean(accuracy):+5.2f} points: promoted"
                f" {_share([verdict.passed for verdict in verdicts])}, gain proven {_share(proven)},"
                f" refused for something else {_share(vetoed)}"
            )
    for slice_rows in (100, 300, 900):
        for loss in (0.3, 0.6, 1.2):
            rng = np.random.default_rng(2)
            found = [trial(rng, 8_000, 0.14, slice_loss=loss, slice_rows=slice_rows) for _ in range(worlds // 4)]
            lost = np.mean([_points(verdict, "negation with") for verdict in found])
            seen = ["negation with" in verdict.refused_for for verdict in found]
            click.echo(f"a slice of {slice_rows} rows that loses {lost:+6.2f} points: seen {_share(seen)}")
    click.echo(f"{time.monotonic() - began:.0f} s")


def _points(verdict: Verdict, name: str = "") -> float:
    """The measured difference in points: of one slice, or of the sources, each counting alike."""
    found = [
        100 * ((each.value or 0.0) - (each.champion or 0.0))
        for each in verdict.criteria
        if (each.name == name if name else each.name.startswith("source "))
    ]
    return float(np.mean(found))


if __name__ == "__main__":
    main()
