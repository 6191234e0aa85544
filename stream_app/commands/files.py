"""A file or stdin as lines of bytes: gzipped or not, told by content; memory stays flat whatever the size."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

import click

from stream_app.errors import SetupError

STDIN = "-"
LONGEST_LINE = 16 * 1024 * 1024  # a line beyond this is an accident; it must not fill the memory
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_CHUNK = 256 * 1024

INPUT = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True)


class Source:
    """An opened input. `size` is None for a pipe; `read_bytes` counts what was read of it, before unpacking."""

    def __init__(self, name: str) -> None:
        self.name = "stdin" if name == STDIN else Path(name).name
        self._raw: BinaryIO = sys.stdin.buffer if name == STDIN else open(name, "rb")  # noqa: SIM115 — see __exit__
        self.size = None if name == STDIN else os.fstat(self._raw.fileno()).st_size
        self._counted = _Counted(self._raw)
        self._buffer = io.BufferedReader(self._counted, _CHUNK)
        packed = self._buffer.peek(2)[:2] == _GZIP
        self._unpacked = gzip.GzipFile(fileobj=self._buffer) if packed else self._buffer
        self._taken: list[bytes] = []
        try:
            if self.sample()[:3] == _BOM:
                self._taken[0] = self._taken[0][3:]
        except SetupError:
            self.__exit__()
            raise

    @property
    def read_bytes(self) -> int:
        return self._counted.count

    def sample(self) -> bytes:
        """The first 256 KiB, which stay to be read; of a pipe what has arrived, so that nobody waits for more."""
        while sum(map(len, self._taken)) < _CHUNK and (chunk := self._read()):
            self._taken.append(chunk)
            if self.size is None:
                break
        return b"".join(self._taken)

    def chunks(self) -> Iterator[bytes]:
        """Whatever has arrived, as it arrives: a program that writes a line gets its answer before the next one."""
        taken, self._taken = self._taken, []
        yield from taken
        while chunk := self._read():
            yield chunk

    def windows(self) -> Iterator[list[bytes]]:
        """The lines without their ends, in lists of those that came together.

        Of a line longer than LONGEST_LINE comes one byte more than that, so that whoever reads it can tell.
        """
        rest, dropping = b"", False
        for chunk in self.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            if dropping and lines:
                lines, dropping = lines[1:], False
            if dropping or len(rest) > LONGEST_LINE:
                if not dropping:
                    lines.append(rest[: LONGEST_LINE + 1])
                rest, dropping = b"", True
            if lines:
                yield [line[:-1] if line.endswith(b"\r") else line for line in lines]
        if rest:
            yield [rest]

    def _read(self) -> bytes:
        try:
            return self._unpacked.read1(_CHUNK)
        except (EOFError, zlib.error, gzip.BadGzipFile) as broken:
            raise SetupError(f"{self.name} is a broken gzip file: {broken}") from None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._unpacked.close()
        self._buffer.close()
        if self._raw is not sys.stdin.buffer:
            self._raw.close()


class _Counted(io.RawIOBase):
    """Counts what is read, so that a progress bar moves by bytes of the file and not of what it unpacks to."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        data = self._raw.read1(len(view))  # type: ignore[attr-defined]
        view[: len(data)] = data
        self.count += len(data)
        return len(data)
