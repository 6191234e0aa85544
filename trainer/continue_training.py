"""From the champion to a candidate: its own weights trained further on rows it has not seen, and on old ones again.

Only encoders for which there are new labels are trained; the files of the other come along as they are.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec

from schemas.bundle import BundleError, Encoder, Manifest, Temperatures, read_manifest, write_manifest
from stream_app.scoring.storage import plain_checkpoint
from stream_app.text.language import encoder_language
from stream_app.text.model_input import TEXT_VERSION
from trainer.bundle import code_commit, finish, store
from trainer.calibrate import ENOUGH_CALM, at_most, choose_decisions, fit_by_language, scores_with
from trainer.fit import WATCHED_EACH, calibration_rows
from trainer.recipe import Recipe
from trainer.rows import Row
from trainer.split import fingerprint
from trainer.student import OUTPUTS

RECIPE = Recipe(epochs=1, learning_rate=3e-5, head_rate=1.0, augment=0.1)
"""A fifth of the rate the model was made with, heads included: they are trained already."""
CALIBRATE_EACH = 1_000  # rows of each source that set temperatures

EVERY = "all"  # the name of the one checkpoint of a bundle without encoders, as in Manifest.checkpoints


def continue_from(
    champion: Path,
    rows: Sequence[Row],
    held: Sequence[Row],
    work: Path,
    out: Path,
    recipe: Recipe = RECIPE,
    *,
    name: str,
    created: datetime,
    renew: Collection[str] = ("zh", "en"),
    data_fingerprint: str | None = None,
) -> Path:
    """The folder `out` with the candidate's bundle, complete or not there at all. Calibrated on half 0 of `held`.

    1. dequantise each encoder to renew  2. train it on the rows it reads  3. store it, beside the files of the other
    4. calibrate  5. measure, record canary and card  6. rename into place

    Called again after a kill it goes on where it was. Raises BundleError for a champion that cannot be trained further.
    """
    if out.exists():
        return out
    manifest = read_manifest(champion, text_version=TEXT_VERSION)
    parts = _to_renew(champion, manifest, renew)
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for part, encoder in manifest.checkpoints.items():
        if part not in parts:
            shutil.copytree(champion / encoder.folder, fresh / encoder.folder)
            continue
        start = plain_checkpoint(champion / encoder.folder, _emptied(work / part / "start"))  # 1
        trained = _train(start, _read_by(part, rows), _read_by(part, held), work / part, recipe, manifest)  # 2
        store(trained, start, work / part / "stored")  # 3
        shutil.copytree(work / part / "stored", fresh / encoder.folder, dirs_exist_ok=True)
    manifest = msgspec.structs.replace(
        manifest,
        name=name,
        created=created,
        text_version=TEXT_VERSION,
        training=_training(manifest, len(rows), recipe),
        data_fingerprint=data_fingerprint,
        held_back=fingerprint(held),
        code_commit=code_commit(),
        weights={},
    )
    manifest = _calibrated(fresh, manifest, parts, held)  # 4
    finish(fresh, manifest, held)  # 5
    os.replace(fresh, out)  # 6
    return out


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _to_renew(champion: Path, manifest: Manifest, renew: Collection[str]) -> set[str]:
    """Names of the checkpoints to train."""
    if manifest.architecture != "bert-packed" or manifest.anger_output != OUTPUTS.index("anger"):
        raise BundleError(
            f"{champion} was not made by this trainer: it serves, but cannot be trained further; promote a bundle of"
            " `moodstream train bundle` first."
        )
    if not manifest.encoders:
        return {EVERY}
    return {part for part in manifest.encoders if part in renew}


def _read_by(part: str, rows: Sequence[Row]) -> list[Row]:
    """Those this checkpoint reads, chosen as serving chooses."""
    return [row for row in rows if part == EVERY or encoder_language(*row.input) == part]


def _train(start: Path, rows: list[Row], held: list[Row], work: Path, recipe: Recipe, manifest: Manifest) -> Path:
    from trainer.train import train  # torch, seconds to import

    shutil.rmtree(work / "stored", ignore_errors=True)
    watched = at_most(calibration_rows(held), WATCHED_EACH)
    return train(start, rows, watched, work, replace(recipe, max_tokens=manifest.max_tokens))


def _training(champion: Manifest, rows: int, recipe: Recipe) -> dict[str, str | int | float]:
    """What the champion's manifest says of its making, and this turn: `continued_from` and the turn's settings."""
    kept = {key: value for key, value in champion.training.items() if not key.startswith("continued_")}
    return kept | {
        "continued_from": champion.name,
        "continued_rows": rows,
        "continued_epochs": recipe.epochs,
        "continued_learning_rate": recipe.learning_rate,
        "continued_turns": int(champion.training.get("continued_turns", 0)) + 1,
    }


def _calibrated(folder: Path, manifest: Manifest, trained: set[str], held: Sequence[Row]) -> Manifest:
    """Temperatures of what was trained, then thresholds; an encoder that came along keeps its own.

    Without enough calm service turns among `held` the champion's alarm threshold stays.
    """
    mine = calibration_rows(held)

    def with_temperatures(found: dict[str, Temperatures]) -> Manifest:
        encoders = {
            part: Encoder(each.folder, found.get(part, Temperatures()) if part in trained else each.temperatures)
            for part, each in manifest.encoders.items()
        }
        whole = manifest.temperatures if manifest.encoders else found.get(EVERY, Temperatures())
        changed = msgspec.structs.replace(manifest, encoders=encoders, temperatures=whole)
        write_manifest(folder, changed)
        return changed

    with_temperatures({})
    rows = [row for part in sorted(trained) for row in at_most(_read_by(part, mine), CALIBRATE_EACH)]
    readers = [encoder_language(*row.input) if manifest.encoders else EVERY for row in rows]
    made = with_temperatures(fit_by_language(rows, scores_with(folder, rows), readers))
    calm = [row for row in mine if row.role == "customer" and row.anger == 0.0 and row.sentiment != 0]
    mixture = scores_with(folder, at_most(mine, 200))
    decisions = choose_decisions(scores_with(folder, calm), mixture) if len(mixture) else made.decisions
    if len(calm) < ENOUGH_CALM:
        decisions = msgspec.structs.replace(decisions, anger_threshold=made.decisions.anger_threshold)
    made = msgspec.structs.replace(made, decisions=decisions)
    write_manifest(folder, made)
    return made
