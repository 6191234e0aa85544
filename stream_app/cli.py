"""`moodstream`: one command a file in `commands/`, or a package for a group, loaded only when it is called.

`moodstream --help` imports click and nothing else of weight: headlines are read from the commands' source, not by
importing them. Packages beside us add commands through the entry-point group `moodstream.commands`.

What ends a command, and how: a mistake somebody can mend is one readable line on stderr and exit code 2; Ctrl-C is
130; a reader that went away (`moodstream tail … | head`) is silence and 141, as for any Unix tool. Anything else is a
defect of ours and keeps its traceback.
"""

import ast
import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NoReturn

import click

from stream_app.errors import MoodstreamError

GROUP = "moodstream.commands"
MISTAKE, INTERRUPTED, NOBODY_READS = 2, 130, 141

BUILT_IN: dict[str, tuple[str, ...]] = {
    "First minutes": ("demo", "up", "down", "init", "check"),
    "The stream": ("worker", "publish", "tail", "trace", "replay", "label"),
    "Texts": ("score", "clean"),
    "Models": ("models",),
}
ADDED = "Train and measure"


class Mistake(click.ClickException):
    """Somebody can mend this: `message` says what, `who` is the command."""

    def __init__(self, who: str, message: str) -> None:
        super().__init__(message)
        self.who = who


class Guarded(click.Group):
    """A group whose commands end as the module says; a group inside another names the whole command that failed."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would complain when it flushes
            raise click.exceptions.Exit(NOBODY_READS) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as failure:
            if not _can_be_mended(failure):
                raise
            raise Mistake(f"{ctx.command_path} {ctx.invoked_subcommand}", _sentence(failure)) from None


class Commands(Guarded):
    """The commands by heading; see the module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_targets())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        target = _targets().get(name)
        if target is None:
            return None
        command: click.Command = target.load()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        targets = _targets()
        width = max(map(len, targets))
        added = [name for name in targets if not any(name in names for names in BUILT_IN.values())]
        for heading, names in {**BUILT_IN, ADDED: tuple(added)}.items():
            if names:
                with formatter.section(heading):
                    formatter.write_dl([(name.ljust(width), _headline(targets[name])) for name in names])

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **extra: Any) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # what a terminal cannot show must not end the command
                stream.reconfigure(errors="backslashreplace")
        logging.getLogger("moodstream").addHandler(logging.NullHandler())  # only a worker logs to stderr
        extra["standalone_mode"] = False
        try:
            status = super().main(args, prog_name or "moodstream", **extra)
        except click.exceptions.NoArgsIsHelpError as help_instead:
            help_instead.show()
            status = MISTAKE
        except click.UsageError as wrong:
            who = wrong.ctx.command_path if wrong.ctx else "moodstream"
            _say(who, f"{wrong.format_message().rstrip('.')} (see `{who} --help`)")
            status = MISTAKE
        except Mistake as mistake:
            _say(mistake.who, mistake.message)
            status = MISTAKE
        except click.ClickException as failure:
            _say("moodstream", failure.format_message())
            status = MISTAKE
        except click.Abort:
            status = INTERRUPTED
        sys.exit(status if isinstance(status, int) else 0)


@cache
def _targets() -> dict[str, EntryPoint]:
    """Every command by name, ours first: nobody replaces a built-in one."""
    ours = {
        name: EntryPoint(name, f"stream_app.commands.{name}:command", GROUP)
        for names in BUILT_IN.values()
        for name in names
    }
    return ours | {point.name: point for point in entry_points(group=GROUP) if point.name not in ours}


def _headline(target: EntryPoint) -> str:
    """The first sentence of a command's docstring, without importing it."""
    package, *inner = target.module.split(".")
    try:
        # Only the top package is looked up: to find a module inside, importlib would import what is around it.
        spec = importlib.util.find_spec(package)
        path = Path(spec.origin if spec and spec.origin else package)
        if inner:
            at = path.parent.joinpath(*inner)
            path = at / "__init__.py" if at.is_dir() else at.with_suffix(".py")
        tree = ast.parse(path.read_bytes())
    except (ImportError, OSError, SyntaxError):
        return "(cannot be read)"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == target.attr:
            return (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ").rstrip(".")
    return ""


def _can_be_mended(failure: Exception) -> bool:
    if isinstance(failure, MoodstreamError) or (isinstance(failure, OSError) and failure.filename):
        return True
    from schemas.bundle import BundleError  # late: only a failure pays for the import

    return isinstance(failure, BundleError)


def _sentence(failure: Exception) -> str:
    if isinstance(failure, OSError):
        return f"{failure.filename}: {failure.strerror}"
    return str(failure) or type(failure).__name__


def _say(who: str, message: str) -> None:
    line = "; ".join(part.strip() for part in message.splitlines() if part.strip())
    click.echo(f"{who}: {line}", err=True)


@click.command(
    "moodstream",
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="moodstream", prog_name="moodstream")
def main() -> None:
    """Hear your customers as they speak.

    Reviews and service chats come in by Kafka; every text is cleaned, freed of personal data and scored for sentiment
    and anger; the angry ones become alerts, all of them rows in PostgreSQL.

    \b
    See it run:      moodstream demo
    Score a file:    moodstream score -i texts.jsonl
    Stream a file:   moodstream up && moodstream init && moodstream worker &
                     moodstream publish reviews.csv.gz --topic raw.reviews
    """
