"""`moodstream models rollback`: the model before this one serves again."""

from __future__ import annotations

import click

from stream_app.commands.models.serving import Announcer, move_options, reached, tell
from stream_app.commands.utf8 import utf8


@click.command("rollback")
@click.option("--to", "to", metavar="MODEL", callback=utf8, help="Not the last champion but this earlier one.")
@move_options
def rollback(to: str | None, reason: str, by: str, wait_s: float, as_json: bool) -> None:
    """Go back to the model that served before.

    The champion before this one comes back, or, where there was none, the default bundle of each worker's release.
    Doing it twice goes back twice; --to goes straight to an earlier champion. The bundle's files must be those that
    were registered; nothing is loaded here, so that it is quick: each worker checks the model's canary texts itself.
    If Kafka went away in between, the same command again finishes what was begun. Exit code 1: rolled back, but not
    every running worker serves it, or nobody knows.

    \b
    moodstream models rollback --reason "flags every question about returns"
    moodstream models rollback --to zhen-2 --reason "the last one we trust"
    """
    settings = reached()
    from stream_app.serving.moves import announcement
    from stream_app.serving.moves import rollback as go_back
    from stream_app.serving.registry import Registry

    registry = Registry(settings.database.get_secret_value())
    announce = Announcer(settings)
    made = go_back(registry, announce, by, reason, to=to)
    entry = registry.find(made.model)
    assert entry is not None  # the table `promotion` refers to `model`
    what = f"rolled back from {made.previous} to {made.model}"
    tell(settings, announcement(made, entry), announce.answers_from, what, wait_s, as_json=as_json)
