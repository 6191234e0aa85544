"""`moodstream train …`, one file a subcommand."""

from __future__ import annotations

import click

from stream_app.cli import Guarded
from trainer.commands.bundle import bundle
from trainer.commands.cut import cut
from trainer.commands.cv import cv
from trainer.commands.distill import distill
from trainer.commands.evaluate import evaluate
from trainer.commands.fit import fit
from trainer.commands.report import report
from trainer.commands.resume import resume


@click.group(cls=Guarded)
def train() -> None:
    """Train a model on labelled texts, measure it, write its bundle."""


for _command in (report, cut, fit, resume, distill, bundle, evaluate, cv):
    train.add_command(_command)
