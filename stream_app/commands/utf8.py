"""Text from the command line that goes into events and rows: both take UTF-8 and nothing else."""

import click


def utf8(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A click callback. Bytes that were no UTF-8 arrive as half a surrogate each."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("this is not UTF-8; set your terminal to it", context, parameter) from None
    return value
