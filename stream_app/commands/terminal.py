"""What commands print: colour and tables for people at a terminal, plain aligned text in a pipe, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

json_option = click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")


def console(*, stderr: bool = False) -> Console:
    """Made when it is used: tests and pipes change the streams."""
    return Console(stderr=stderr, highlight=False, emoji=False, markup=False)


def print_json(value: Any) -> None:
    """One line."""
    click.echo(msgspec.json.encode(value).decode())


def say(line: str | Text, *, to: Console | None = None) -> None:
    """One line, cut at the edge of a terminal, whole in a pipe."""
    to = to or console()
    if to.is_terminal:
        to.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    else:
        print(line.plain if isinstance(line, Text) else line, file=to.file)


def table(headings: Sequence[str], rows: Sequence[Sequence[str | Text]], *, right: Sequence[str] = ()) -> None:
    """Columns named in `right` are numbers."""
    to = console()
    if not to.is_terminal:
        _plain_table(headings, rows, right)
        return
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in headings:
        shown.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    to.print(shown)


def _plain_table(headings: Sequence[str], rows: Sequence[Sequence[str | Text]], right: Sequence[str]) -> None:
    lines = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(line[n]) for line in lines) for n in range(len(headings))]
    for line in lines:
        cells = []
        for cell, width, heading in zip(line, widths, headings, strict=True):
            space = " " * (width - cell_len(cell))
            cells.append(space + cell if heading in right else cell + space)
        click.echo("  ".join(cells).rstrip())


def bytes_progress(what: str, *, shown: bool = True) -> Progress:
    """A bar by bytes read, on stderr, only where somebody sees it. Tasks need the field `note`."""
    return Progress(
        SpinnerColumn(),
        TextColumn(what),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
        disable=not (shown and sys.stderr.isatty()),
    )
