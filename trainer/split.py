"""What is trained on and what is held back, with no text, customer, conversation or product day on both sides.

A hash decides the side, not chance: the same rows give the same split in any order, and a row stays where it is when
others come, unless one of them ties its group to another customer or is its near-duplicate. Of near-duplicates one row
stays, on one side.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stream_app.errors import SetupError
from trainer.corpus import Sided, read_folder, read_own_turns
from trainer.near import near_clusters
from trainer.rows import BETWEEN_GROUPS, SENTIMENTS, Row, draw, one_in, text_key
from trainer.sources import OWN_TURNS_REPEATED, Source

HELD_BACK_ONE_IN = 20
_DECIDES_FIRST = ("customer:", "conversation:", "product:")

Numbers = NDArray[np.int64]


class Split(NamedTuple):
    train: list[Row]
    held: list[Row]


def load_split(folder: Path, seed: int, scale: float = 1.0, labels: Mapping[str, str] | None = None) -> Split:
    """The mixture of the sources in `folder` (each `take` times `scale`) plus our own turns. Raises DataError.

    `labels`: what the files' own labels mean, as {"0": "neg"}.
    """
    return mix(read_folder(folder, labels), list(read_own_turns()), seed, scale)


def mix(read: Iterable[tuple[Source, Sequence[Sided]]], own: Sequence[Row], seed: int, scale: float = 1.0) -> Split:
    """1. keep one row of each near-duplicate cluster   2. hold back 5 %, by conversation, customer, product and day
    (service chat: half, by conversation; measured-only sources: all)   3. take from each source, evenly over its labels
    4. add our own turns, as they are

    A cluster with an own turn in it keeps the own turns and nothing else: "好的" and "no, that's all" are most of
    service chat and must not be kept from the model. What a source wants held back wins over what it does not.
    People's labels (`Source.every_row`) all stay, and public copies of them go; one that is held back is left out where
    the same text after the same turns is trained on, for it would measure nothing.
    """
    read = list(read)
    sided = [row for _, rows in read for row in rows]
    rows = [*own, *(row for row, _ in sided)]
    every_row = [source.every_row for source, its_rows in read for _ in its_rows]
    ranks = [0] * len(own) + [0 if told else 1 if held else 2 for told, (_, held) in zip(every_row, sided, strict=True)]
    clusters = near_clusters([row.key for row in rows])
    best = best_of_clusters(rows, clusters, ranks)  # 1
    kept = [index for index in range(len(own), len(rows)) if best[index] == index or every_row[index - len(own)]]
    by_split = _held_by_group(rows[len(own) :], HELD_BACK_ONE_IN)  # 2; copies too, for what they tie together
    pools: dict[str, list[Row]] = defaultdict(list)
    split = Split([], [])
    names = [source.name for source, its_rows in read for _ in its_rows]
    held_back = {}
    for index in kept:
        chance, wanted = by_split[index - len(own)], sided[index - len(own)].held
        held_back[index] = chance if wanted is None else wanted

    def said(index: int) -> tuple[int, str]:
        return int(clusters[index]), text_key(rows[index].input.context or "")

    taught = {said(index) for index in kept if every_row[index - len(own)] and not held_back[index]}
    for index in kept:
        if held_back[index]:
            if not (every_row[index - len(own)] and said(index) in taught):
                split.held.append(rows[index])
        else:
            pools[names[index - len(own)]].append(rows[index])
    rng = random.Random(seed)
    for source, _ in read:
        split.train.extend(_fill_evenly(pools[source.name], int(source.take * scale), rng))  # 3
    for index, row in enumerate(own):  # 4
        stands_for_it = rows[best[index]]
        if one_in(f"{stands_for_it.key}|{text_key(stands_for_it.input.context or '')}", HELD_BACK_ONE_IN):
            split.held.append(row)
        else:
            split.train.extend([row] * OWN_TURNS_REPEATED)
    rng.shuffle(split.train)
    return split


def refuse_empty_classes(rows: Iterable[Row]) -> None:
    """Raises SetupError when a mood or an anger label that a model must learn has no row."""
    rows = list(rows)
    moods = {row.sentiment for row in rows}
    missing = [name for mood, name in enumerate(SENTIMENTS) if mood not in moods]
    if missing:
        raise SetupError(f"none of the {len(rows):,} rows to train on is labelled {' or '.join(missing)}")
    angers = {row.anger for row in rows} - {None}
    if angers and not {0.0, 1.0} <= angers:
        lacking = "angry (1)" if 1.0 not in angers else "not angry (0)"
        raise SetupError(f"none of the {len(rows):,} rows to train on is labelled {lacking}")


def fingerprint(rows: Iterable[Row]) -> str:
    """One short hash over all that a model can learn from the rows; their order does not matter."""
    lines = sorted(
        repr((row.input, row.sentiment, row.anger, row.weight, row.source, row.role, row.teacher)).encode()
        for row in rows
    )
    return hashlib.sha256(b"\n".join(lines)).hexdigest()[:16]


def components(rows: Sequence[Row]) -> Numbers:
    """(N,): rows share a number when a chain of common customers, conversations or product days joins them."""
    numbers: dict[str, int] = {}
    edges = [
        (index, len(rows) + numbers.setdefault(part, len(numbers)))
        for index, row in enumerate(rows)
        if row.group
        for part in row.group.split(BETWEEN_GROUPS)
    ]
    size = len(rows) + len(numbers)
    ones, others = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges), dtype=np.int8), (ones, others)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)[: len(rows)]


def _held_by_group(rows: Sequence[Row], parts: int) -> list[bool]:
    """Whether each row is held back. The least draw over the names of its group decides for the whole group, never a
    text: a customer who writes again stays. Customers decide where there are any, for every visit brings a new
    conversation and a new day. A row without group is decided by its text.
    """
    least: dict[int, tuple[int, int]] = {}
    groups = components(rows).tolist()
    for group, row in zip(groups, rows, strict=True):
        for name in row.group.split(BETWEEN_GROUPS) if row.group else (row.key,):
            rank = next((place for place, kind in enumerate(_DECIDES_FIRST) if name.startswith(kind)), 0)
            drawn = rank, draw(name)
            least[group] = min(drawn, least.get(group, drawn))
    return [least[group][1] % parts == 0 for group in groups]


def best_of_clusters(rows: Sequence[Row], clusters: Numbers, ranks: Sequence[int]) -> list[int]:
    """For each row the index of the row that stands for its cluster: lowest rank first, then `_precedence`."""
    best: dict[int, tuple[tuple[object, ...], int]] = {}
    for index, cluster in enumerate(clusters.tolist()):
        candidate = ((ranks[index], *_precedence(rows[index])), index)
        best[cluster] = min(candidate, best.get(cluster, candidate))
    return [best[cluster][1] for cluster in clusters.tolist()]


def _precedence(row: Row) -> tuple[object, ...]:
    """Labelled before unlabelled, trusted before doubtful; then by a hash, so that no order of files matters."""
    return (not row.labelled, -row.weight, draw(row.key), row.source, row.row, repr(row))


def _fill_evenly(rows: list[Row], take: int, rng: random.Random) -> list[Row]:
    """Up to `take` labelled rows, each label group giving the same number as long as it has any."""
    groups: dict[tuple[int | None, float | None], list[Row]] = defaultdict(list)
    for row in rows:
        if row.labelled:
            groups[row.sentiment, row.anger].append(row)
    chosen: list[Row] = []
    by_size = sorted(groups.values(), key=len)
    for position, group in enumerate(by_size):
        share = (take - len(chosen)) // (len(by_size) - position)
        rng.shuffle(group)
        chosen += group[:share]
    return chosen
