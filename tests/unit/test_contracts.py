"""Examples beside the schema: documentation that is run."""

import json
import re
from pathlib import Path

import pytest

from schemas import json_schema
from schemas.codec import Undecodable, decode, encode
from schemas.topics import ALL

EXAMPLES = json_schema.FOLDER.parent / "examples"
VALID = sorted(EXAMPLES.glob("*/*/valid/*.json"))
INVALID = sorted(EXAMPLES.glob("*/*/invalid/*.json"))


def topic(path: Path) -> str:
    return path.parts[-4]


def name(path: Path) -> str:
    return f"{topic(path)}: {path.stem}"


@pytest.mark.parametrize("path", VALID, ids=name)
def test_a_valid_example_is_read_and_written_back_without_loss(path: Path) -> None:
    event = decode(topic(path), path.read_bytes())

    assert decode(topic(path), encode(event)) == event
    assert {"type", "version"} <= json.loads(encode(event)).keys()


@pytest.mark.parametrize("path", INVALID, ids=name)
def test_an_invalid_example_is_refused_with_its_reason_and_place(path: Path) -> None:
    reason, place, _ = path.stem.split(".")

    with pytest.raises(Undecodable) as refused:
        decode(topic(path), path.read_bytes())

    assert refused.value.reason == reason
    assert refused.value.where == ("$" if place == "$" else f"$.{place}")
    assert refused.value.detail


def test_every_topic_has_examples_of_both_kinds() -> None:
    assert {topic(path) for path in VALID} == {topic(path) for path in INVALID} == {one.name for one in ALL}


def test_the_published_json_schema_is_what_the_code_says() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in json_schema.FOLDER.glob("*.json")}

    assert there == json_schema.documents()


def test_every_topic_names_its_writers_and_readers() -> None:
    for one in ALL:
        assert one.writers, one.name
        assert one.readers, one.name
        assert re.fullmatch(r"[a-z.]+", one.name)
