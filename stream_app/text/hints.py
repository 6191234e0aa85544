"""Whether a text could hold something at all: tests that cost little and spare a search that costs much.

A test may say yes where nothing is; it must not say no where something is. Measured on English texts of 180 characters:
one character `in` the text takes 0.03 µs, a word 0.15, a regex that begins with a literal 0.2-0.7, one that begins with
a set 0.8-1.5, one that begins with words 3-10, one that begins with a look behind or ignores case up to 20. A pattern
that begins with many words takes a third if a look ahead for their first letters stands before them: `(?=[SsDd])`.
"""

import re
from collections.abc import Callable
from typing import Final

Holds = Callable[[str], object]

_HAN: Final = re.compile("[\u3400-\u9fff]")


def holds_digit(text: str) -> bool:
    """0-9. Ten searches for one character each take a fifth of what one for `[0-9]` takes."""
    return (
        "0" in text
        or "1" in text
        or "2" in text
        or "3" in text
        or "4" in text
        or "5" in text
        or "6" in text
        or "7" in text
        or "8" in text
        or "9" in text
    )


def holds_han(text: str) -> bool:
    """A Chinese character; the patterns here name none outside this range."""
    return not text.isascii() and _HAN.search(text) is not None
