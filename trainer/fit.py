"""One encoder's training run, from labelled files to a checkpoint, as a folder that explains and continues itself.

run.json        what was asked for: go on with `moodstream train resume`, repeat with `moodstream train fit`
student/        the untrained model: layers and vocabulary cut from the base or from the teacher
../opinions/    what the teachers said of each text, if there are any
checkpoint.pt, metrics.jsonl, tensorboard/        while it runs
model/          the trained checkpoint
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import msgspec

from schemas.bundle import BundleError, Language
from stream_app.text.language import encoder_language
from trainer.base import base_model
from trainer.calibrate import at_most
from trainer.recipe import Recipe
from trainer.rows import Row, half
from trainer.sources import MEASURED_ONLY
from trainer.split import Split, fingerprint, load_split
from trainer.student import cut_student

RUN = "run.json"
OPINIONS = "opinions"
WATCHED_EACH = 100  # held-back rows of each source whose loss is followed during training


@dataclass(frozen=True)
class Job:
    """What one run is made of; equal jobs give equal checkpoints on the same machine."""

    language: Language
    data: str
    start: str | None = None
    """A checkpoint to cut the student from, or to train further as it is; None: the language's base model."""
    layers: tuple[int, ...] = ()
    """Of `start`, from the bottom; empty: all."""
    vocabulary: int = 0
    """Pieces to keep, by use in the training texts; 0: all, as where `start` was cut already."""
    teachers: tuple[str, ...] = ()
    """Checkpoints whose mean logits are learned beside the labels."""
    scale: float = 1.0
    """Of the mixture in trainer/sources.py."""
    labels: dict[str, str] = field(default_factory=dict)
    """What the files' own labels mean, as {"0": "neg"}."""
    held_back: str = ""
    """Fingerprint of what this run must not see. `fit` fills it in; whoever measures the model compares it."""
    recipe: Recipe = field(default_factory=Recipe)


def fit(job: Job, work: Path, *, stop_after: int | None = None) -> Path:
    """1. rows of this language  2. cut the student  3. ask the teachers  4. train. Returns the checkpoint's folder.

    Called again after a kill it goes on. Raises BundleError when `work` holds another run.
    """
    from trainer.train import train  # torch, seconds to import

    split = rows_of(job.language, load_split(Path(job.data), job.recipe.seed, job.scale, job.labels))  # 1
    if not _helps_out():
        job = replace(job, held_back=fingerprint(split.held))
        for other in _knows_other_rows(job):
            click.echo(f"note: {other} held back other rows: what it learned of mine would measure too well", err=True)
        _remember(job, work)
    student = work / "student"
    if _helps_out():
        _wait_for(work / "taught" if job.teachers else student)
    elif not student.exists():  # 2
        start = Path(job.start) if job.start else base_model(job.language)
        texts = (text for row in split.train for text in row.input if text)
        cut_student(start, student, texts, layers=job.layers, vocabulary=job.vocabulary)
    rows = split.train
    if job.teachers:  # 3
        from trainer.distill import teach

        opinions = work.parent / OPINIONS  # shared: a second student of the same teachers asks nothing
        rows = teach([Path(teacher) for teacher in job.teachers], rows, opinions, threads=job.recipe.threads)
        (work / "taught").touch()
    watched = at_most(calibration_rows(split.held), WATCHED_EACH)
    return train(student, rows, watched, work, job.recipe, stop_after=stop_after)  # 4


def resume(work: Path, **machine: object) -> Path:
    """Go on with the run in `work`; `machine`: threads or device of the machine it goes on with."""
    job = read_job(work)
    return fit(replace(job, recipe=replace(job.recipe, **machine)), work)  # type: ignore[arg-type]


def read_job(work: Path) -> Job:
    """Raises BundleError when `work` holds no run."""
    try:
        return msgspec.json.decode((work / RUN).read_bytes(), type=Job)
    except FileNotFoundError:
        raise BundleError(f"{work} holds no {RUN}: start a run with `moodstream train fit`.") from None
    except msgspec.DecodeError as error:
        raise BundleError(f"{work / RUN} cannot be read ({error}): start the run again in an empty folder.") from error


def calibration_rows(held: Iterable[Row]) -> list[Row]:
    """The half of the held-back rows that may choose temperatures, thresholds, when to stop; the other half reports."""
    return [row for row in held if row.labelled and half(row) == 0 and row.source not in MEASURED_ONLY]


def rows_of(language: Language, split: Split) -> Split:
    """The rows that this language's encoder reads, chosen as serving chooses."""

    def mine(row: Row) -> bool:
        return encoder_language(row.input.text, row.input.context) == language

    return split._replace(train=[row for row in split.train if mine(row)], held=[r for r in split.held if mine(r)])


def _knows_other_rows(job: Job) -> Iterator[Path]:
    """Runs of ours that this one starts from or asks, and that were held back from other rows than this one is."""
    for checkpoint in dict.fromkeys((*job.teachers, *((job.start,) if job.start else ()))):
        run = Path(checkpoint).parent
        if (run / RUN).exists() and read_job(run).held_back != job.held_back:
            yield run


def _helps_out() -> bool:
    """Whether `torchrun` started us beside a first process, which prepares for all."""
    return int(os.environ.get("RANK", "0")) > 0


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(1)


def _remember(job: Job, work: Path) -> None:
    if (work / RUN).exists():
        before, now = (msgspec.to_builtins(each) for each in (read_job(work), job))
        differing = _differing(before, now)
        if differing:
            raise BundleError(
                f"{work} holds a run that differs in {', '.join(differing)}: go on with `moodstream train resume`,"
                " or name an empty folder."
            )
        return
    work.mkdir(parents=True, exist_ok=True)
    fresh = work / (RUN + ".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(job), indent=2) + b"\n")
    os.replace(fresh, work / RUN)


def _differing(before: dict[str, object], now: dict[str, object]) -> list[str]:
    """Names of the settings that matter for the result and are not equal."""
    names = []
    for name, value in now.items():
        if isinstance(value, dict):
            names += [each for each in _differing(before[name], value) if each not in _OF_THE_MACHINE]  # type: ignore[arg-type]
        elif before.get(name) != value:
            names.append(name)
    return names


_OF_THE_MACHINE = {"threads", "device"}
