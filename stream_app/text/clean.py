"""From what arrived to what a person wrote, without losing what they meant.

`clean` never takes out words: no stop words, no negations, no emoji. It is idempotent and never raises.
"""

import re
from typing import Final, NamedTuple

from stream_app.text.boilerplate import without_boilerplate
from stream_app.text.characters import without_costumes, without_invisible
from stream_app.text.evasion import joined
from stream_app.text.markup import without_links, without_markup

# Five times the longest of 340,000 reviews and chat turns (3,601); more is an attack or an accident.
MAX_CHARS: Final = 20_000

# Every flag there is, and when a text carries it. Consumers may rely on the names.
FLAGS: Final = {
    "truncated": "longer than MAX_CHARS; the rest was dropped unread",
    "control": "held characters that print as nothing: controls, zero width, bidi overrides, lone surrogates",
    "fullwidth": "held letters in costume (full-width, mathematical, circled, stacked marks), now plain",
    "html": "held tags, entities, scripts or styles",
    "link": "held links, now <link>",
    "evasion": "held words pulled apart by separators (垃-圾, f.u.c.k), now joined",
    "repeats": "held a character or phrase more than three times in a row, now three times",
    "boilerplate": "held sentences nobody wrote: default reviews, advertisements, signatures",
    "empty": "nothing is left",
}

# One step can prepare work for another (a joined word completes a link): rounds go on until nothing changes. Of
# 340,000 real texts none needed more than three; the bound is for texts built to need many.
_MAX_ROUNDS: Final = 12

_SPACES: Final = re.compile(" {2,}")
_KEPT_REPEATS: Final = 3
_SHORTEST_REPEATED: Final = 2 * (_KEPT_REPEATS + 1)
_FOUR_ALIKE: Final = re.compile(r"(.)\1\1\1")
_SAME_CHARACTER: Final = re.compile(rf"([^0-9])\1{{{_KEPT_REPEATS},}}")  # 100000 is a number, not emphasis
# `\1\1\1\1*` is found in half the time of `\1{3,}`
_SAME_PHRASE: Final = re.compile(r"([^0-9<>]{2,8}?)" + r"\1" * _KEPT_REPEATS + r"\1*")
# A phrase of n characters, four times in a row, is 3n characters that equal those n further: (n, as many NULs). Phrases
# of 2 and 3 characters show at 4 and 6 as well, with 4 and 6 characters left.
_SHIFTS: Final = tuple((n, bytes(equal)) for n, equal in ((4, 4), (6, 6), (5, 15), (7, 21), (8, 24)))


class Cleaned(NamedTuple):
    """A cleaned text and what was done to it, as names from `FLAGS` in that order."""

    text: str
    flags: tuple[str, ...]


def clean(text: str) -> Cleaned:
    """What a person wrote, out of what arrived; see `FLAGS` for what is taken out or rewritten."""
    found: set[str] = set()
    if len(text) > MAX_CHARS:
        text = text[:MAX_CHARS]
        found.add("truncated")
    for _ in range(_MAX_ROUNDS):
        cleaned = _one_round(text, found)
        if cleaned == text:
            break
        text = cleaned
    if not text:
        found.add("empty")
    return Cleaned(text, tuple(flag for flag in FLAGS if flag in found) if found else ())


def _one_round(text: str, found: set[str]) -> str:
    for flag, step in _STEPS:
        text, changed = step(text)
        if changed:
            found.add(flag)
    if "  " in text:
        text = _SPACES.sub(" ", text)
    return text.strip(" ")


def _capped(text: str) -> tuple[str, bool]:
    """`太太太太太差了` → `太太太差了`: that somebody repeats is emphasis, how often is length. Digits never."""
    before = text
    if _FOUR_ALIKE.search(text):
        text = _SAME_CHARACTER.sub(_three_times, text)
    # Looking for phrases costs more than all other steps together. A phrase that fills a quarter of the text covers one
    # of three probes, and the two characters found there then come at least three times.
    # In half of the long English texts those are common letters ("e ", "th"): then the second question is asked.
    size = len(text)
    if (
        size >= _SHORTEST_REPEATED
        and (
            text.count(text[size // 2 : size // 2 + 2]) >= _KEPT_REPEATS
            or text.count(text[size // 4 : size // 4 + 2]) >= _KEPT_REPEATS
            or text.count(text[size * 3 // 4 : size * 3 // 4 + 2]) >= _KEPT_REPEATS
        )
        and _repeats_itself(text)
    ):
        text = _SAME_PHRASE.sub(_three_times, text)
    return text, text != before


def _repeats_itself(text: str) -> bool:
    """False: no phrase of 2 to 8 characters comes four times in a row.

    All characters are compared with those n further at once, as one large number: 3 µs for 180 characters, where
    `_SAME_PHRASE` takes 16. Characters beyond Latin-1 all count as equal, which can only make it True.
    """
    as_bytes = text.encode("latin-1", "replace")
    number = int.from_bytes(as_bytes, "little")
    return any(equal in (number ^ number >> 8 * n).to_bytes(len(as_bytes), "little") for n, equal in _SHIFTS)


def _three_times(match: re.Match[str]) -> str:
    return match[1] * _KEPT_REPEATS


_STEPS: Final = (
    ("control", without_invisible),
    ("fullwidth", without_costumes),
    ("html", without_markup),
    ("link", without_links),
    ("evasion", joined),
    ("repeats", _capped),
    ("boilerplate", without_boilerplate),
)
