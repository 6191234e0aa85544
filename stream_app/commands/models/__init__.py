"""`moodstream models …`, one file a subcommand."""

from __future__ import annotations

import click

from stream_app.cli import Guarded
from stream_app.commands.models.export import export
from stream_app.commands.models.import_ import import_
from stream_app.commands.models.list_ import list_
from stream_app.commands.models.promote import promote
from stream_app.commands.models.rollback import rollback
from stream_app.commands.models.show import show
from stream_app.commands.models.verify import verify


@click.group("models", cls=Guarded)
def command() -> None:
    """Look at model bundles, check them, bring in others; say which one serves.

    \b
    moodstream models show default
    moodstream models verify bundles/mine-1
    moodstream models import distilbert-sst2 --labels NEGATIVE=negative,POSITIVE=positive --out bundles/sst2
    moodstream models promote bundles/mine-1 --reason "better on our labels"
    moodstream models rollback --reason "flags every question about returns"
    """


for _command in (show, verify, import_, export, list_, promote, rollback):
    command.add_command(_command)
