"""Labelled files become rows, and what is wrong with one is a line that says where."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stream_app.text.model_input import model_input
from tests.unit.labelled_files import WRITERS, as_csv, as_json_lines, as_parquet, write
from trainer.corpus import read_folder, read_labels, read_own_turns, read_source
from trainer.extract import Labelled, read_labelled
from trainer.files import DataError, files_in
from trainer.rows import Row
from trainer.sources import Source

REVIEWS: list[dict[str, str]] = [
    {"id": "r-1", "text": "质量很好，物流也快", "sentiment": "pos", "anger": "0", "customer": "c7"},
    {"id": "r-2", "text": "Broken on arrival,\nnobody answers!", "sentiment": "neg", "anger": "1", "customer": "c8"},
    {"id": "r-3", "text": "Where is my order?", "sentiment": "neu", "anger": "", "customer": ""},
]


def read(path: Path, labels: Mapping[str, str] | None = None) -> list[Labelled]:
    return list(read_labelled(path, labels))


def rows(path: Path, source: Source | None = None, by_hand: dict[int, Any] | None = None) -> list[Row]:
    return [row for row, _ in read_source(path, source or Source("x", 10, "none"), by_hand or {})]


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    line = str(caught.value)
    assert line.startswith(str(path))
    return line.removeprefix(str(path))


@pytest.mark.parametrize("ending", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    found = rows(write(tmp_path / f"reviews{ending}", REVIEWS))
    assert [(row.sentiment, row.anger, row.group, row.row, row.language) for row in found] == [
        (2, 0.0, "customer:c7", 1, "zh"),
        (0, 1.0, "customer:c8", 2, "en"),
        (1, None, "", 3, "en"),
    ]
    assert [row.input for row in found] == [model_input(record["text"]) for record in REVIEWS]


def test_columns_are_known_by_their_other_names(tmp_path: Path) -> None:
    record = {
        "review_body": "fine", "star_rating": 4, "user_id": 12, "asin": "B01", "lang": "EN", "session_id": "s1",
        "timestamp": "2025-03-01T23:30:00-02:00", "side": "买家", "context": ["hello", " "], "weight": 0.5, "x": {},
    }  # fmt: skip
    (row,) = rows(write(tmp_path / "a.jsonl", [record]))
    assert (row.sentiment, row.role, row.language, row.weight) == (2, "customer", "en", 0.5)
    assert row.at == "2025-03-02T01:30:00+00:00"
    assert row.group.split("\n") == ["customer:12", "conversation:x/s1", "product:B01@2025-03-02"]
    assert row.input.context == "hello"


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"sentiment": "angry"}, "row 1, column sentiment: unknown label 'angry'; known are neg, neu, pos"),
        ({"label": 1}, "row 1, column label: unknown label '1'"),
        ({"rating": 6}, "row 1, column rating: '6' is not a number of stars"),
        ({"anger": "2"}, "row 1, column anger: unknown label '2'; known are 0, 0.5 and 1"),
        ({"time": "yesterday"}, "row 1, column time: 'yesterday' is not a time such as"),
        ({"time": 17}, "row 1, column time: holds a number where a time belongs"),
        ({"weight": -1}, "row 1, column weight: '-1' is not a number above 0"),
        ({"text": 12}, "row 1, column text: holds a number where other rows hold text"),
        ({"customer": ["a"]}, "row 1, column customer: holds a list where other rows hold text"),
        ({"sentiment": {"is": "neg"}}, "row 1, column sentiment: holds a JSON object"),
        ({"context": [1]}, "row 1, column context: holds a list"),
    ],
)
def test_a_value_nobody_knows_is_named_with_its_row_and_column(
    tmp_path: Path, record: dict[str, Any], says: str
) -> None:
    assert says in refusal(write(tmp_path / "a.jsonl", [{"text": "fine"} | record]))


def test_a_files_own_labels_can_be_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [{"text": "fine", "label": "1"}, {"text": "bad", "label": "0"}])
    assert [found.sentiment for found in read(path, {"0": "neg", "1": "pos"})] == [2, 0]


@pytest.mark.parametrize("ending", WRITERS)
def test_a_file_without_text_is_refused(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a{ending}", [{"words": "fine", "sentiment": "pos"}])
    assert "no column holds the text; it is called text or" in refusal(path)
    path = write(tmp_path / f"b{ending}", [{"text": " ", "sentiment": "pos"}])
    assert refusal(path) == ", column text: no row has text"


def test_rows_without_text_are_left_out(tmp_path: Path) -> None:
    assert len(read(write(tmp_path / "a.csv", [{"text": "fine"}, {"text": ""}]))) == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", as_csv(REVIEWS) + "r-4,太差了,neg,1,\n".encode("gb18030"), "row 5, column text: not UTF-8"),
        ("a.csv", "text\n好\n".encode("utf-16"), "row 1: not UTF-8"),
        ("a.csv", b"text,sentiment\nfine,pos,extra\n", "row 2: 3 cells where the head has 2"),
        ("a.csv", b"text,sentiment\nfine\n", "row 2: 1 cells where the head has 2"),
        ("a.csv", b'text,sentiment\n"never closed,pos\nfine,pos\n', "row 2: 1 cells where the head has 2"),
        ("a.csv", b'text,sentiment\n"' + b"x" * (1 << 21), "row 2: is not CSV (field larger than field limit"),
        ("a.csv", b"text,text\n", "row 1, column text: the head names this column twice"),
        ("a.csv", b"", "no column holds the text"),
        ("a.jsonl", b'{"text": "fine"}\n\n{"text": "fi\n', "row 3: malformed JSON"),
        ("a.jsonl", b'{"text": "fine"}\n["fine"]\n', "row 2: a JSON object is needed"),
        ("a.jsonl", b'{"text": "\xb2\xee"}\n', "row 1: not UTF-8"),
        ("a.csv.gz", as_csv(REVIEWS), "is not a whole gzip file"),
        ("a.csv.gz", gzip.compress(as_csv(REVIEWS))[:-12], "is not a whole gzip file"),
        ("a.parquet", as_csv(REVIEWS), "is not a whole Parquet file"),
        ("a.parquet", as_parquet(REVIEWS)[:-50], "is not a whole Parquet file"),
    ],
)
def test_a_damaged_file_is_refused_at_its_row(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert says in refusal(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + as_csv(REVIEWS))
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + as_json_lines(REVIEWS))
    assert len(read(tmp_path / "a.csv")) == len(read(tmp_path / "a.jsonl")) == 3


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", REVIEWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'moodstream[train]'" in refusal(path)


def test_a_folder_must_have_labelled_files_and_each_name_once(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(DataError, match="has no labelled file"):
        files_in(tmp_path)
    write(tmp_path / "a.csv", REVIEWS)
    write(tmp_path / "a.jsonl", REVIEWS)
    with pytest.raises(DataError, match=r"a.csv and a.jsonl would be one source"):
        list(read_folder(tmp_path))


def test_a_dialogue_gives_half_of_its_turns_the_turns_before(tmp_path: Path) -> None:
    turns = [{"id": f"d-{n}", "text": f"turn {n}", "dialogue": f"{n // 50}"} for n in range(100)]
    found = rows(write(tmp_path / "a.csv", turns), Source("x", 10, "none", dialogue=True))
    with_context = {row.row: row.input.context for row in found if row.input.context}
    assert 30 < len(with_context) < 70
    assert all(context == f"turn {n - 2} / turn {n - 1}" for n, context in with_context.items() if n % 50 > 1)
    assert with_context.get(50) is None, "another dialogue"


def test_service_chat_is_held_back_by_conversation_and_plain_turns_are_trained_on(tmp_path: Path) -> None:
    turns = [{"text": f"请问第{n}号订单发货了吗", "session": f"{n // 5}", "id": f"c-{n}"} for n in range(100)]
    turns += [{"text": f"第{n}次了，气死我了", "session": f"{n}", "id": f"c-{100 + n}"} for n in range(20)]
    path = write(tmp_path / "a.csv", turns)
    source = Source("x", 10, "none", service_chat=True, dialogue=True)
    sided = list(read_source(path, source, {3: (0, 1.0), 4: (None, None)}))
    assert len({(row.group, held) for row, held in sided}) == 20, "a conversation is on one side"
    by_number = {row.row: (row, held) for row, held in sided}
    assert (by_number[3][0].sentiment, by_number[3][0].anger) == (0, 1.0), "a reader's word"
    assert not by_number[4][0].labelled, "a reader hesitated"
    for number in range(5, 120):
        row, held = by_number[number]
        assert row.labelled == (number < 100 and not held)


def test_own_turns_say_both_labels(tmp_path: Path) -> None:
    turn = {"lang": "zh", "text": "行吧", "sentiment": "neg", "anger": 0.5, "kind": "context", "context": ["请您等"]}
    write(tmp_path / "some.jsonl", [turn])
    (row,) = read_own_turns(tmp_path)
    assert (row.source, row.sentiment, row.anger, row.input) == ("own_turns", 0, 0.5, model_input("行吧", ["请您等"]))
    write(tmp_path / "some.jsonl", [turn | {"anger": None}])
    with pytest.raises(DataError, match="row 1: an own turn has both"):
        list(read_own_turns(tmp_path))


def test_read_labels_name_their_source_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "chat.tsv"
    path.write_text("# zh_chat: read by one of us\n12\tneg\t0.5\n13\tskip\t0\n", encoding="utf-8")
    assert read_labels(tmp_path) == {"zh_chat": {12: (0, 0.5), 13: (None, None)}}
    for content, says in {
        "12\tneg\t0\n": "row 1: the first line names the source",
        "# x: y\n12 neg 0\n": "row 2: row number, neg|neu",
        "# x: y\n12\tbad\t0\n": "row 2, column 2: unknown label 'bad'",
        "# x: y\n12\tneg\t3\n": "row 2, column 3: unknown label '3'",
    }.items():
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError) as caught:
            read_labels(tmp_path)
        assert says in str(caught.value)


def test_the_projects_own_labels_can_be_read() -> None:
    assert len(list(read_own_turns())) > 600
    assert all(found for found in read_labels().values())
