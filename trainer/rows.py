"""A row the model can learn from or be measured on: prepared text, labels, and what must not be torn apart by a split.

Text goes through `stream_app.text.model_input` and nothing else, so training sees what serving will see.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from stream_app.text.model_input import ModelInput

SENTIMENTS = ("neg", "neu", "pos")  # the order of the model's first three outputs
BETWEEN_GROUPS = "\n"

Labels = tuple[int | None, float | None]  # sentiment and anger of a Row


class Row(NamedTuple):
    source: str
    key: str  # the normalised text: equal for texts that differ only in case, spacing and punctuation
    input: ModelInput
    sentiment: int | None  # index into SENTIMENTS; None: the source does not decide it
    anger: float | None  # 0.0, 1.0, 0.5 for "annoyed"; None: not annotated
    weight: float = 1.0
    role: str = ""  # "customer" or "agent" in service chat
    teacher: tuple[float, ...] | None = None  # logits of a teacher: negative, neutral, positive, anger
    group: str = ""  # see `group_of`: rows that share a part of it stay on one side of a split
    at: str = ""  # when it was written, ISO 8601 in UTC; "": not known
    language: str = ""  # zh, en, … as the file says, else as `stream_app.text.language` guesses
    channel: str = ""  # review, chat, …
    flags: tuple[str, ...] | None = None  # what cleaning found, see `stream_app.text.clean.FLAGS`; None: not known
    row: int = 0  # the number at the end of its id in the file, else its place in the file, from 1

    @property
    def labelled(self) -> bool:
        return self.sentiment is not None or self.anger is not None


def text_key(text: str) -> str:
    """What makes two texts "the same": letters and digits, caseless. Emoji-only texts keep themselves as key."""
    return re.sub(r"[\W_]+", "", text.casefold()) or text


def group_of(*, customer: str = "", conversation: str = "", product: str = "", at: str = "") -> str:
    """The `group` of a row: its customer, its conversation, its product on that day; "" where nothing is known."""
    day = at[:10]
    known = (
        customer and f"customer:{customer}",
        conversation and f"conversation:{conversation}",
        product and day and f"product:{product}@{day}",
    )
    return BETWEEN_GROUPS.join(part.replace(BETWEEN_GROUPS, " ") for part in known if part)


def draw(key: str) -> int:
    """A number of 64 bits that `key` alone decides: what a split uses in place of chance."""
    return int.from_bytes(hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=8).digest())


def one_in(key: str, parts: int) -> bool:
    return draw(key) % parts == 0


def half(row: Row) -> int:
    """0 or 1, by a hash: which half of the held-back rows it belongs to (0 calibrates, 1 reports).

    What has one customer, or one conversation, stays in one half.
    """
    return int(one_in("half:" + who(row), 2))


def who(row: Row) -> str:
    """Whose row it is, as far as is known: the first name of its group, else its text."""
    return row.group.partition(BETWEEN_GROUPS)[0] or row.key
