"""A table, CSV or JSON Lines, as its column names and rows of cells."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from stream_app.commands.files import LONGEST_LINE, Source
from stream_app.errors import SetupError

Cells = Sequence[Any]

_DELIMITERS = (",", "\t", ";")
_object = msgspec.json.Decoder(dict[str, Any])


class Row(NamedTuple):
    """`content` is what the row's identity is made of: two runs over one file must agree."""

    cells: Cells
    content: bytes


def is_json_lines(source: Source) -> bool:
    """By name where the name says it, else by the first character."""
    name = source.name.lower().removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson", ".json")):
        return True
    return not name.endswith((".csv", ".tsv", ".txt")) and source.sample().lstrip()[:1] in (b"{", b"[")


def first_objects(source: Source) -> list[dict[str, Any]]:
    """The JSON objects among the first lines of JSON Lines; lines that are none are passed over."""
    lines = source.sample().lstrip().split(b"\n")
    if lines[0].rstrip() in (b"[", b"[{") or (lines[0][:1] == b"[" and len(lines) == 1):
        raise SetupError(f"{source.name} is one JSON array, not JSON Lines: `jq -c '.[]'` makes a line of each element")
    found = [_try_object(line) for line in lines]
    return [value for value in found if value is not None]


def object_cells(line: bytes, columns: Sequence[str]) -> Cells | None:
    """The cells of one line of JSON Lines; None when it is no JSON object."""
    value = _try_object(line)
    return None if value is None else [value.get(column) for column in columns]


def _try_object(line: bytes) -> dict[str, Any] | None:
    try:
        return _object.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class CsvTable:
    """Rows of a CSV file with a head. Quoted cells may hold line breaks and megabytes."""

    def __init__(self, source: Source, encoding: str) -> None:
        self._source = source
        self._encoding = encoding
        head = self._first_line()
        self._delimiter = max(_DELIMITERS, key=head.count)
        csv.field_size_limit(LONGEST_LINE)
        self._reader = csv.reader(self._lines(), delimiter=self._delimiter)
        self.columns = [name.strip() for name in self._next() or []]

    def rows(self) -> Iterator[Row]:
        """Blank lines are passed over. Raises SetupError where the file stops being CSV."""
        while (cells := self._next()) is not None:
            if cells:
                yield Row(cells, "\x1f".join(cells).encode("utf-8", "surrogatepass"))

    def _next(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as broken:
            raise SetupError(f"{self._source.name}, line {self._reader.line_num}: {broken}") from None

    def _first_line(self) -> str:
        """Also finds out, while nothing has happened yet, that the file is in another encoding."""
        decoder = codecs.getincrementaldecoder(self._encoding)()
        try:
            return decoder.decode(self._source.sample()).partition("\n")[0]
        except UnicodeDecodeError as wrong:
            raise SetupError(
                f"{self._source.name} is not {self._encoding} (byte {wrong.start}): name its encoding,"
                " for example --encoding gb18030"
            ) from None

    def _lines(self) -> Iterator[str]:
        """Split at \\n and nowhere else: a text may hold U+2028. What is not in the encoding becomes U+FFFD."""
        decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        rest = ""
        for chunk in self._source.chunks():
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            for line in lines:
                yield line + "\n"
        if rest := rest + decoder.decode(b"", True):
            yield rest
