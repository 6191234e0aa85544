"""Labelled files as numbered records, whatever their format: CSV, JSON Lines (each also gzipped) or Parquet.

A file that cannot be read to its end is refused with its name and row: half a data set trains a model nobody wanted.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from stream_app.errors import SetupError

ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
LONGEST_CELL = 1 << 20
"""Characters. A quote that is never closed swallows the rest of its file into one cell."""

_object = msgspec.json.Decoder(dict[str, Any])


class DataError(SetupError):
    """Labelled data that a person must put right: one line with the file and, where it applies, row and column."""

    def __init__(self, where: Path | str, problem: str, *, row: int | None = None, column: str | None = None) -> None:
        places = [str(where), row and f"row {row}", column and f"column {column}"]
        super().__init__(f"{', '.join(place for place in places if place)}: {problem}")


class Record(NamedTuple):
    """`row` counts as a spreadsheet or an editor does: a CSV's head is row 1, a JSON Lines' or Parquet's first is 1."""

    row: int
    cells: Mapping[str, Any]


def name_of(path: Path) -> str | None:
    """A labelled file's name without its ending; None for a file of another kind."""
    ending = next((ending for ending in sorted(ENDINGS, key=len, reverse=True) if path.name.endswith(ending)), None)
    return path.name.removesuffix(ending) if ending else None


def files_in(folder: Path) -> dict[str, Path]:
    """The labelled files of a folder by name, in the order of their names. Raises DataError when it has none."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and (name := name_of(path)):
            if name in found:
                raise DataError(folder, f"{found[name].name} and {path.name} would be one source, {name}; keep one")
            found[name] = path
    if not found:
        raise DataError(folder, f"has no labelled file; their names end in {', '.join(ENDINGS)}")
    return found


def records(path: Path) -> Iterator[Record]:
    """The records of one file in order. Raises DataError, OSError when the file is not there."""
    if path.name.endswith(".parquet"):
        yield from _parquet(path)
        return
    read = _csv if path.name.endswith((".csv", ".csv.gz")) else _json_lines
    with path.open("rb") as plain:
        packed = path.name.endswith(".gz")
        with gzip.open(plain) if packed else plain as file:
            try:
                yield from read(path, file)  # type: ignore[arg-type]  # GzipFile reads as a BinaryIO does
            except (gzip.BadGzipFile, EOFError, zlib.error) as failure:
                raise DataError(path, f"is not a whole gzip file ({failure})") from None


def _csv(path: Path, file: BinaryIO) -> Iterator[Record]:
    csv.field_size_limit(LONGEST_CELL)
    broken: list[str] = []
    table = csv.reader(_decoded(file, broken))
    row = 0
    head: Sequence[str] = ()
    try:
        for cells in table:
            row += 1
            if broken:
                raise _not_utf8(path, row, head, cells)
            if not head:
                head = _head(path, cells)
            elif len(cells) == len(head):
                yield Record(row, dict(zip(head, cells, strict=True)))
            elif cells:  # an empty line is none
                raise DataError(path, f"{len(cells)} cells where the head has {len(head)}", row=row)
    except csv.Error as failure:
        raise DataError(path, f"is not CSV ({failure})", row=row + 1) from None


def _head(path: Path, cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise DataError(path, "the head names this column twice", row=1, column=twice)
    return names


def _decoded(file: BinaryIO, broken: list[str]) -> Iterator[str]:
    """Lines as text. One that is not UTF-8 goes on with its bytes as surrogates, which tell the column, and `broken`
    says so."""
    for number, line in enumerate(file):
        if number == 0 and line.startswith(codecs.BOM_UTF8):
            line = line[len(codecs.BOM_UTF8) :]
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as failure:
            broken.append(failure.reason)
            yield line.decode("utf-8", "surrogateescape")


def _not_utf8(path: Path, row: int, head: Sequence[str], cells: Sequence[str]) -> DataError:
    hurt = (place for place, cell in enumerate(cells) if any("\udc80" <= char <= "\udcff" for char in cell))
    place = next(hurt, len(head))
    column = head[place] if place < len(head) else None
    return DataError(path, "not UTF-8; convert the file, as by iconv -f gb18030 -t utf-8", row=row, column=column)


def _json_lines(path: Path, file: BinaryIO) -> Iterator[Record]:
    for row, line in enumerate(file, 1):
        content = line.removeprefix(codecs.BOM_UTF8).strip() if row == 1 else line.strip()
        if not content:
            continue
        try:
            yield Record(row, _object.decode(content.decode("utf-8")))
        except UnicodeDecodeError:
            raise _not_utf8(path, row, (), ()) from None
        except msgspec.ValidationError:
            raise DataError(path, 'a JSON object is needed, as in {"text": …}', row=row) from None
        except msgspec.DecodeError as failure:
            raise DataError(path, f"malformed JSON ({failure})", row=row) from None


def _parquet(path: Path) -> Iterator[Record]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(path, "reading Parquet needs pyarrow: pip install 'moodstream[train]'") from None
    row = 0
    try:
        with parquet.ParquetFile(path) as table:
            cells = (cells for batch in table.iter_batches(batch_size=4096) for cells in batch.to_pylist())
            for row, each in enumerate(cells, 1):
                yield Record(row, each)
    except (pyarrow.ArrowException, OSError) as failure:
        if isinstance(failure, FileNotFoundError):
            raise
        raise DataError(path, f"is not a whole Parquet file ({failure})") from None
    except (ValueError, OverflowError) as failure:  # text that is not UTF-8, a time that Python cannot hold
        raise DataError(path, f"a value cannot be read ({failure})", row=row + 1) from None
