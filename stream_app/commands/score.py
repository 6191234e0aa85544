"""`moodstream score`: texts in, moods out, by the same code the stream scores with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from stream_app import settings as configuration
from stream_app.commands import texts
from stream_app.commands.texts import Answer, Bad, Item
from stream_app.errors import SetupError


@click.command("score")
@texts.input_option
@texts.output_option
@click.option("--model", metavar="NAME|PATH", help="default, quick, or a folder with a bundle or classifier.")
@click.option("--threads", "scoring_threads", metavar="N", help="Scoring threads.  [2]")
def command(source: str, target: str | None, model: str | None, scoring_threads: str | None) -> None:
    """Score texts for sentiment and anger.

    In: JSON Lines {"id","text"} and, for a chat turn, "context": the turns before it, a list of strings or one string
    with " ||| " between the turns. Out, in the same order: id, label, negative, neutral, positive, score (-1 to 1),
    intensity (1 to 5), anger, angry, language, text (cleaned, personal data taken out), model. A line that cannot be
    scored gets {"id","line","error"} in its place, and the exit code is 1.

    \b
    echo '{"id": 1, "text": "三天了还没发货，骗子！"}' | moodstream score
    moodstream score -i texts.jsonl.gz -o moods.jsonl
    """
    settings = configuration.load(model=model, scoring_threads=scoring_threads)
    from stream_app.model import load_model
    from stream_app.scoring.score_texts import Scored, score_texts

    scorer = load_model(settings)

    def work(items: Sequence[tuple[int, Item]]) -> list[Answer]:
        try:
            scored = score_texts(scorer, [(item.text, item.context) for _, item in items])
        except Exception as failure:
            return _one_by_one(items, failure)
        return [answer(item, one) for (_, item), one in zip(items, scored, strict=True)]

    def _one_by_one(items: Sequence[tuple[int, Item]], failure: Exception) -> list[Answer]:
        """As the stream does: a text that fails alone is at fault, unless the model fails its canary as well."""
        if len(items) > 1:
            return [result for pair in items for result in work([pair])]
        try:
            scorer.check_canary()
        except Exception as broken:
            raise SetupError(f"model {scorer.name} is broken: {broken}") from broken
        ((line, item),) = items
        return [Bad(item.id, line, f"scoring failed: {failure}")]

    def answer(item: Item, scored: Scored) -> dict[str, Any]:
        prepared, scores, judgement = scored
        return {
            "id": item.id,
            "label": judgement.label,
            "negative": scores.negative,
            "neutral": scores.neutral,
            "positive": scores.positive,
            "score": judgement.score,
            "intensity": judgement.intensity,
            "anger": scores.anger,
            "angry": judgement.angry,
            "language": prepared.language,
            "text": prepared.text,
            "model": scorer.name,
        }

    texts.run("score", source, target, work)
