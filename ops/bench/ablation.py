"""What each part of the recipe brings: small trainings that differ in one thing, measured on the same held-back texts.

    python -m ops.bench.ablation --data labelled --work work/ablation [--share 0.1] [--teacher zh=…/model] [NAME …]

Each is a folder in WORK; called again, finished ones are read, so another share or teacher needs another WORK. The
table goes to stdout, as Markdown.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import msgspec
import numpy as np
from safetensors.numpy import load_file, save_file

from schemas.bundle import Language
from stream_app.scoring.load import load_scorer
from trainer.base import base_model
from trainer.behaviour import examine, read_cases
from trainer.calibrate import at_most
from trainer.cv import Figures, train_and_measure
from trainer.distill import teach
from trainer.fit import rows_of
from trainer.recipe import Recipe
from trainer.rows import Row, one_in
from trainer.sources import SERVICE_CHAT
from trainer.split import Split, load_split
from trainer.student import WORDS, count_pieces, cut_student

EACH = 300  # held-back rows of a source
RECIPE = Recipe(epochs=1, learning_rate=1.5e-4, threads=1, checkpoint_every=50)
Rows = list[Row]


@dataclass(frozen=True)
class Variant:
    """One training. `reads`: whose rows it learns from and is measured on; `start`: what it is cut from."""

    reads: tuple[Language, ...]
    start: str
    change: Callable[[Rows], Rows] = list
    layers: tuple[int, ...] = ()
    vocabulary: int = 14_000
    augment: float = 0.15
    teacher: bool = False
    without_context: bool = False


def _without(*sources: str) -> Callable[[Rows], Rows]:
    return lambda rows: [row for row in rows if row.source not in sources]


def _no_context(rows: Sequence[Row]) -> Rows:
    return [row._replace(input=row.input._replace(context=None)) for row in rows]


SIX = (0, 2, 4, 7, 9, 11)
VARIANTS = {
    "zh, all of it": Variant(("zh",), "zh"),
    "without our own turns": Variant(("zh",), "zh", _without("own_turns")),
    "without service chat": Variant(("zh",), "zh", _without(*SERVICE_CHAT)),
    "without pseudo-labelled chat": Variant(("zh",), "zh", _without("zh_xs_chat_auto")),
    "without context": Variant(("zh",), "zh", _no_context, without_context=True),
    "without augmentation": Variant(("zh",), "zh", augment=0.0),
    "with a teacher": Variant(("zh",), "zh", teacher=True),
    "en, six layers": Variant(("en",), "en", layers=SIX, vocabulary=24_000),
    "en, with a teacher": Variant(("en",), "en", layers=SIX, vocabulary=24_000, teacher=True),
    "en, three layers, with a teacher": Variant(("en",), "en", layers=(0, 5, 11), vocabulary=24_000, teacher=True),
    "a: e5, both languages": Variant(("zh", "en"), "e5", layers=SIX, vocabulary=32_000),
    "c: zh with English pieces": Variant(("zh", "en"), "zh+", vocabulary=24_000),
}
SHOWN: tuple[tuple[str, str, str], ...] = (
    ("marc_zh", "accuracy_of_two", "Amazon zh"),
    ("zh_online_shopping", "accuracy_of_two", "shop zh"),
    ("zh_smp2020_ewect", "macro_f1", "Weibo F1"),
    ("zh_smp2020_ewect", "anger_auc", "Weibo anger"),
    ("zh_xs_chat_auto", "accuracy", "chat zh"),
    ("zh_jddc_chat_unlabelled", "called_negative", "service called neg."),
    ("zh_jddc_chat_unlabelled", "anger_auc", "service anger"),
    ("marc_en", "accuracy_of_two", "Amazon en"),
    ("en_airline_tweets", "macro_f1", "airline F1"),
    ("en_goemotions", "anger_auc", "GoEmotions anger"),
    ("en_emocontext_chat", "anger_auc", "chat en anger"),
    ("own_turns", "accuracy", "own turns"),
)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(VARIANTS)))
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=0.1, help="Of the training rows.")
@click.option("--e5", type=click.Path(path_type=Path), help="The folder of multilingual-e5-small.")
@click.option("--teacher", "teachers", multiple=True, metavar="LANGUAGE=FOLDER", help="Trained checkpoints.")
@click.option("--behaviour", type=click.Path(path_type=Path, exists=True), help="Behaviour cases, JSON Lines.")
def main(
    names: Sequence[str],
    data: Path,
    work: Path,
    share: float,
    e5: Path | None,
    teachers: Sequence[str],
    behaviour: Path | None,
) -> None:
    whole: Split | None = None
    if wrong := [each for each in teachers if "=" not in each]:
        raise click.BadParameter(f"{wrong[0]!r} is not LANGUAGE=FOLDER", param_hint="--teacher")
    taught_by = dict(each.split("=", 1) for each in teachers)
    cases = read_cases(behaviour) if behaviour else []
    found: dict[str, Figures] = {}
    for name in names or VARIANTS:
        variant, folder = VARIANTS[name], work / re.sub(r"\W+", "-", name)
        done = folder / "figures.json"
        if not done.exists():
            if (variant.start == "e5" and not e5) or (variant.teacher and not set(variant.reads) <= taught_by.keys()):
                continue
            whole = whole or load_split(data, seed=RECIPE.seed)
            split = _part(whole, variant, share)
            if variant.teacher:
                teacher = [Path(taught_by[variant.reads[0]])]
                split = split._replace(train=teach(teacher, split.train, work / "opinions", threads=1))
            student = _student(variant, split.train, work, folder, e5)
            recipe = replace(RECIPE, augment=variant.augment)
            figures = train_and_measure(recipe, student, split, folder)
            if cases:
                mine = [case for case in cases if case.lang in variant.reads]
                scorer = load_scorer(str(folder / "bundle"), threads=1)
                figures["behaviour"] = {"share": examine(scorer, mine).overall.share}
                scorer.close()
            figures["all"]["rows"] = len(split.train)
            (folder / "checkpoint.pt").unlink(missing_ok=True)  # twice the model's size
            fresh = done.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(figures))
            fresh.replace(done)
        found[name] = msgspec.json.decode(done.read_bytes(), type=Figures)
    click.echo(table(found))


def _part(whole: Split, variant: Variant, share: float) -> Split:
    """Every variant thins before it changes, so that what it leaves out is all that differs."""
    thin = [row for row in whole.train if one_in("ablation:" + row.key, round(1 / share))]
    read = [rows_of(language, Split(thin, whole.held)) for language in variant.reads]
    train = variant.change([row for each in read for row in each.train])
    held = at_most([row for each in read for row in each.held if row.labelled], EACH)
    return Split(train, _no_context(held) if variant.without_context else held)


def _student(variant: Variant, rows: Rows, work: Path, folder: Path, e5: Path | None) -> Path:
    """All students of one start have the vocabulary of its first one: what differs is in VARIANTS."""
    out = work / "students" / "-".join((variant.start, str(variant.vocabulary), *map(str, variant.layers)))
    if not out.exists():
        if variant.start == "e5":
            assert e5
            start = e5
        elif variant.start == "zh+":
            start = with_english(base_model("zh"), base_model("en"), rows, work / "zh-with-english")
        else:
            start = base_model("zh" if variant.start == "zh" else "en")
        texts = (text for row in rows for text in row.input if text)
        cut_student(start, out, texts, layers=variant.layers, vocabulary=variant.vocabulary)
    return out


def with_english(chinese: Path, english: Path, rows: Rows, out: Path, most: int = 9_000) -> Path:
    """The Chinese base with the English pieces that `rows` use most; each starts as the mean of its old parts."""
    from tokenizers import Tokenizer

    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(chinese, out)
    spec = json.loads((chinese / "tokenizer.json").read_bytes())
    vocabulary: dict[str, int] = spec["model"]["vocab"]
    old = Tokenizer.from_file(str(chinese / "tokenizer.json"))
    names = Tokenizer.from_file(str(english / "tokenizer.json"))
    counts = count_pieces(english / "tokenizer.json", (row.input.text for row in rows))
    weights = load_file(chinese / "model.safetensors")
    words = next(name for name in weights if name.endswith(WORDS.removeprefix("bert.")))
    made = []
    for token, _ in counts.most_common(most):
        piece = names.id_to_token(token) or ""
        if piece in vocabulary or not re.fullmatch(r"(##)?[a-z']{2,}", piece):
            continue
        parts = old.encode(piece.removeprefix("##"), add_special_tokens=False).ids
        made.append(weights[words][parts].mean(axis=0))
        vocabulary[piece] = len(weights[words]) + len(made) - 1
    weights[words] = np.concatenate([weights[words], np.stack(made)])
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
    config = json.loads((out / "config.json").read_bytes()) | {"vocab_size": len(weights[words])}
    (out / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return out


def table(found: dict[str, Figures]) -> str:
    """Percent; a cell is empty where a variant reads no text of that kind."""

    def cell(figures: Figures, source: str, figure: str) -> str:
        value = figures.get(source, {}).get(figure)
        return "" if value is None else f"{100 * value:.1f}"

    lines = [
        "| | rows | " + " | ".join(title for *_, title in SHOWN) + " | behaviour |",
        "|---" * (len(SHOWN) + 3) + "|",
    ]
    for name, figures in found.items():
        cells = [f"{figures['all']['rows']:,.0f}", *(cell(figures, source, figure) for source, figure, _ in SHOWN)]
        lines.append(f"| {name} | " + " | ".join([*cells, cell(figures, "behaviour", "share")]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
