"""The HTML report of an evaluation: one file that needs nothing beside it, for light and dark screens."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stream_app.errors import SetupError
from trainer.behaviour import Behaviour
from trainer.evaluate import Evaluation, SliceFigures
from trainer.figures import Figure
from trainer.plots import confusion_plot, curves_plot, reliability_plot

TEMPLATES = Path(__file__).with_name("templates")


class Column(NamedTuple):
    title: str
    figure: str
    scale: float
    """100: shown as per cent."""
    about: str


COLUMNS = (
    Column("accuracy", "accuracy", 100, "Share of labelled texts with the right one of three moods"),
    Column("of two", "accuracy_of_two", 100, "Accuracy where the model must choose between negative and positive"),
    Column("macro F1", "macro_f1", 100, "Mean F1 of the moods that the labels know"),
    Column(
        "neutral called negative",
        "neutral_called_negative",
        100,
        "Share of texts labelled neutral that are called negative",
    ),
    Column("ECE", "calibration_error", 100, "Expected calibration error of sentiment, 15 bins"),
    Column("anger AUC", "anger_auc", 100, "How probably an angry text scores above another one"),
    Column("anger recall", "anger_recall", 100, "Share of angry texts above the threshold"),
    Column("false alarms", "anger_false_alarms", 100, "Share of texts labelled calm that are above the threshold"),
    Column("anger ECE", "anger_calibration_error", 100, "Expected calibration error of anger, 15 bins"),
)
MOOD_COLUMNS = tuple(
    Column(f"{mood} {what}", f"{mood}_{what}", 100, f"{what} of {mood}")
    for mood in ("negative", "neutral", "positive")
    for what in ("precision", "recall", "f1")
)
TILES = (
    Column("Accuracy", "accuracy", 100, "three moods"),
    Column("Macro F1", "macro_f1", 100, "three moods"),
    Column("Anger AUC", "anger_auc", 100, "angry above others"),
    Column("Anger recall", "anger_recall", 100, "at the threshold"),
    Column("Calibration error", "calibration_error", 100, "sentiment, 15 bins"),
    Column("False alarms", "false_alarms_per_1000", 1, "per 1,000 customers' turns"),
)
SHARE_COLUMNS = (
    Column("called negative", "called_negative", 100, "Share of all texts, labelled or not"),
    Column("called neutral", "called_neutral", 100, "Share of all texts, labelled or not"),
    Column("called positive", "called_positive", 100, "Share of all texts, labelled or not"),
    Column("called angry", "called_angry", 100, "Share of all texts, labelled or not"),
    Column(
        "false alarms / 1,000", "false_alarms_per_1000", 1, "Customers' turns in chat called angry, not labelled so"
    ),
)


def write_report(
    path: Path,
    evaluation: Evaluation,
    *,
    behaviour: Behaviour | None = None,
    curves: Sequence[dict[str, float]] = (),
    made: str = "",
    show_texts: bool = False,
) -> None:
    """Write the page aside, then rename it. `made`: when, in words. Without `show_texts` it holds nobody's words."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(
        page(evaluation, behaviour=behaviour, curves=curves, made=made, show_texts=show_texts), encoding="utf-8"
    )
    fresh.replace(path)


def page(
    evaluation: Evaluation,
    *,
    behaviour: Behaviour | None = None,
    curves: Sequence[dict[str, float]] = (),
    made: str = "",
    show_texts: bool = False,
) -> str:
    world = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    world.filters["image"] = _image
    world.globals.update(value=_value, interval=_interval)
    languages = list(dict.fromkeys(head.language for head in evaluation.heads))
    sources = evaluation.of("source")
    dimensions = [name for name in dict.fromkeys(part.dimension for part in evaluation.slices) if name != "all"]
    return world.get_template("evaluation.html").render(
        evaluation=evaluation,
        made=made,
        tiles=[(tile, evaluation.overall[tile.figure]) for tile in TILES if tile.figure in evaluation.overall],
        summary=[("", [*sources, evaluation.slices[0]])],
        columns=_present(COLUMNS, evaluation.slices),
        mood_columns=_present(MOOD_COLUMNS, sources),
        share_columns=_present(SHARE_COLUMNS, evaluation.slices),
        moods=[("", sources)],
        shares=[("", [*sources, evaluation.slices[0]]), ("role", evaluation.of("role"))],
        slices=[(name, evaluation.of(name)) for name in dimensions if name != "source"],
        plots=[
            (
                _LANGUAGES.get(language, language),
                [
                    (head, confusion_plot(head), reliability_plot(head))
                    for head in evaluation.heads
                    if head.language == language
                ],
            )
            for language in languages
        ],
        curves=curves_plot(curves) if curves else None,
        behaviour=behaviour,
        show_texts=show_texts,
    )


def read_curves(path: Path) -> list[dict[str, float]]:
    """The lines of a training run's metrics.jsonl. Raises SetupError with the line that is none."""
    lines = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            lines.append({key: value for key, value in json.loads(line).items() if isinstance(value, int | float)})
            lines[-1]["step"]
        except (ValueError, AttributeError, KeyError) as error:
            raise SetupError(f"{path} line {number} is no line of training metrics: {error}.") from error
    return lines


_LANGUAGES = {"zh": "Chinese", "en": "English", "mixed": "Chinese and English in one text", "other": "Other languages"}


def _present(columns: Iterable[Column], slices: Sequence[SliceFigures]) -> list[Column]:
    return [column for column in columns if any(column.figure in part.figures for part in slices)]


def _value(figure: Figure, column: Column) -> str:
    return f"{figure.value * column.scale:.1f}"


def _interval(figure: Figure, column: Column) -> str:
    return f"{figure.low * column.scale:.1f} – {figure.high * column.scale:.1f}"


def _image(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
