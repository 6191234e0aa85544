"""`moodstream worker`: the process that scores, alerts and records."""

from __future__ import annotations

from typing import Any

import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from stream_app import settings as configuration
from stream_app.commands.reach import reach_kafka
from stream_app.settings import PREFIX, Settings


class WorkerCommand(click.Command):
    """Every setting is an option, but for secrets: a command line is no place for them."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(f"Settings, as options or variables or in the TOML file named by {PREFIX}CONFIG"):
            formatter.write_dl([_described(name, field) for name, field in Settings.model_fields.items()], col_max=34)
        with formatter.section("Options"):
            formatter.write_dl([("-h, --help", "Show this message and exit.")])


def _is_secret(field: FieldInfo) -> bool:
    return field.annotation is SecretStr


def _described(name: str, field: FieldInfo) -> tuple[str, str]:
    variable = PREFIX + name.upper()
    about = field.description or name.replace("_", " ")
    if _is_secret(field):
        return variable, f"{about}{_default(field, ' [{}]')}"
    return _option(name), f"{about} [{variable}{_default(field, '; {}')}]"


def _default(field: FieldInfo, form: str) -> str:
    value = field.default
    if value is None or (isinstance(value, (str, SecretStr)) and not len(value)):
        return ""
    if isinstance(value, SecretStr):
        return form.format("a known one, for local use")
    return form.format(",".join(map(str, value)) if isinstance(value, tuple) else value)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@click.command("worker", cls=WorkerCommand)
def command(**given: Any) -> None:
    """Run a worker: score, alert, record, notify.

    It takes its share of the topics' partitions, runs until SIGTERM or Ctrl-C, and loses nothing when it is killed:
    start it again. Several share the work; --roles runs a part of it.

    \b
    moodstream worker
    moodstream worker --roles score,alert --web-port 0
    MOODSTREAM_MODEL=quick moodstream worker
    """
    settings = configuration.load(**given)
    configuration.need(settings, "kafka")
    reach_kafka(settings)
    from stream_app.app import run_worker  # late: imports faust and, for a role that scores, torch

    run_worker(settings)


command.params = [
    click.Option([_option(name)], metavar="VALUE")
    for name, field in Settings.model_fields.items()
    if not _is_secret(field)
]
