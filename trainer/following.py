"""What one sees of a training run: a bar with the time left, a line a step, curves in TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

METRICS = "metrics.jsonl"


class Metrics:
    """Each step as a line of metrics.jsonl and as scalars for TensorBoard; written by the first process only.

    What a killed run wrote after its last checkpoint is dropped: those steps are done again.
    """

    def __init__(self, out: Path, rank: int, done: int) -> None:
        self._lines = self._board = None
        if rank == 0:
            path = out / METRICS
            kept = path.read_text("utf-8").splitlines()[:done] if path.exists() else []
            path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
            self._lines = path.open("a", encoding="utf-8")
            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=done)

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines and self._board:
            self._lines.close()
            self._board.close()

    def write(self, step: int, line: dict[str, Any]) -> None:
        if self._lines and self._board:
            self._lines.write(json.dumps(line) + "\n")
            self._lines.flush()
            for name in line.keys() - {"step", "of"}:
                self._board.add_scalar(name, line[name], step)


def progress(rank: int) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), disable=rank > 0)
