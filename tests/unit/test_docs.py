"""What the documentation says exists, exists; what exists is said."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
from prometheus_client import Counter, Gauge, Histogram

from schemas.codec import name_of
from schemas.events import Reason
from schemas.topics import ALL, Topic
from stream_app import metrics
from stream_app.cli import main
from stream_app.settings import PREFIX, Settings
from tests.conftest import PROJECT

README = PROJECT / "README.md"
CONTRACTS = PROJECT / "schemas" / "README.md"
RUNBOOK = PROJECT / "ops" / "runbook.md"
PAGES = [README, CONTRACTS, RUNBOOK, PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "ops" / "decisions").glob("*.md"))]


def section(page: Path, heading: str) -> str:
    """The text under a `## heading`."""
    return re.split(r"^## ", page.read_text("utf-8").split(f"\n## {heading}", 1)[1], flags=re.MULTILINE)[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of the tables in a section, without their heads."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            yield cells


@pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)
def test_the_contracts_list_every_topic_as_it_is(topic: Topic) -> None:
    listed = {cells[0].strip("`"): cells for cells in rows(section(CONTRACTS, "Topics"))}
    assert listed.keys() == {one.name for one in ALL}
    _, carries, key, partitions, kept, writers, readers = listed[topic.name]
    assert carries == ", ".join(f"`{name_of(kind)}`" for kind in topic.carries)
    assert key == topic.key
    assert int(partitions) == topic.partitions
    assert kept == (f"{topic.retention_days} days" if topic.cleanup == "delete" else "for ever, compacted")
    assert writers.removesuffix(" (¹)") == ", ".join(topic.writers)
    assert readers == ", ".join(topic.readers)


def test_the_contracts_explain_every_reason() -> None:
    assert [cells[0].strip("`") for cells in rows(section(CONTRACTS, "Dead letters"))] == list(get_args(Reason))


def test_the_story_is_seven_steps_and_each_names_files_that_exist() -> None:
    steps = re.split(r"^(?=\d\. )", section(README, "The story of one review"), flags=re.MULTILINE)[1:]
    assert [int(step.split(".")[0]) for step in steps] == [1, 2, 3, 4, 5, 6, 7]
    for step in steps:
        paths = re.findall(r"`([\w.]+/[\w./-]+)`", step)
        assert paths, step
        assert [path for path in paths if not (PROJECT / path).exists()] == []


def test_the_commands_table_lists_every_command_and_no_other() -> None:
    listed = [cells[0].strip("`").split()[0] for cells in rows(section(README, "Commands"))]
    assert sorted(listed) == sorted(main.list_commands(click.Context(main)))


def test_the_runbook_names_every_metric() -> None:
    kinds = (Counter, Gauge, Histogram)
    known = {
        f"{metric._name}_total" if isinstance(metric, Counter) else metric._name
        for metric in vars(metrics).values()
        if isinstance(metric, kinds)
    }
    assert set(re.findall(r"\bmoodstream_[a-z_]+", section(RUNBOOK, "Metrics"))) == known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_page_points_at_nothing_that_is_not_there(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {PREFIX + "CONFIG", PREFIX + "HOME"}
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", text)) <= known


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
