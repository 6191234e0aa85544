"""Labelled files for tests: the same records in every format the trainer reads."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

Records = Sequence[Mapping[str, Any]]


def as_csv(records: Records) -> bytes:
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return table.getvalue().encode()


def as_json_lines(records: Records) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def as_parquet(records: Records) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([dict(record) for record in records]), file)
    return file.getvalue()


WRITERS: dict[str, Callable[[Records], bytes]] = {
    ".csv": as_csv,
    ".csv.gz": lambda records: gzip.compress(as_csv(records)),
    ".jsonl": as_json_lines,
    ".jsonl.gz": lambda records: gzip.compress(as_json_lines(records)),
    ".parquet": as_parquet,
}


def write(path: Path, records: Records) -> Path:
    """In the format that the file's name ends with."""
    ending = next(ending for ending in sorted(WRITERS, key=len, reverse=True) if path.name.endswith(ending))
    path.write_bytes(WRITERS[ending](records))
    return path
