"""What a model sees. The stream, the `score` command and the trainer build it here and nowhere else."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from stream_app.text.clean import clean
from stream_app.text.language import guess
from stream_app.text.redact import redact

# Part of every score and of every model's manifest: a model is only as good as the text it was trained on.
# Raise it with any change of what `prepare` or `model_input` return.
TEXT_VERSION: Final[int] = 1

# Two turns back tell whether "行吧" is peace or resignation; each further one costs the tokens of a whole text.
CONTEXT_TURNS: Final = 2
BETWEEN_TURNS: Final = " / "


class Prepared(NamedTuple):
    """A text as it may be stored, shown and scored.

    `flags`: those of `clean.FLAGS`, then `redacted:<kind>` for each kind of personal data taken out; sorted.
    `language`: zh, en, mixed or other.
    """

    text: str
    flags: tuple[str, ...]
    language: str


class ModelInput(NamedTuple):
    """One text and what was said before it (newest last, None for a review or a first turn): BERT's two segments."""

    text: str
    context: str | None


def prepare(raw: str) -> Prepared:
    """1. clean  2. take personal data out  3. tell the language. Never raises; `empty` in flags: nothing to score."""
    text, flags = clean(raw)
    text, kinds = redact(text)
    if flags or kinds:
        flags = tuple(sorted((*flags, *(f"redacted:{kind}" for kind in kinds))))
    return Prepared(text, flags, guess(text))


def model_input(raw: str, context: Sequence[str] = ()) -> ModelInput:
    """From raw texts: this turn and the turns before it, oldest first."""
    earlier: list[str] = []
    for turn in reversed(context):
        # an empty turn (a lone image) must not push a real one out
        if text := prepare(turn).text:
            earlier.insert(0, text)
        if len(earlier) == CONTEXT_TURNS:
            break
    return from_prepared(prepare(raw).text, earlier)


def from_prepared(text: str, context: Sequence[str] = ()) -> ModelInput:
    """From texts that went through `prepare` already, oldest first: no work but joining."""
    turns = [turn for turn in context if turn][-CONTEXT_TURNS:]
    return ModelInput(text, BETWEEN_TURNS.join(turns) if turns else None)
