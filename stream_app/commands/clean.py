"""`moodstream clean`: texts as the model sees them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from stream_app.commands import texts
from stream_app.commands.texts import Answer, Item


@click.command("clean")
@texts.input_option
@texts.output_option
def command(source: str, target: str | None) -> None:
    """Clean texts and take personal data out.

    In: JSON Lines {"id","text"}. Out, in the same order: id, text (cleaned, personal data as placeholders such as
    <phone>), flags (what was found) and language (zh, en, mixed, other). A line that cannot be read gets
    {"id","line","error"} in its place, and the exit code is 1.

    \b
    echo '{"id": 1, "text": "<b>Call me</b> at 138 0013 8000"}' | moodstream clean
    """
    from stream_app.text.model_input import prepare

    def work(items: Sequence[tuple[int, Item]]) -> list[Answer]:
        prepared = [(item.id, prepare(item.text)) for _, item in items]
        return [
            {"id": name, "text": text, "flags": flags, "language": language}
            for name, (text, flags, language) in prepared
        ]

    texts.run("clean", source, target, work)
