"""One turn of the loop that renews the model. Its order is the order of `retrain` and `_turn`; each step is a file.

    due.py   queue.py   labels.py   replay.py   continue_training.py   compare.py   judge.py   register.py

A turn that is cut off, whenever and however, is finished by the next call: the same moment, the same rows, the same
folder, so training goes on from its last checkpoint.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from schemas.bundle import read_manifest
from stream_app.errors import NeighbourDown, SetupError
from stream_app.settings import Settings
from trainer import register
from trainer.behaviour import Case
from trainer.compare import compare
from trainer.continue_training import RECIPE, continue_from
from trainer.database import Database
from trainer.due import State, due
from trainer.judge import judge
from trainer.labels import count_labels, extract
from trainer.queue import Busy, Queue, Run, Turn
from trainer.recipe import Recipe
from trainer.register import Champion, Registry
from trainer.replay import with_old_rows
from trainer.rows import half
from trainer.split import fingerprint
from trainer.verdict import Verdict

Say = Callable[[str], None]
RUNS = ".runs"  # below the folder of models: checkpoints of the turn under way


@dataclass(frozen=True)
class Plan:
    """What a person or a schedule asks for."""

    as_of: datetime
    models: Path
    """The folder that every worker can read and where new bundles go."""
    min_labels: int
    max_age: timedelta
    by_hand: bool = False
    dry_run: bool = False
    promote: bool = True
    data: Path | None = None
    """Labelled files to replay, beside older labels and our own turns."""
    scale: float = 1.0
    labels: dict[str, str] = field(default_factory=dict)
    """What those files' own labels mean, as {"0": "neg"}."""
    cases: tuple[Case, ...] = ()
    recipe: Recipe = field(default_factory=lambda: RECIPE)


class Outcome(NamedTuple):
    state: Literal["not due", "busy", "refused", "passed", "promoted"]
    reason: str
    run_id: str | None = None
    candidate: Path | None = None
    verdict: Verdict | None = None


class Loop(NamedTuple):
    """The loop's neighbours."""

    settings: Settings
    database: Database
    registry: Registry
    queue: Queue
    say: Say


def retrain(plan: Plan, settings: Settings, now: Callable[[], datetime], say: Say) -> Outcome:
    """1. Is a run due?  2. Have the turn, alone; finish what a killed run left.  3. - 9. in `_turn`.

    Raises SetupError, BundleError or DataError when a person must act; the run is then recorded as failed. Raises
    NeighbourDown when PostgreSQL or Kafka went away; the next call goes on.
    """
    database = Database(settings.database.get_secret_value())
    loop = Loop(settings, database, Registry(settings.database.get_secret_value()), Queue(database, now), say)
    try:
        with loop.queue.turn() as turn:  # 2, before 1: what is due is decided by one at a time
            if not plan.dry_run and (left := turn.left_behind()):
                finished = _finish(loop, turn, left, promote=plan.promote)
                if finished is not None:
                    return finished
            since = loop.queue.last_verdict()
            champion = register.champion(loop.registry, settings)
            new = count_labels(database, plan.as_of, since)
            decision = due(
                State(plan.as_of, new, since, champion.created),
                min_labels=plan.min_labels,
                max_age=plan.max_age,
                by_hand=plan.by_hand,
            )
            with _run(loop, turn, plan, champion, decision.trigger) as (run, work):  # 1
                if run is None:
                    return Outcome("not due", decision.reason)
                say(f"run {run.run_id}: {decision.reason}; the champion is {champion.model}")
                return _turn(loop, turn, replace(plan, as_of=run.as_of), run, champion, since, work)
    except Busy as busy:
        return Outcome("busy", str(busy))


