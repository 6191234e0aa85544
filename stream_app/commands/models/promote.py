"""`moodstream models promote`: another model serves from now on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from schemas.bundle import DEFAULT
from stream_app.commands.models.serving import Announcer, move_options, reached, tell
from stream_app.commands.utf8 import utf8
from stream_app.errors import SetupError

if TYPE_CHECKING:
    from stream_app.serving.registry import Entry, Registry
    from stream_app.settings import Settings


@click.command("promote")
@click.argument("model_or_path", callback=utf8)
@move_options
def promote(model_or_path: str, reason: str, by: str, wait_s: float, as_json: bool) -> None:
    """Make a model the one that serves.

    MODEL_OR_PATH is the name of a registered model, the folder of a bundle, which is registered first, or "default",
    the bundle of this release. It is loaded here before anything changes: its text version and its canary texts must
    be right. Every worker with the role models then loads it beside the old one, checks it again and changes over
    between two batches; one that cannot goes on with the old one and says why. Promoting the model that serves already
    tells the workers again. Exit code 1: promoted, but not every running worker serves it, or nobody knows.

    \b
    moodstream models promote bundles/mine-2 --reason "macro F1 84.2 → 85.8 on our labels"
    moodstream models promote zhen-2 --reason "as before" --wait 30
    """
    settings = reached()
    from stream_app.serving.moves import announcement
    from stream_app.serving.moves import promote as go_on
    from stream_app.serving.registry import Registry

    registry = Registry(settings.database.get_secret_value())
    entry = _verified(settings, registry, model_or_path, by)
    champion = registry.champion()
    announce = Announcer(settings)
    made = go_on(registry, announce, entry.model, by, reason)
    if champion is not None and champion.model == made.model:
        what = f"{made.model} is the champion already: told the workers again"
    else:
        what = f"promoted {made.model}" + (f" after {made.previous}" if made.previous else "")
    tell(settings, announcement(made, entry), announce.answers_from, what, wait_s, as_json=as_json)


def _verified(settings: Settings, registry: Registry, model_or_path: str, by: str) -> Entry:
    """Its entry, when it loads and knows its canary. Raises SetupError or BundleError."""
    from stream_app.model import load_model
    from stream_app.serving.registry import check_unchanged

    entry = registry.find(model_or_path)
    if entry is not None:
        check_unchanged(entry)
    elif model_or_path != DEFAULT and not Path(model_or_path).is_dir():
        raise SetupError(f"no model {model_or_path} is registered, and there is no such folder")
    path = entry.path if entry else model_or_path
    load_model(settings.model_copy(update={"model": path})).close()
    return entry or registry.register(path, by)
