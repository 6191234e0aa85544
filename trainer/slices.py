"""Which parts of a test set to look at on their own: a good average hides the slice where a model is bad."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from stream_app.text.language import guess
from trainer.rows import Row

LENGTHS = (10, 30, 80, 200)
"""Characters: a chat turn, a sentence, a short review, a review; longer ones may be cut by the model."""

NEGATION = re.compile(
    "[不没沒未勿無无莫]|非(?!常)|(?<![特区區个個类類级級分性差告])别(?![人的家处處墅])"
    r"|\b(?:no|not|never|none|nothing|nobody|nowhere|neither|nor|without|hardly|cannot|[a-z]+n['’]t"
    r"|(?:do|does|did|is|was|are|ca|wo|would|could|should|has|have)nt)\b",
    re.IGNORECASE,
)
_EMOJI = re.compile(
    "[\u2600-\u27bf\u2b50\u2b55\U0001f000-\U0001faff]|\\[[\u4e00-\u9fff]{1,4}\\]"
)  # 😡, and Weibo's [怒]


class Slice(NamedTuple):
    dimension: str
    name: str
    places: list[int]
    """Indices of its rows."""


def slices_of(rows: Sequence[Row]) -> Iterator[Slice]:
    """Every slice that holds a row, dimension by dimension; of a yes-or-no dimension both sides."""
    for dimension, name_of in DIMENSIONS.items():
        places: dict[str, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            if name := name_of(row):
                places[name].append(place)
        yield from (Slice(dimension, name, found) for name, found in sorted(places.items(), key=_order))


def language_of(row: Row) -> str:
    """zh, en, mixed, other, or what the source says it is in; a source's word for "mixed" is seldom heard."""
    found = guess(row.input.text)
    return found if found == "mixed" else row.language or found


def length_of(row: Row) -> str:
    length = len(row.input.text)
    lower = 1
    for upper in LENGTHS:
        if length <= upper:
            return f"{lower}–{upper} characters"
        lower = upper + 1
    return f"over {LENGTHS[-1]} characters"


def has_negation(text: str) -> bool:
    """不, 没, not, never, don't …; a word list, which a double negation or a rhetorical question escapes."""
    return bool(NEGATION.search(text))


def has_emoji(text: str) -> bool:
    return bool(_EMOJI.search(text))


def evasion_of(row: Row) -> str:
    """Words pulled apart (f.u.c.k) were joined in preparing the text; only a row that keeps its flags knows."""
    return "" if row.flags is None else _whether("evasion" in row.flags, "evasion")


def _whether(present: bool, what: str) -> str:
    return what if present else f"no {what}"


DIMENSIONS: dict[str, Callable[[Row], str]] = {
    "source": lambda row: row.source,
    "language": language_of,
    "length": length_of,
    "channel": lambda row: row.channel,
    "role": lambda row: row.role,
    "negation": lambda row: _whether(has_negation(row.input.text), "negation"),
    "emoji": lambda row: _whether(has_emoji(row.input.text), "emoji"),
    "evasion": evasion_of,
    "context": lambda row: _whether(row.input.context is not None, "context"),
}
"""Dimension -> the name of the slice a row is in; "" for none."""


def _order(named: tuple[str, list[int]]) -> tuple[int, str]:
    """By length where the name begins with one, else by name."""
    found = re.match(r"(?:over )?(\d+)", named[0])
    return (int(found[1]) if found else 0, named[0])
