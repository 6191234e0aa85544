"""A data report as tables for people: in a terminal, or as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader

from trainer.report import Report

TEMPLATES = Path(__file__).with_name("templates")


class Section(NamedTuple):
    title: str
    headings: list[str]
    rows: list[list[str]]
    words: int = 1  # columns from the left that hold no numbers


def sections(report: Report) -> Iterator[Section]:
    yield Section(
        "Sources",
        ["source", "rows", "labelled", "with context", "exact copies", "near copies", "length p50", "p95"],
        [
            [s.source, *map(_number, (s.rows, s.labelled, s.with_context, s.exact, s.near, s.length_p50, s.length_p95))]
            for s in report.sources
        ],
    )
    yield Section(
        "Balance",
        ["source", "language", "neg", "neu", "pos", "angry", "annoyed", "calm", "unlabelled"],
        [
            [b.source, b.language, *map(_number, (b.neg, b.neu, b.pos, b.angry, b.annoyed, b.calm, b.unlabelled))]
            for b in report.balance
        ],
        words=2,
    )
    conflicts = report.conflicts
    yield Section(
        f"One text, several labels: of {conflicts.repeated_texts:,} repeated texts "
        f"{conflicts.in_mood:,} differ in mood, {conflicts.in_anger:,} in anger",
        ["labels of one text", "texts"],
        [[pattern, _number(texts)] for pattern, texts in conflicts.patterns.items()],
    )
    yield Section(
        "Sources of such texts",
        ["source", "texts"],
        [[source, _number(texts)] for source, texts in conflicts.by_source.items()],
    )
    leaks = report.leaks
    yield Section(
        f"Parts: {sum(report.trained.values()):,} rows trained on, {sum(report.held.values()):,} held back",
        ["source", "trained on", "held back"],
        [
            [source, _number(report.trained.get(source, 0)), _number(report.held.get(source, 0))]
            for source in dict.fromkeys((*report.trained, *report.held))
        ],
    )
    yield Section(
        "On both sides: LEAK" if leaks.any() else "On both sides: nothing",
        ["texts", "near copies", "customers, conversations, product days"],
        [[_number(leaks.texts), _number(leaks.near_duplicates), _number(leaks.groups)]],
        words=0,
    )
    if report.noise:
        yield Section(
            "Noise: how often a linear model that has not seen the row disagrees",
            ["source", "rows", "disagrees", "surely", "guessing would"],
            [
                [
                    n.source,
                    _number(n.rows),
                    *(f"{share:.1%}" for share in (n.disagrees, n.disagrees_surely, n.expected)),
                ]
                for n in report.noise
            ],
        )


def html(report: Report, title: str) -> str:
    pages = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    shown = list(sections(report))
    return pages.get_template("data_report.html").render(report=report, title=title, sections=shown)


def _number(value: int) -> str:
    return f"{value:,}"
