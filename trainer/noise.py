"""Which sources contradict the rest? A quick linear model, trained without a row, is asked for that row's mood.

Where it disagrees far more often with one source than with the others, that source's labels are noisy or mean something
else. It reads runs of one to four characters, no context: only the comparison between sources says anything.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier

from trainer.near import near_clusters
from trainer.rows import Row, draw
from trainer.split import components

FOLDS = 3
SURE = 0.9


class Noise(msgspec.Struct, frozen=True):
    """How far out-of-fold predictions and a source's labels differ. Shares from 0 to 1."""

    source: str
    rows: int
    disagrees: float  # another mood is likelier
    disagrees_surely: float  # another mood, with a probability above SURE
    expected: float  # of `disagrees`, for a model that knows only how frequent the source's moods are


def noise_of(rows: Sequence[Row], at_most: int = 4_000, seed: int = 13) -> list[Noise]:
    """The noisiest source first. At most `at_most` rows with a mood are drawn from each; empty without two moods."""
    drawn = _draw(rows, at_most, seed)
    moods = np.array([row.sentiment for row in drawn])
    if len(set(moods.tolist())) < 2:
        return []
    features = HashingVectorizer(analyzer="char", ngram_range=(1, 4), n_features=1 << 20).transform(
        [row.input.text for row in drawn]
    )
    fold = _folds(drawn)
    called = np.zeros(len(drawn), dtype=np.int64)
    sure = np.zeros(len(drawn))
    for number in range(FOLDS):
        inside = fold == number
        if not inside.any() or len(set(moods[~inside].tolist())) < 2:
            continue
        model = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=8, tol=None, random_state=seed)
        model.fit(features[~inside], moods[~inside])
        likely = model.predict_proba(features[inside])
        called[inside] = model.classes_[likely.argmax(axis=1)]
        sure[inside] = likely.max(axis=1)
    by_source: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(drawn):
        by_source[row.source].append(index)
    found = []
    for source, places in by_source.items():
        wrong = called[places] != moods[places]
        commonest = np.bincount(moods[places]).max() / len(places)
        shares = (wrong.mean(), (wrong & (sure[places] > SURE)).mean(), 1 - commonest)
        found.append(Noise(source, len(places), *(round(float(share), 4) for share in shares)))
    return sorted(found, key=lambda noise: -noise.disagrees)


def _draw(rows: Sequence[Row], at_most: int, seed: int) -> list[Row]:
    by_source: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.sentiment is not None:
            by_source[row.source].append(row)
    rng = random.Random(seed)
    return [row for its in by_source.values() for row in (its if len(its) <= at_most else rng.sample(its, at_most))]


def _folds(rows: Sequence[Row]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(N,): near-duplicates share a fold, or a copy would tell the answer; so do rows of one group."""
    clusters = near_clusters([row.key for row in rows])
    least: dict[int, int] = {}
    for cluster, row in zip(clusters.tolist(), rows, strict=True):
        least[cluster] = min(draw(row.key), least.get(cluster, 1 << 64))
    groups = components(rows).tolist()
    of_group: dict[int, int] = {}
    for group, cluster in zip(groups, clusters.tolist(), strict=True):
        of_group[group] = min(least[cluster], of_group.get(group, 1 << 64))
    return np.array([of_group[group] % FOLDS for group in groups], dtype=np.int64)
