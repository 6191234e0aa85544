"""From a labelled file to rows: which column says what, which labels are known, and what is refused.

A column is known by its name or one of its other names; columns nobody knows are left alone. Of `sentiment`, `stars`
and `label` the first that a row fills in decides its mood. A value nobody knows is refused with file, row and column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from stream_app.text.model_input import from_prepared, prepare
from trainer.files import DataError, Record, records
from trainer.rows import SENTIMENTS, Row, group_of, text_key

BETWEEN_TURNS = "|||"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("review_id", "message_id", "event_id"),
    "text": ("review", "comment", "content", "message", "body", "review_body", "utterance", "sentence"),
    "sentiment": ("mood", "polarity"),
    "stars": ("rating", "star", "star_rating"),
    "label": (),
    "label_src": (),
    "anger": ("angry",),
    "context": (),
    "customer": ("customer_id", "user", "user_id", "buyer_id", "reviewer_id"),
    "conversation": ("conversation_id", "session", "session_id", "dialogue", "dialogue_id", "dialog_id"),
    "product": ("product_id", "item_id", "asin", "sku"),
    "time": ("event_time", "date", "datetime", "timestamp", "created_at"),
    "language": ("lang",),
    "channel": (),
    "source": (),
    "weight": (),
    "role": ("side", "speaker", "sender"),
}
"""Column -> its other names, likeliest first; a column with the very name wins."""

MOODS: Mapping[str, int] = {
    word: mood
    for mood, words in enumerate(
        ("neg negative 负面 负 消极 差评", "neu neutral mixed 中性 中 中评", "pos positive 正面 正 积极 好评")
    )
    for word in words.split()
}
ANGER: Mapping[str, float] = {
    "0": 0.0, "0.0": 0.0, "no": 0.0, "false": 0.0, "0.5": 0.5, "1": 1.0, "1.0": 1.0, "yes": 1.0, "true": 1.0,
}  # fmt: skip
ROLES: Mapping[str, str] = dict.fromkeys(
    ("customer", "user", "buyer", "client", "顾客", "客户", "用户", "买家"), "customer"
) | dict.fromkeys(("agent", "seller", "staff", "service", "assistant", "客服", "商家", "卖家"), "agent")


@dataclass(frozen=True, slots=True)
class Labelled:
    """One record, its values checked, its text as it was written."""

    row: int  # of the file, see `files.Record`
    id: str
    text: str
    context: tuple[str, ...]  # the turns before, oldest first
    sentiment: int | None
    anger: float | None
    label_src: str  # the source's own label
    customer: str
    conversation: str
    product: str
    at: str  # ISO 8601 in UTC
    language: str
    channel: str
    source: str
    weight: float | None
    role: str

    def as_row(self, source: str, *, weight: float = 1.0, context: Sequence[str] | None = None) -> Row:
        """Prepared for the model. `source` and `weight` hold where the file has none; `context` replaces the file's."""
        prepared = prepare(self.text)
        earlier = self.context if context is None else context
        made = from_prepared(prepared.text, [prepare(turn).text for turn in earlier])
        tail = self.id.rpartition("-")[2]
        return Row(
            self.source or source,
            text_key(made.text),
            made,
            self.sentiment,
            self.anger,
            weight if self.weight is None else self.weight,
            self.role,
            group=group_of(
                customer=self.customer,
                conversation=self.conversation and f"{source}/{self.conversation}",
                product=self.product,
                at=self.at,
            ),
            at=self.at,
            language=self.language or prepared.language,
            channel=self.channel,
            flags=prepared.flags,
            row=int(tail) if tail.isascii() and tail.isdigit() else self.row,
        )


def read_labelled(path: Path, labels: Mapping[str, str] | None = None) -> Iterator[Labelled]:
    """The records of a file that have text, in order. `labels`: what the file's own labels mean, as {"0": "neg"}.

    Raises DataError at the first value that is not known, and at the end when no record had text.
    """
    moods = dict(MOODS) | {_folded(label): MOODS[_folded(mood)] for label, mood in (labels or {}).items()}
    columns: dict[str, str] = {}
    seen: set[str] = set()
    has_text = False
    for record in records(path):
        if not record.cells.keys() <= seen:  # JSON Lines may name a column late
            seen |= record.cells.keys()
            columns = _columns(seen)
        labelled = _Cells(path, record, columns).labelled(moods)
        if labelled.text:
            has_text = True
            yield labelled
    if "text" not in columns:
        names = ", ".join(sorted(seen)) or "none"
        raise DataError(
            path, f"no column holds the text; it is called text or {', '.join(COLUMNS['text'])}; has {names}"
        )
    if not has_text:
        raise DataError(path, "no row has text", column=columns["text"])


