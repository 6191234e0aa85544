"""What a verdict leads to: the bundle in its place, its entry in the registry, the promotion, the workers told."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from schemas import codec
from schemas.bundle import read_manifest
from schemas.events import ModelPromoted
from schemas.topics import MODELS
from stream_app.errors import SetupError
from stream_app.flow.kafka.publisher import Publisher
from stream_app.scoring.load import bundle_folder
from stream_app.serving.moves import Publish, promote
from stream_app.serving.registry import Registry
from stream_app.settings import Settings
from trainer.verdict import Verdict

__all__ = ["BY", "Champion", "Registry", "announce", "champion", "keep_passed", "keep_refused", "reason_of"]

BY = "moodstream retrain"
REFUSED = "refused"  # the folder of the last candidate that was refused, for whoever wants to know why


class Champion(NamedTuple):
    model: str
    folder: Path
    created: datetime | None


def champion(registry: Registry, settings: Settings) -> Champion:
    """What serves: the last promotion, else the bundle that MOODSTREAM_MODEL names.

    Raises SetupError for the stand-in, BundleError for a folder that holds no bundle.
    """
    entry = registry.champion()
    if entry is None and settings.model == "quick":
        raise SetupError(
            "the stand-in model `quick` cannot be trained: set MOODSTREAM_MODEL to a bundle, or promote one"
        )
    folder = bundle_folder(entry.path if entry else settings.model)
    manifest = read_manifest(folder)
    return Champion(manifest.name, folder, manifest.created)


def keep_refused(candidate: Path, models: Path) -> Path:
    """Where the refused candidate lies from now on, in place of the one before."""
    return _move(candidate, models / REFUSED)


def keep_passed(candidate: Path, models: Path) -> Path:
    """Where the bundle lies from now on; workers read it there."""
    return _move(candidate, models / candidate.name)


def announce(registry: Registry, settings: Settings, model: str, reason: str) -> None:
    """Make a registered model the champion and tell the workers; of the champion, tell them again.

    Raises NeighbourDown when the message is not out.
    """
    promote(registry, publisher(settings), model, BY, reason)


def reason_of(verdict: Verdict) -> str:
    """The proof, as a sentence for whoever reads the history."""
    gain = next(each for each in verdict.criteria if each.name == "gain")
    proof = f"{gain.champion} → {gain.value} ({gain.test})"
    return f"better than {verdict.champion} on {verdict.rows:,} held-back texts: {proof}"


def publisher(settings: Settings) -> Publish:
    """Sends a promotion and returns when Kafka has it."""

    def publish(promoted: ModelPromoted) -> None:
        out = Publisher(settings)
        out.send(MODELS.name, MODELS.key.encode(), codec.encode(promoted))
        out.flush()

    return publish


def _move(candidate: Path, target: Path) -> Path:
    """Aside first, so that nobody finds half a folder; a second call finds the work done."""
    if candidate.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        try:
            os.replace(candidate, target)
        except OSError:  # another file system
            fresh = target.with_name(target.name + ".new")
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(candidate, fresh)
            os.replace(fresh, target)
    return target.resolve()
