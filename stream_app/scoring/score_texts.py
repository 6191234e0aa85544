"""Raw texts in, judged scores out: the one way from text to mood, for the stream's stage and for `moodstream score`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stream_app.scoring.decisions import Judgement, judge
from stream_app.scoring.scorer import Scorer, Scores
from stream_app.text.model_input import CONTEXT_TURNS, Prepared, from_prepared, prepare

# Cleaning left nothing (a lone image, a default review): there is nothing to be in a mood about, whatever came before.
NOTHING_SAID = Scores(negative=0.0, neutral=1.0, positive=0.0, anger=0.0)


class Scored(NamedTuple):
    """One text: as it may be stored and shown, what the model says, and what that means."""

    prepared: Prepared
    scores: Scores
    judgement: Judgement


def score_texts(scorer: Scorer, items: Sequence[tuple[str, Sequence[str]]]) -> list[Scored]:
    """One `Scored` for each (raw text, raw turns before it, oldest first), in the items' order.

    1. prepare each text and the turns the model will read  2. score what has words left  3. judge.
    Raises ScoringError as `Scorer.score` does; then no item has a score.
    """
    # 1. Prepare.
    prepared = [prepare(text) for text, _ in items]
    inputs = [
        from_prepared(ready.text, _turns_before(context))
        for ready, (_, context) in zip(prepared, items, strict=True)
        if ready.text
    ]
    # 2. Score.
    answers = iter(scorer.score(inputs))
    scores = [next(answers) if ready.text else NOTHING_SAID for ready in prepared]
    # 3. Judge.
    decisions = scorer.decisions
    return [Scored(ready, score, judge(score, decisions)) for ready, score in zip(prepared, scores, strict=True)]


def _turns_before(context: Sequence[str]) -> list[str]:
    """The last turns that have words left, oldest first; those the model will not read are not prepared either."""
    turns: list[str] = []
    for raw in reversed(context):
        if text := prepare(raw).text:
            turns.append(text)
            if len(turns) == CONTEXT_TURNS:
                break
    return turns[::-1]
