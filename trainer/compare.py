"""Champion and candidate over the same held-back rows: scores, facts, and their speed measured in turns."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import cast

from schemas.bundle import Manifest, read_manifest
from stream_app.scoring.load import load_scorer
from stream_app.scoring.model_scorer import ModelScorer
from stream_app.scoring.scorer import CanaryFailed
from stream_app.scoring.storage import bundle_files
from trainer.behaviour import Case, examine
from trainer.calibrate import scores_of
from trainer.rows import Row
from trainer.verdict import Facts, Side

TIMED_TEXTS = 500
ROUNDS = 5
"""The best of so many counts, in seconds of CPU: other work on the machine must not decide who is promoted."""


def compare(
    champion: Path, candidate: Path, rows: Sequence[Row], *, renewed: Collection[str], cases: Sequence[Case] = ()
) -> tuple[Side, Side]:
    """Both sides of the judgement, champion first. Raises BundleError for a folder that does not load."""
    folders = champion, candidate
    # nothing is remembered between calls: a repeated text would cost nothing and tell nothing of speed
    scorers = [cast(ModelScorer, load_scorer(str(folder), remember=0)) for folder in folders]
    seconds = _seconds_per_1000(scorers, rows)
    sides = []
    for folder, scorer, took in zip(folders, scorers, seconds, strict=True):
        sides.append(Side(_facts(folder, scorer, took, renewed, cases), scores_of(scorer, rows)))
        scorer.close()
    return sides[0], sides[1]


def _facts(folder: Path, scorer: ModelScorer, seconds: float, renewed: Collection[str], cases: Sequence[Case]) -> Facts:
    manifest = read_manifest(folder)
    rates = examine(scorer, cases).by["kind"] if cases else {}
    return Facts(
        model=manifest.name,
        text_version=manifest.text_version,
        labels=dict(manifest.labels),
        knows_anger=manifest.anger_output is not None,
        anger_threshold=manifest.decisions.anger_threshold,
        max_tokens=manifest.max_tokens,
        size_mb=_size_mb(folder, manifest),
        canary_ok=_knows_its_canary(scorer),
        seconds_per_1000=seconds,
        behaviour={kind: rate.share for kind, rate in rates.items()},
        renewed=tuple(sorted(renewed)),
    )


def _seconds_per_1000(scorers: Sequence[ModelScorer], rows: Sequence[Row]) -> list[float]:
    """Of each scorer, on the same texts, one after the other and again."""
    inputs = list({row.input: None for row in rows[:: max(1, len(rows) // TIMED_TEXTS)]})
    best = [float("inf")] * len(scorers)
    for scorer in scorers:
        scorer.score(inputs[:50])  # a first call pays for threads and memory
    for _ in range(ROUNDS):
        for place, scorer in enumerate(scorers):
            began = time.process_time()
            scorer.score(inputs)
            best[place] = min(best[place], time.process_time() - began)
    return [1_000 * seconds / max(1, len(inputs)) for seconds in best]


def _knows_its_canary(scorer: ModelScorer) -> bool:
    try:
        scorer.check_canary()
    except CanaryFailed:
        return False
    return True


def _size_mb(folder: Path, manifest: Manifest) -> float:
    return sum((folder / name).stat().st_size for name in bundle_files(folder, manifest)) / 1e6
