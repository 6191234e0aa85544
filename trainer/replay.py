"""New labels among old rows: what a turn of the loop trains on, and what champion and candidate are measured on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.corpus import Sided, read_folder, read_own_turns
from trainer.rows import Row, one_in, who
from trainer.sources import Source
from trainer.split import Split, mix

HELD_BACK_ONE_IN = 4
"""Of the customers: their labels are the only witnesses of what the model does on one's own traffic."""
EVERY_ROW = 10**9


def with_old_rows(
    labelled: Sequence[Row],
    data: Path | None,
    seed: int,
    scale: float = 1.0,
    meaning: Mapping[str, str] | None = None,
) -> Split:
    """`labelled` and, to be trained on again, our own turns and the sources of `data` at `scale` of their size.

    A customer is held back for ever or never, by a hash: no champion was trained on what judges its candidates.
    """
    by_source: dict[str, list[Sided]] = defaultdict(list)
    for row in labelled:
        by_source[row.source].append(Sided(row, one_in(f"held:{who(row)}", HELD_BACK_ONE_IN)))
    # `mix` takes its sources at a scale; of labels every row is wanted
    own = [(Source(name, EVERY_ROW, "your own", every_row=True), rows) for name, rows in sorted(by_source.items())]
    old = list(read_folder(data, meaning)) if data else []
    return mix([*old, *own], list(read_own_turns()), seed, scale)
