"""A world on disk: JSON Lines, events in one file and the truth in another; gzipped when a name ends in .gz.

The first line of both says which world it is. The same settings give the same bytes.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar, cast

import msgspec

from ops.world.make import World
from ops.world.truth import Header, Incident
from schemas import codec
from schemas.events import AlertRaised, SentimentScored
from stream_app.errors import SetupError

T = TypeVar("T")


class Truth(NamedTuple):
    header: Header
    incidents: list[Incident]


def write_world(world: World, events: Path, truth: Path) -> Truth:
    """Write both files; neither is there under its name before it is whole. Raises OSError."""
    count = 0
    with _writing(events) as out:
        out.write(msgspec.json.encode(Header(holds="events", settings=world.settings)) + b"\n")
        for event in world.events():
            out.write(codec.encode(event) + b"\n")
            count += 1
    header = Header(holds="truth", settings=world.settings, events=count, wrong_flags=world.wrong_flags)
    with _writing(truth) as out:
        for line in (header, *world.incidents):
            out.write(msgspec.json.encode(line) + b"\n")
    return Truth(header, world.incidents)


def read_truth(path: Path) -> Truth:
    """Raises SetupError that names the line which is no part of a truth."""
    lines = _lines(path)
    header = _header(path, lines, "truth")
    return Truth(header, [incident for _, incident in _decoded(path, lines, Incident, "an incident")])


def read_events(path: Path) -> Iterator[SentimentScored]:
    """The events of a world, as they arrive. Raises SetupError that names the line."""
    lines = _lines(path)
    _header(path, lines, "events")
    return (event for _, event in _decoded(path, lines, SentimentScored, "a scored event"))


def read_alerts(path: Path) -> Iterator[AlertRaised]:
    """Alerts as `moodstream tail alerts --json` prints them. Raises SetupError that names the line."""
    return (alert for _, alert in _decoded(path, _lines(path), AlertRaised, "an alert"))


@contextmanager
def _writing(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as raw:
            if path.suffix == ".gz":
                # Neither a name nor a time in it: the same world is the same file. Level 4: 6 times faster than 9.
                with gzip.GzipFile("", "wb", 4, raw, mtime=0) as packed:
                    yield cast(BinaryIO, packed)
            else:
                yield raw
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not empty; packed or not is told by content."""
    number = 0
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            for number, line in enumerate(gzip.GzipFile(fileobj=raw) if packed else raw, 1):
                if line.strip():
                    yield number, line
    except (gzip.BadGzipFile, EOFError) as broken:
        raise SetupError(f"{path}, after line {number}: the gzip file is broken: {broken}") from None
    except OSError as failure:
        raise SetupError(f"{path} cannot be read: {failure.strerror}") from None


def _header(path: Path, lines: Iterable[tuple[int, bytes]], holds: str) -> Header:
    for _, header in _decoded(path, lines, Header, f"the first line of a world's {holds}"):
        if header.holds != holds:
            raise SetupError(f"{path} holds a world's {header.holds}, not its {holds}")
        return header
    raise SetupError(f"{path} is empty: it should hold a world's {holds}")


def _decoded(path: Path, lines: Iterable[tuple[int, bytes]], kind: type[T], what: str) -> Iterator[tuple[int, T]]:
    decoder = msgspec.json.Decoder(kind)
    for number, line in lines:
        try:
            yield number, decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as mistake:
            raise SetupError(f"{path}, line {number} is not {what}: {mistake}") from None
