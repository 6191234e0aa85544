"""`moodstream down`: the local stack stops; its data stays."""

import click

from stream_app.commands.terminal import json_option, print_json
from stream_app.local.stack import down, home


@click.command("down")
@json_option
def command(as_json: bool) -> None:
    """Stop what `moodstream up` has started.

    The data stays where it is: the next `moodstream up` goes on with it.

    \b
    moodstream down
    """
    stopped = down(home())
    if as_json:
        print_json({"stopped": stopped})
    else:
        click.echo("local stack stopped" if stopped else "no local stack was running")
