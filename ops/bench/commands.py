"""`moodstream bench …`: each prints its machine, commit, input and figures; with --json the last line is one object.

Figures are medians, and ratios to a baseline that ran in the same minute on the same machine: machines are noisy.
"""

import csv
import gzip
import io
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ops.bench import traffic

ROOT = Path(__file__).parents[2]


@click.group("bench")
def bench() -> None:
    """Measure: events, texts and rows a second, beside a baseline in the same run.

    \b
    moodstream bench flow
    moodstream bench score --json
    """


def _output(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="One JSON object on the last line.")(function)


def _input(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "-i",
        "--input",
        "path",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        multiple=True,
        help="Texts: JSON Lines or CSV with a column `text`, gzipped or not. Without it 1,500 of the project's own.",
    )(function)


@bench.command()
@click.option("--events", default=200_000, show_default=True, help="Raw events of each run.")
@click.option("--stock-events", default=10_000, show_default=True, help="Of them, for the stock Faust agent.")
@click.option("--repeats", default=3, show_default=True, help="Runs of each, in turns; medians count.")
@_output
def flow(events: int, stock_events: int, repeats: int, as_json: bool) -> None:
    """The loop with a stand-in scorer, in Kafka transactions, against a stock Faust agent doing the same work."""
    from ops.bench import flow as room

    _show("flow", room.measure(events, min(events, stock_events), repeats), as_json)


@bench.command()
@_input
@_output
def text(path: tuple[Path, ...], as_json: bool) -> None:
    """Microseconds a text for cleaning, redaction, language, and all of it."""
    from ops.bench import text as room

    texts = _texts(path)
    _show("text", {"texts": len(texts)} | {f"{k}_us": round(v, 2) for k, v in room.measure(texts).items()}, as_json)


@bench.command()
@click.option("--model", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Another bundle's folder.")
@click.option("--repeats", default=5, show_default=True, help="Runs of each; medians count.")
@click.option("--texts", default=1_500, show_default=True, help="How many texts at most.")
@_input
@_output
def score(model: Path | None, repeats: int, texts: int, path: tuple[Path, ...], as_json: bool) -> None:
    """The bundle against the transformers pipeline (batch 32) on the same texts, and how far their outputs differ."""
    from ops.bench import score as room

    _show("score", room.measure(model, _texts(path)[:texts], repeats), as_json)


@bench.command()
@click.option("--rows", default=40_000, show_default=True)
@click.option("--batch", default=2_000, show_default=True)
@_output
def record(rows: int, batch: int, as_json: bool) -> None:
    """Rows a second into PostgreSQL, new and replayed."""
    from ops.bench import record as room
    from stream_app.recording.migrate import migrate

    with _stack() as stack:
        migrate(stack.postgres.url)
        _show("record", room.measure(stack.postgres.url, rows, batch), as_json)


@bench.command()
@click.option("--events", default=100_000, show_default=True)
@click.option("--batch", default=2_000, show_default=True)
@_output
def alert(events: int, batch: int, as_json: bool) -> None:
    """Events a second through the alert stage with its memory in Redis."""
    from ops.bench import alert as room

    with _stack() as stack:
        _show("alert", room.measure(stack.redis.url, events, batch), as_json)


@contextmanager
def _stack() -> Iterator[Any]:
    from stream_app.local.stack import Stack

    with tempfile.TemporaryDirectory() as home, Stack(Path(home)) as stack:
        yield stack


def _texts(paths: tuple[Path, ...]) -> list[str]:
    """The texts of these files, or 1,500 of the benchmarks' own."""
    if paths:
        return [text for path in paths for text in _column(path)]
    return traffic.texts(1_500)


def _column(path: Path) -> list[str]:
    packed = path.read_bytes()
    content = (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed).decode("utf-8-sig")
    lines = io.StringIO(content, newline="")
    rows = map(json.loads, lines) if content[:1] == "{" else csv.DictReader(lines)
    return [row["text"] for row in rows if row["text"]]


def _show(name: str, figures: dict[str, Any], as_json: bool) -> None:
    about = {"benchmark": name, "machine": _machine(), "commit": _commit()}
    if as_json:
        click.echo(json.dumps(about | figures))
        return
    table = Table("figure", "value", title=f"moodstream bench {name}", title_justify="left")
    for figure, value in figures.items():
        table.add_row(
            figure,
            f"{value:,}" if isinstance(value, int) else f"{value:,.3f}" if isinstance(value, float) else str(value),
        )
    console = Console()
    console.print(table)
    console.print(f"{about['machine']} · commit {about['commit']}", style="dim")


def _machine() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    load = os.getloadavg()[0]
    return f"{model}, {len(os.sched_getaffinity(0))} cores, load {load:.1f}, Python {platform.python_version()}"


def _commit() -> str:
    found = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"