def _turn(
    loop: Loop, turn: Turn, plan: Plan, run: Run, champion: Champion, since: datetime | None, work: Path
) -> Outcome:
    """3. extract  4. split  5. continue from the champion, calibrated  6. compare  7. judge  8. record  9. promote"""
    found = extract(loop.database, plan.as_of, since)  # 3
    renew = found.renewed or extract(loop.database, plan.as_of).renewed
    if not renew:
        raise SetupError(f"nobody gave a label before {plan.as_of:%Y-%m-%d %H:%M} UTC: there is nothing to learn from")
    loop.say(f"extracted {found.labels:,} labels and {found.ratings:,} star ratings as of {plan.as_of:%Y-%m-%d %H:%M}")
    if found.other_version:
        loop.say(f"left out {found.other_version:,} labels of texts prepared by another text version")
    split = with_old_rows(found.rows, plan.data, plan.recipe.seed, plan.scale, plan.labels)  # 4
    data = fingerprint([*split.train, *split.held])
    loop.say(f"split: {len(split.train):,} rows to train on, {len(split.held):,} held back, fingerprint {data}")
    candidate_name = f"{champion.model.partition('.')[0]}.{run.run_id}"
    if not plan.dry_run:
        turn.note(run, rows=len(split.train), data_fingerprint=data, candidate=candidate_name)
    loop.say(f"training {candidate_name}: the encoders for {' and '.join(sorted(renew))}")
    folder = continue_from(  # 5
        champion.folder,
        split.train,
        split.held,
        work / data,
        work / data / candidate_name,
        plan.recipe,
        name=candidate_name,
        created=plan.as_of.replace(microsecond=0),
        renew=renew,
        data_fingerprint=data,
    )
    renewed = renew if read_manifest(folder).encoders else ("zh", "en")
    judged = [row for row in split.held if half(row) == 1]  # the other half set the thresholds
    loop.say(f"comparing on {len(judged):,} held-back texts")
    sides = compare(champion.folder, folder, judged, renewed=renewed, cases=plan.cases)  # 6
    verdict = judge(judged, *sides)  # 7
    outcome = Outcome("passed" if verdict.passed else "refused", _sentence(verdict), run.run_id, None, verdict)
    if plan.dry_run:
        return outcome
    turn.check()
    if not verdict.passed:  # 8
        kept = register.keep_refused(folder, plan.models)
        turn.end(run, "refused", verdict=msgspec.to_builtins(verdict), candidate_path=str(kept))
        return outcome._replace(candidate=kept)
    kept = register.keep_passed(folder, plan.models)
    turn.note(run, verdict=msgspec.to_builtins(verdict), candidate_path=str(kept))
    loop.registry.register(kept, register.BY)
    if plan.promote:  # 9
        register.announce(loop.registry, loop.settings, candidate_name, register.reason_of(verdict))
    state: Literal["promoted", "passed"] = "promoted" if plan.promote else "passed"
    turn.end(run, state)
    return outcome._replace(state=state, candidate=kept)


@contextmanager
def _run(
    loop: Loop, turn: Turn, plan: Plan, champion: Champion, trigger: str | None
) -> Iterator[tuple[Run | None, Path]]:
    """The run to work on and its folder: the one a killed process left, or a new one; None when none is due.

    A run that fails for a reason of its own is recorded as failed; one that lost a neighbour waits to be taken up.
    """
    if plan.dry_run:
        with tempfile.TemporaryDirectory(prefix="moodstream-dry-run-") as folder:
            made = Run("dry-run", trigger, plan.as_of, champion.model, plan.as_of, None) if trigger else None  # type: ignore[arg-type]
            yield made, Path(folder)
        return
    run = turn.left_behind()
    if run and run.champion != champion.model:
        turn.end(run, "failed", error=f"its process died, and {champion.model} has become the champion since")
        run = None
    if run is None and trigger is None:
        yield None, plan.models
        return
    if run is None:
        shutil.rmtree(plan.models / RUNS, ignore_errors=True)  # one run at a time: what lies there is nobody's
        run = turn.begin(trigger, plan.as_of, champion.model)  # type: ignore[arg-type]
    else:
        loop.say(f"going on with run {run.run_id}, whose process died")
    try:
        yield run, plan.models / RUNS / run.run_id
    except NeighbourDown:
        raise
    except Exception as failure:
        turn.end(run, "failed", error=" ".join(str(failure).split())[:1_000] or type(failure).__name__)
        raise
    shutil.rmtree(plan.models / RUNS / run.run_id, ignore_errors=True)


def _finish(loop: Loop, turn: Turn, left: Run, *, promote: bool) -> Outcome | None:
    """A run that died after its candidate had passed: nothing is measured twice, what was left to do is done."""
    champion = register.champion(loop.registry, loop.settings)
    if left.candidate_path is None or champion.model not in (left.champion, left.candidate):
        return None
    entry = loop.registry.register(Path(left.candidate_path), register.BY)
    state: Literal["promoted", "passed"] = "promoted" if promote or champion.model == entry.model else "passed"
    if state == "promoted":
        register.announce(loop.registry, loop.settings, entry.model, f"passed in run {left.run_id}, which was cut off")
    turn.end(left, state)
    return Outcome(
        state,
        f"finished run {left.run_id}, which was cut off after {entry.model} had passed",
        left.run_id,
        Path(entry.path),
    )


def _sentence(verdict: Verdict) -> str:
    if verdict.passed:
        return register.reason_of(verdict)
    return f"{verdict.candidate} does not replace {verdict.champion}: {', '.join(verdict.refused_for)}"
