"""Texts as JSON Lines in, results as JSON Lines out, in the same order: what `score` and `clean` have in common.

A line that cannot be worked on gets its answer in its place, `{"id":…,"line":…,"error":…}`, and costs exit code 1.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import click
import msgspec

from stream_app.commands.as_events import BETWEEN_TURNS
from stream_app.commands.files import INPUT, LONGEST_LINE, STDIN, Source
from stream_app.commands.terminal import bytes_progress
from stream_app.errors import SetupError

WINDOW = 512  # texts worked on together: enough to sort by length, few enough to answer soon

_decoder = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode

input_option = click.option("-i", "--input", "source", type=INPUT, default=STDIN, help="JSON Lines; without it, stdin.")
output_option = click.option(
    "-o", "--output", "target", type=click.Path(dir_okay=False, writable=True), help="Without it, stdout."
)


class Item(NamedTuple):
    """One readable line."""

    id: Any
    text: str
    context: Sequence[str]


class Bad(NamedTuple):
    """One line nobody can work on, and why."""

    id: Any
    line: int
    error: str


Answer = dict[str, Any] | Bad
Work = Callable[[Sequence[tuple[int, Item]]], list[Answer]]


def run(name: str, source: str, target: str | None, work: Work) -> None:
    """Answer every line of the source, in order. `work` answers (line number, item) pairs."""
    if target and source != STDIN and Path(target).resolve() == Path(source).resolve():
        raise SetupError(f"{target} is the input; it would be overwritten before it is read")
    answered = bad = 0
    with ExitStack() as opened:
        texts = opened.enter_context(Source(source))
        out: BinaryIO = opened.enter_context(open(target, "wb")) if target else sys.stdout.buffer
        progress = opened.enter_context(bytes_progress(name, shown=bool(target)))
        bar = progress.add_task("", total=texts.size, note="")
        for window in _windows(texts):
            answers = _answer(window, work)
            out.write(b"".join(_encode(_plain(answer)) + b"\n" for answer in answers))
            out.flush()
            answered += len(answers)
            bad += sum(isinstance(answer, Bad) for answer in answers)
            progress.update(bar, completed=texts.read_bytes, note=f"{answered:,} texts")
    if bad:
        click.echo(
            f'moodstream {name}: {bad:,} of {answered:,} lines could not be read or scored: see "error"', err=True
        )
        raise click.exceptions.Exit(1)


def _windows(source: Source) -> Iterator[list[tuple[int, bytes]]]:
    """Numbered lines that arrived together, at most WINDOW; blank ones are passed over."""
    number = 0
    for lines in source.windows():
        numbered = []
        for line in lines:
            number += 1
            if line.strip():
                numbered.append((number, line))
            if len(numbered) == WINDOW:
                yield numbered
                numbered = []
        if numbered:
            yield numbered


def _answer(window: Iterable[tuple[int, bytes]], work: Work) -> list[Answer]:
    read = [(number, _read(number, line)) for number, line in window]
    good = [(number, item) for number, item in read if isinstance(item, Item)]
    answers = iter(work(good) if good else [])
    return [item if isinstance(item, Bad) else next(answers) for _, item in read]


def _read(number: int, line: bytes) -> Item | Bad:
    if len(line) > LONGEST_LINE:
        return Bad(None, number, f"longer than {LONGEST_LINE:,} bytes")
    try:
        value = _decoder.decode(line.decode())
    except UnicodeDecodeError as wrong:
        return Bad(None, number, f"not UTF-8 at byte {wrong.start}")
    except msgspec.DecodeError as wrong:
        return Bad(None, number, f"not JSON: {wrong}")
    if not isinstance(value, dict):
        return Bad(None, number, "not a JSON object")
    name = value.get("id")
    if name is None:
        return Bad(None, number, 'no "id"')
    text = value.get("text")
    if not isinstance(text, str):
        return Bad(name, number, '"text" must be a string' if "text" in value else 'no "text"')
    context = value.get("context")
    if isinstance(context, str):
        context = [turn for part in context.split(BETWEEN_TURNS.strip()) if (turn := part.strip())]
    elif context is None:
        context = []
    elif not isinstance(context, list) or not all(isinstance(turn, str) for turn in context):
        return Bad(name, number, '"context" must be a string or a list of strings')
    return Item(name, text, context)


def _plain(answer: Answer) -> dict[str, Any]:
    return answer._asdict() if isinstance(answer, Bad) else answer