def _columns(names: set[str]) -> dict[str, str]:
    """Our name -> the file's."""
    folded = {_folded(name): name for name in sorted(names)}
    found = {}
    for ours, others in COLUMNS.items():
        name = next((folded[name] for name in (ours, *others) if name in folded), None)
        if name is not None:
            found[ours] = name
    return found


class _Cells:
    """One record's cells by our names, checked as they are taken."""

    def __init__(self, path: Path, record: Record, columns: Mapping[str, str]) -> None:
        self._path, self._record, self._columns = path, record, columns

    def labelled(self, moods: Mapping[str, int]) -> Labelled:
        return Labelled(
            row=self._record.row,
            id=self._name("id"),
            text=self._text("text"),
            context=self._context(),
            sentiment=self._sentiment(moods),
            anger=self._anger(),
            label_src=self._word("label_src"),
            customer=self._name("customer"),
            conversation=self._name("conversation"),
            product=self._name("product"),
            at=self._time(),
            language=self._text("language").lower(),
            channel=self._text("channel"),
            source=self._text("source"),
            weight=self._weight(),
            role=self._role(),
        )

    def _cell(self, ours: str) -> Any:
        """None where the cell is empty or the file has no such column."""
        value = self._record.cells.get(self._columns[ours]) if ours in self._columns else None
        return None if isinstance(value, str) and not value.strip() else value

    def _wrong(self, ours: str, problem: str) -> DataError:
        return DataError(self._path, problem, row=self._record.row, column=self._columns[ours])

    def _text(self, ours: str) -> str:
        value = self._cell(ours)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(ours, f"holds a {_kind(value)} where other rows hold text")
        return value.strip()

    def _name(self, ours: str) -> str:
        """An identity: text or a whole number."""
        value = self._cell(ours)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self._text(ours)

    def _word(self, ours: str) -> str:
        """One of few known words, or a number that stands for one."""
        value = self._cell(ours)
        if value is None:
            return ""
        if not isinstance(value, str | int | float):
            raise self._wrong(ours, f"holds a {_kind(value)} where a word or number belongs")
        if isinstance(value, float):
            return "" if math.isnan(value) else f"{value:g}"  # how pandas writes "no label" and whole numbers
        return _folded(str(value))

    def _sentiment(self, moods: Mapping[str, int]) -> int | None:
        if word := self._word("sentiment"):
            return self._mood("sentiment", word, moods)
        if word := self._word("stars"):
            stars = {"1": 0, "2": 0, "3": 1, "4": 2, "5": 2}.get(word.removesuffix(".0"))
            if stars is None:
                raise self._wrong("stars", f"{word!r} is not a number of stars from 1 to 5")
            return stars
        if word := self._word("label"):
            return self._mood("label", word, moods)
        return None

    def _mood(self, ours: str, word: str, moods: Mapping[str, int]) -> int:
        if word in moods:
            return moods[word]
        known, told = ", ".join(SENTIMENTS), word[:40]
        raise self._wrong(
            ours, f"unknown label {told!r}; known are {known}: rename it, or tell the report --label {told}=neg|neu|pos"
        )

    def _anger(self) -> float | None:
        word = self._word("anger")
        if word and word not in ANGER:
            raise self._wrong("anger", f"unknown label {word[:40]!r}; known are 0, 0.5 and 1")
        return ANGER[word] if word else None

    def _role(self) -> str:
        word = self._word("role")
        return ROLES.get(word, word)  # in a dialogue between other people it is their name

    def _weight(self) -> float | None:
        word = self._word("weight")
        if not word:
            return None
        try:
            weight = float(word)
        except ValueError:
            weight = math.nan
        if not 0 < weight <= 100:
            raise self._wrong("weight", f"{word[:40]!r} is not a number above 0 and up to 100")
        return weight

    def _context(self) -> tuple[str, ...]:
        value = self._cell("context")
        if isinstance(value, list) and all(isinstance(turn, str) for turn in value):
            return tuple(turn for turn in value if turn.strip())
        return tuple(turn.strip() for turn in self._text("context").split(BETWEEN_TURNS) if turn.strip())

    def _time(self) -> str:
        value = self._cell("time")
        if value is None:
            return ""
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.strip())
            except ValueError:
                raise self._wrong("time", f"{value[:40]!r} is not a time such as 2025-03-01T09:30:00Z") from None
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if not isinstance(value, datetime):
            raise self._wrong("time", f"holds a {_kind(value)} where a time belongs, such as 2025-03-01T09:30:00Z")
        try:
            return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC).isoformat(timespec="seconds")
        except OverflowError:
            raise self._wrong("time", f"{value} is out of range") from None


def _folded(word: str) -> str:
    return word.strip().casefold()


def _kind(value: object) -> str:
    kinds: dict[type, str] = {bool: "truth value", int: "number", float: "number", dict: "JSON object", list: "list"}
    return kinds.get(type(value), type(value).__name__)
