"""Is it good, is it calibrated, and whom does it alarm? A test set's figures: as a whole, slice by slice, by head."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from schemas.bundle import Decisions
from trainer.figures import BINS, MOODS, RESAMPLES, Bools, Figure, Floats, confusion, figures, reliability
from trainer.rows import Row
from trainer.slices import language_of, slices_of

MISTAKES = 100
SMALLEST_SLICE = 10
SMALLEST_PLOT = 30
"""Rows; figures and plots of fewer say nothing."""
LANGUAGES = ("zh", "en", "mixed", "other")
SHARES = frozenset({"called_negative", "called_neutral", "called_positive", "called_angry"})
WITH_INTERVAL = ("accuracy", "macro_f1", "anger_auc")


class SliceFigures(msgspec.Struct, frozen=True):
    dimension: str
    name: str
    texts: int
    figures: dict[str, Figure]


class Bin(msgspec.Struct, frozen=True):
    """One bar of a reliability plot; `confidence` and `right` are means, 0 to 1."""

    texts: int
    confidence: float
    right: float


class Head(msgspec.Struct, frozen=True):
    """What one of the two heads does in one language."""

    head: str  # "sentiment" or "anger"
    language: str
    labels: tuple[str, ...]
    counts: list[list[int]]
    """[label][what the model called it]."""
    bins: list[Bin]


class Mistake(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row the model was sure about and wrong. Without its text, unless that was asked for."""

    id: str
    """A hash of the text; `row` is its place in the source, where that is known."""
    source: str
    row: int
    language: str
    head: str
    label: str
    called: str
    confidence: float
    text: str | None = None
    context: str | None = None


class Evaluation(msgspec.Struct, frozen=True):
    """All there is to say about one model on one test set; goes to JSON and to the report."""

    model: str
    texts: int
    decisions: Decisions
    resamples: int
    seed: int
    slices: list[SliceFigures]
    """The whole set first, as slice "all"."""
    heads: list[Head]
    mistakes: list[Mistake]

    @property
    def overall(self) -> dict[str, Figure]:
        return self.slices[0].figures

    def of(self, dimension: str) -> list[SliceFigures]:
        return [each for each in self.slices if each.dimension == dimension]


def evaluate(
    model: str,
    rows: Sequence[Row],
    scores: Floats,
    decisions: Decisions,
    *,
    resamples: int = RESAMPLES,
    seed: int = 13,
    show_texts: bool = False,
    advance: Callable[[int], None] = lambda texts: None,
) -> Evaluation:
    """`scores`: (N, 4), negative, neutral, positive, anger of each row; `advance` hears of every text measured.

    1. figures of the whole  2. of every slice  3. each head's confusion and reliability by language  4. the mistakes
    """
    whole = figures(rows, scores, decisions, resamples=resamples, seed=seed)  # 1
    slices = [SliceFigures("all", "all", len(rows), whole)]
    for part in slices_of(rows):  # 2
        if len(part.places) >= SMALLEST_SLICE:
            inside = [rows[i] for i in part.places]
            found = figures(inside, scores[part.places], decisions, resamples=resamples, seed=seed)
            slices.append(SliceFigures(part.dimension, part.name, len(inside), found))
        advance(len(part.places))
    return Evaluation(
        model=model,
        texts=len(rows),
        decisions=decisions,
        resamples=resamples,
        seed=seed,
        slices=slices,
        heads=heads(rows, scores, decisions),  # 3
        mistakes=worst_mistakes(rows, scores, decisions, show_texts=show_texts),  # 4
    )


def for_manifest(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Source -> figure -> value; the ends of the main figures' intervals as `<figure>_low` and `<figure>_high`.

    What share was called what is told of sources without labels only.
    """
    found: dict[str, dict[str, float]] = {}
    for part in evaluation.of("source"):
        labelled = {"labelled", "anger_labelled"} & set(part.figures)
        kept = {name: figure for name, figure in part.figures.items() if not (labelled and name in SHARES)}
        found[part.name] = {name: figure.value for name, figure in kept.items()}
        for name in WITH_INTERVAL if evaluation.resamples else ():
            if name in kept:
                found[part.name] |= {f"{name}_low": kept[name].low, f"{name}_high": kept[name].high}
    return found


def heads(rows: Sequence[Row], scores: Floats, decisions: Decisions) -> list[Head]:
    """Sentiment and anger of every language that has enough labels."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[language_of(row)].append(place)
    found = []
    for language in [*LANGUAGES, *sorted(set(places) - set(LANGUAGES))]:
        inside = places[language]
        told = [i for i in inside if rows[i].sentiment is not None]
        if len(told) >= SMALLEST_PLOT:
            moods = np.array([rows[i].sentiment for i in told], dtype=np.int64)
            called = scores[told, :3].argmax(axis=1)
            counts = confusion(moods, called)
            bins = _bins(scores[told, :3].max(axis=1), called == moods)
            found.append(Head("sentiment", language, MOODS, counts.tolist(), bins))
        sure = [i for i in inside if rows[i].anger in (0.0, 1.0)]
        if len(sure) >= SMALLEST_PLOT:
            angry = np.array([rows[i].anger == 1.0 for i in sure])
            alarm = scores[sure, 3] >= decisions.anger_threshold
            table = [[int((angry == a)[alarm == b].sum()) for b in (False, True)] for a in (False, True)]
            found.append(Head("anger", language, ("calm", "angry"), table, _bins(scores[sure, 3], angry)))
    return found


def worst_mistakes(
    rows: Sequence[Row], scores: Floats, decisions: Decisions, *, limit: int = MISTAKES, show_texts: bool = False
) -> list[Mistake]:
    """The mistakes of either head that the model was surest of, surest first."""
    found: list[tuple[float, int, str, str, str]] = []
    called = scores[:, :3].argmax(axis=1)
    alarm = scores[:, 3] >= decisions.anger_threshold
    for place, row in enumerate(rows):
        if row.sentiment is not None and called[place] != row.sentiment:
            confidence = float(scores[place, called[place]])
            found.append((confidence, place, "sentiment", MOODS[row.sentiment], MOODS[called[place]]))
        if row.anger in (0.0, 1.0) and alarm[place] != (row.anger == 1.0):
            confidence = float(scores[place, 3] if alarm[place] else 1 - scores[place, 3])
            names = ("calm", "angry")
            found.append((confidence, place, "anger", names[int(row.anger)], names[int(alarm[place])]))
    found.sort(key=lambda each: (-each[0], each[1]))
    return [
        Mistake(
            id=hashlib.blake2b(rows[place].key.encode(), digest_size=4).hexdigest(),
            source=rows[place].source,
            row=rows[place].row,
            language=language_of(rows[place]),
            head=head,
            label=label,
            called=name,
            confidence=round(confidence, 4),
            text=rows[place].input.text if show_texts else None,
            context=rows[place].input.context if show_texts else None,
        )
        for confidence, place, head, label, name in found[:limit]
    ]


def _bins(confidence: Floats, right: Bools) -> list[Bin]:
    texts, sure, hits = reliability(confidence, right)
    shares = [(int(texts[i]), sure[i] / max(1, texts[i]), hits[i] / max(1, texts[i])) for i in range(BINS)]
    return [Bin(number, round(float(mean), 4), round(float(hit), 4)) for number, mean, hit in shares]
