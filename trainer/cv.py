"""Cross-validation: how much of a figure is the luck of one split? K trainings, each measured on rows it never saw."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from schemas.bundle import BundleError, Manifest, write_manifest
from stream_app.errors import SetupError
from stream_app.text.model_input import TEXT_VERSION
from trainer.calibrate import at_most, scores_with
from trainer.evaluate import evaluate
from trainer.fit import WATCHED_EACH, Job, rows_of
from trainer.recipe import Recipe
from trainer.rows import Row, draw
from trainer.sources import MEASURED_ONLY
from trainer.split import Split, components, fingerprint, load_split, refuse_empty_classes
from trainer.student import OUTPUTS, cut_student, is_ours

RUN = "cv.json"
FIGURES = "figures.json"

Figures = dict[str, dict[str, float]]
"""Slice ("all" or a source) -> figure -> value."""


class Plan(msgspec.Struct, frozen=True):
    """What a folder of folds was made of."""

    job: Job
    folds: int
    rows: str  # fingerprint


class Spread(NamedTuple):
    """Over the folds that allow the figure; `sd` with n - 1, 0 for one fold."""

    mean: float
    sd: float
    folds: int


def cross_validate(
    job: Job, base: Path, folds: int, work: Path, *, hear: Callable[[int, Figures], None] = lambda fold, figures: None
) -> dict[str, dict[str, Spread]]:
    """Slice -> figure -> spread over the folds.

    1. rows and their folds  2. cut the student from `base`  3. train without each fold and measure on it
    Called again after a kill it goes on: finished folds are read, the unfinished one goes on from its checkpoint.
    Probabilities are not calibrated and the anger threshold is 0.5. Raises SetupError where the rows do not suffice,
    BundleError when `work` holds another cross-validation.
    """
    if job.recipe.patience:
        raise SetupError("patience has no place here: there is nothing left to watch but what measures")
    if is_ours(base):
        raise SetupError(f"{base} was trained already, perhaps on these rows: start from a base model")
    rows = rows_for(job)  # 1
    parts = list(split_folds(rows, folds))
    _remember(Plan(job, folds, fingerprint(rows)), work)
    student = work / "student"
    if not student.exists():  # 2
        texts = (text for row in rows for text in row.input if text)
        cut_student(base, student, texts, layers=job.layers, vocabulary=job.vocabulary)
    from trainer.train import CHECKPOINT  # torch, seconds to import

    found = []
    for number, part in enumerate(parts):  # 3
        done = work / f"fold-{number}" / FIGURES
        if not done.exists():
            _write(done, train_and_measure(job.recipe, student, part, done.parent))
            (done.parent / CHECKPOINT).unlink(missing_ok=True)  # twice the model's size, and of no use any more
        found.append(msgspec.json.decode(done.read_bytes(), type=Figures))
        hear(number, found[-1])
    return spread(found)


def rows_for(job: Job) -> list[Row]:
    """Every labelled row of the job's language once, held back elsewhere or not; nothing that is for measuring only."""
    split = rows_of(job.language, load_split(Path(job.data), job.recipe.seed, job.scale, job.labels))
    kept = (row for row in split.train + split.held if row.labelled and row.source not in MEASURED_ONLY)
    return list(dict.fromkeys(kept))


def split_folds(rows: Sequence[Row], folds: int) -> Iterator[Split]:
    """For each fold, what to train on and what to measure on. A hash decides: the order of the rows does not matter.

    Rows of one conversation, customer or product day are in one fold. Raises SetupError when a fold has no row, or
    when the others lack a mood.
    """
    groups = components(rows).tolist()
    least: dict[int, str] = {}
    for group, row in zip(groups, rows, strict=True):
        least[group] = min(row.key, least.get(group, row.key))
    place = [draw(f"fold {least[group]}") % folds for group in groups]
    for fold in range(folds):
        train = [row for row, number in zip(rows, place, strict=True) if number != fold]
        held = [row for row, number in zip(rows, place, strict=True) if number == fold]
        if not held:
            raise SetupError(
                f"{len(rows):,} labelled rows in {len(least):,} groups do not fill {folds} folds: use fewer"
            )
        refuse_empty_classes(train)
        yield Split(train, held)


def spread(folds: Sequence[Figures]) -> dict[str, dict[str, Spread]]:
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for figures in folds:
        for name, found in figures.items():
            for figure, value in found.items():
                values[name][figure].append(value)
    return {
        name: {
            figure: Spread(
                round(float(np.mean(each)), 4),
                round(float(np.std(each, ddof=1)), 4) if len(each) > 1 else 0.0,
                len(each),
            )
            for figure, each in found.items()
        }
        for name, found in values.items()
    }


def train_and_measure(recipe: Recipe, student: Path, part: Split, work: Path) -> Figures:
    """Train a copy of `student` in `work`, where its bundle stays, and measure it on `part.held`. Not calibrated."""
    from trainer.bundle import store
    from trainer.train import train  # torch, seconds to import

    watched = at_most(part.train, WATCHED_EACH)  # what is held back does nothing but measure
    trained = train(student, part.train, watched, work, recipe)
    folder = work / "bundle"
    if not folder.exists():
        store(trained, student, folder)
    manifest = Manifest(
        name=work.name,
        architecture="bert-packed",
        labels={"0": "negative", "1": "neutral", "2": "positive"},
        anger_output=OUTPUTS.index("anger"),
        max_tokens=json.loads((folder / "config.json").read_bytes())["max_position_embeddings"],
        text_version=TEXT_VERSION,
    )
    write_manifest(folder, manifest)
    scores = scores_with(folder, part.held, recipe.threads)
    evaluation = evaluate(work.name, part.held, scores, manifest.decisions, resamples=0)
    return {
        each.name: {name: figure.value for name, figure in each.figures.items()}
        for each in evaluation.slices
        if each.dimension in ("all", "source")
    }


def _remember(plan: Plan, work: Path) -> None:
    if (work / RUN).exists():
        if msgspec.json.decode((work / RUN).read_bytes(), type=Plan) != plan:
            raise BundleError(f"{work} holds a cross-validation of other rows or settings: name an empty folder.")
        return
    work.mkdir(parents=True, exist_ok=True)
    _write(work / RUN, plan)


def _write(path: Path, content: object) -> None:
    """Aside, then renamed: a file that exists is whole."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    os.replace(fresh, path)
