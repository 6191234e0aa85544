"""What is in a data folder, before anybody trains on it: counts, balance, contradictions, leaks, noise. No text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from trainer.corpus import files_fingerprint, read_folder, read_own_turns
from trainer.near import near_clusters
from trainer.noise import Noise, noise_of
from trainer.rows import BETWEEN_GROUPS, SENTIMENTS, Row
from trainer.split import Split, best_of_clusters, mix

PATTERNS = 8


class SourceCounts(msgspec.Struct, frozen=True):
    """`exact`, `near`: rows left out because an equal or similar text is kept. Lengths in characters."""

    source: str
    licence: str
    rows: int
    labelled: int
    with_context: int
    exact: int
    near: int
    length_p50: int
    length_p95: int


class Balance(msgspec.Struct, frozen=True):
    """Rows of one source in one language by label; `unlabelled` has neither mood nor anger."""

    source: str
    language: str
    neg: int
    neu: int
    pos: int
    angry: int
    annoyed: int
    calm: int
    unlabelled: int


class Conflicts(msgspec.Struct, frozen=True):
    """The same text (`text_key`) under different labels.

    `patterns`: the commonest disagreements and how many texts show each, as "neg 2, pos 1".
    """

    repeated_texts: int
    in_mood: int
    in_anger: int
    by_source: dict[str, int]  # texts of the source that another row calls something else
    patterns: dict[str, int]


class Leaks(msgspec.Struct, frozen=True):
    """What is on both sides of the split; all of it must be 0."""

    texts: int
    near_duplicates: int
    groups: int  # customers, conversations, product days

    def any(self) -> bool:
        return bool(self.texts or self.near_duplicates or self.groups)


class Report(msgspec.Struct, frozen=True):
    fingerprint: str
    sources: list[SourceCounts]
    balance: list[Balance]
    missing: list[str]  # moods without any row
    conflicts: Conflicts
    trained: dict[str, int]  # rows by source, own turns repeated as the mixture does
    held: dict[str, int]
    leaks: Leaks
    noise: list[Noise]


def make_report(
    folder: Path, seed: int = 13, scale: float = 1.0, labels: Mapping[str, str] | None = None, noise_rows: int = 4_000
) -> Report:
    """1. read  2. count each source, and what duplicates take away  3. look for contradictions  4. split, look for
    leaks  5. ask which source is noisy. `labels`: what the files' own labels mean. Raises DataError."""
    read = list(read_folder(folder, labels))  # 1
    own = list(read_own_turns())
    licences = {source.name: source.licence for source, _ in read} | {"own_turns": "this project's"}
    rows = [*own, *(row for _, its_rows in read for row, _ in its_rows)]
    split = mix(read, own, seed, scale)
    return Report(
        fingerprint=files_fingerprint(folder),
        sources=count_sources(rows, licences),  # 2
        balance=count_balance(rows),
        missing=[name for mood, name in enumerate(SENTIMENTS) if all(row.sentiment != mood for row in rows)],
        conflicts=find_conflicts(rows),  # 3
        trained=dict(Counter(row.source for row in split.train)),  # 4
        held=dict(Counter(row.source for row in split.held)),
        leaks=find_leaks(split),
        noise=noise_of(rows, noise_rows) if noise_rows else [],  # 5
    )


def count_sources(rows: Sequence[Row], licences: Mapping[str, str]) -> list[SourceCounts]:
    best = best_of_clusters(rows, near_clusters([row.key for row in rows]), [0] * len(rows))
    by_source: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_source[row.source].append(index)
    found = []
    for source, places in by_source.items():
        dropped = [index for index in places if best[index] != index]
        exact = sum(rows[index].key == rows[best[index]].key for index in dropped)
        p50, p95 = np.percentile([len(rows[index].input.text) for index in places], (50, 95))
        labelled = sum(rows[index].labelled for index in places)
        with_context = sum(rows[index].input.context is not None for index in places)
        licence = licences.get(source, "your own data")
        counts = (len(places), labelled, with_context, exact, len(dropped) - exact, int(p50), int(p95))
        found.append(SourceCounts(source, licence, *counts))
    return found


def count_balance(rows: Iterable[Row]) -> list[Balance]:
    cells: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    names = {0.0: "calm", 0.5: "annoyed", 1.0: "angry"}
    for row in rows:
        cell = cells[row.source, row.language]
        if row.sentiment is not None:
            cell[SENTIMENTS[row.sentiment]] += 1
        if row.anger is not None:
            cell[names[row.anger]] += 1
        if not row.labelled:
            cell["unlabelled"] += 1
    columns = Balance.__struct_fields__[2:]
    return [Balance(*cell, *(counts[column] for column in columns)) for cell, counts in cells.items()]


def find_conflicts(rows: Iterable[Row]) -> Conflicts:
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.labelled:
            by_key[row.key].append(row)
    repeated = [same for same in by_key.values() if len(same) > 1]
    in_mood = [same for same in repeated if len({row.sentiment for row in same} - {None}) > 1]
    by_source: Counter[str] = Counter()
    patterns: Counter[str] = Counter()
    for same in in_mood:
        by_source.update({row.source for row in same if row.sentiment is not None})
        moods = Counter(row.sentiment for row in same if row.sentiment is not None)
        patterns[", ".join(f"{SENTIMENTS[mood]} {moods[mood]}" for mood in sorted(moods))] += 1
    in_anger = sum({row.anger for row in same} >= {0.0, 1.0} for same in repeated)
    common = dict(patterns.most_common(PATTERNS))
    return Conflicts(len(repeated), len(in_mood), in_anger, dict(by_source.most_common()), common)


def find_leaks(split: Split) -> Leaks:
    sides = [sorted({row.key for row in side}) for side in split]
    clusters = near_clusters([*sides[0], *sides[1]])
    near = set(clusters[: len(sides[0])].tolist()) & set(clusters[len(sides[0]) :].tolist())
    groups = [{part for row in side if row.group for part in row.group.split(BETWEEN_GROUPS)} for side in split]
    return Leaks(len(set(sides[0]) & set(sides[1])), len(near), len(groups[0] & groups[1]))
