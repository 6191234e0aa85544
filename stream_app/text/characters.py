"""Characters nobody can see, and characters that are costumes of other characters."""

import re
import unicodedata
from typing import Final

# Every space but the ordinary one, and what ends a line. U+3000 is the space of Chinese keyboards.
_SPACES: Final = re.compile("[\t\n\v\f\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")

# Emoji sequences need the zero-width joiner (family, professions) and tags (flags of England, Scotland, Wales).
_EMOJI: Final = "\u2190-\u21ff\u2600-\u27bf\u2b00-\u2bff\ufe0f\U0001f000-\U0001faff"
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # controls
    "\xad\u034f\u061c\u180b-\u180f"  # soft hyphen, grapheme joiner, Arabic and Mongolian marks
    "\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f"  # zero width, bidi embeddings, overrides and isolates
    "\ufeff\ufff9-\ufffb"  # byte order mark, annotations, object placeholder
    "\ud800-\udfff"  # halves of a pair: no UTF-8 writes them
    "\ue000-\uf8ff\U000f0000-\U0010ffff"  # private use: what another encoding left behind
    "\U000e0000-\U000e001f\U000e0080-\U000e0fff]+"
    f"|(?<![{_EMOJI}])\u200d+|\u200d+(?![{_EMOJI}])"
    "|(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0020-\U000e007f]+"
)

# The parts of NFKC that are wanted, all one character to one. Not wanted: ，！？：；（）～ are how Chinese is written,
# ™ ² ½ ㎡ ① mean something as they stand, and ligatures or ㍿ would make the text longer.
_COSTUME: Final = re.compile(
    "[\uff02-\uff07\uff0a\uff0b\uff0d-\uff19\uff1c-\uff1e\uff20-\uff5d"  # full-width forms
    "\u24b6-\u24e9\U0001f130-\U0001f149\U0001d400-\U0001d7ff"  # circled, squared and mathematical letters
    "\u2f00-\u2fd5\uf900-\ufaff\U0002f800-\U0002fa1f"  # radicals and compatibility ideographs
    "\u0300-\u036f\u115f\u1160\u3164\uffa0\ufffc]"  # combining marks; letters and signs that show nothing
)
_BLANKS: Final = "\u115f\u1160\u3164\uffa0\ufffc"
_MARKED: Final = re.compile("\\w[\u0300-\u036f]+")  # on letters; the faces (•́︿•̀) stay as they are
_MARK: Final = re.compile("[\u0300-\u036f]+")


def without_invisible(text: str) -> tuple[str, bool]:
    """Every space becomes U+0020; what prints as nothing goes. The second value: was anything hidden."""
    if text.isprintable():
        return text, False
    text = _SPACES.sub(" ", text)
    text, hidden = _INVISIBLE.subn("", text)
    return text, hidden > 0


def without_costumes(text: str) -> tuple[str, bool]:
    """Full-width, mathematical and circled letters become plain ones; marks stacked on letters go.

    An accent that belongs to a letter (é, ü, ế) is composed into it and stays.
    """
    if text.isascii() or not _COSTUME.search(text):
        return text, False
    plain = _COSTUME.sub(_undressed, _MARKED.sub(_composed, text))
    return plain, plain != text


def _undressed(match: re.Match[str]) -> str:
    if match[0] in _BLANKS:
        return ""
    plain = unicodedata.normalize("NFKC", match[0])
    return plain if len(plain) == 1 else match[0]


def _composed(match: re.Match[str]) -> str:
    return _MARK.sub("", unicodedata.normalize("NFC", match[0]))
