"""From somebody's file to events: which column is which field, what is made up, what the worker is to judge."""

import gzip
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import decode
from schemas.events import ChatMessage, ReviewPosted
from schemas.topics import CHATS, REVIEWS, Topic
from stream_app.commands import publish
from stream_app.commands.as_events import Plan, key_of
from stream_app.commands.files import LONGEST_LINE, Source
from stream_app.commands.rows import Row
from stream_app.errors import SetupError

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def plan(topic: Topic, columns: list[str], **options: Any) -> Plan:
    defaults: dict[str, Any] = {"table": "shop", "given": {}, "fixed": {}, "first_time": AT}
    return Plan(topic, columns, **defaults | options)


def made(plan: Plan, *cells: Any) -> tuple[bytes | None, dict[str, Any]]:
    key, payload = plan.event(Row(cells, repr(cells).encode()))
    return key, json.loads(payload)


def messages(
    path: Path, topic: Topic, given: dict[str, str] | None = None, at: datetime | None = AT
) -> list[tuple[bytes | None, bytes]]:
    with Source(str(path)) as source:
        found, _ = publish._messages(source, topic, given or {}, {}, at, "utf-8")
        return [(key, value) for key, value in found if value is not None]


def file(folder: Path, name: str, content: str | bytes, *, packed: bool = False) -> Path:
    raw = content.encode() if isinstance(content, str) else content
    path = folder / name
    path.write_bytes(gzip.compress(raw) if packed else raw)
    return path


# --- columns ----------------------------------------------------------------------------------------------------------


def test_usual_names_are_understood() -> None:
    columns = ["id", "lang", "comment", "Session", "role", "user", "created_at"]
    assert plan(CHATS, columns).columns == {
        "event_id": "id",
        "event_time": "created_at",
        "conversation_id": "Session",
        "side": "role",
        "text": "comment",
        "customer_id": "user",
    }


def test_a_column_named_like_the_field_wins_over_an_alias() -> None:
    assert plan(REVIEWS, ["review", "text"]).columns["text"] == "text"


def test_a_column_that_was_given_away_is_not_taken_again() -> None:
    chosen = plan(REVIEWS, ["id", "text"], given={"customer_id": "id"}).columns
    assert chosen["customer_id"] == "id"
    assert "event_id" not in chosen


@pytest.mark.parametrize(
    ("topic", "columns", "given", "said"),
    [
        (REVIEWS, ["id", "lang"], {}, "no column for text among id, lang"),
        (CHATS, ["id", "text"], {}, "no column for conversation_id and side"),
        (REVIEWS, ["id", "text"], {"mood": "id"}, "there is no field mood"),
        (REVIEWS, ["id", "text"], {"rating": "stars"}, "there is no column stars; columns are id, text"),
        (REVIEWS, [], {}, "among (none)"),
    ],
    ids=["no text", "a chat without conversations", "no such field", "no such column", "an empty table"],
)
def test_a_table_that_cannot_work_is_refused_by_name(
    topic: Topic, columns: list[str], given: dict[str, str], said: str
) -> None:
    with pytest.raises(SetupError) as refused:
        plan(topic, columns, given=given)
    assert said in str(refused.value)


def test_one_value_can_stand_for_a_column() -> None:
    talk = plan(CHATS, ["text", "session"], fixed={"side": "用户", "channel": "web"})
    _, event = made(talk, "在吗", "c1")
    assert (event["side"], event["channel"]) == ("customer", "web")


# --- values -----------------------------------------------------------------------------------------------------------


def test_a_review_is_a_valid_event_keyed_by_its_customer() -> None:
    key, payload = plan(REVIEWS, ["id", "text", "user", "stars", "sku"]).event(
        Row(["r1", "很好", "u7", "5", "P-1"], b"")
    )
    event = decode(REVIEWS.name, payload)
    assert key == b"u7"
    assert event == ReviewPosted(
        type="review_posted",
        version=1,
        event_id="r1",
        event_time=AT,
        text="很好",
        customer_id="u7",
        product_id="P-1",
        rating=5,
    )


def test_a_review_without_customer_is_keyed_by_its_id() -> None:
    key, event = made(plan(REVIEWS, ["id", "text", "user"]), "r1", "ok", "")
    assert key == b"r1"
    assert "customer_id" not in event


def test_turns_are_counted_by_conversation() -> None:
    talk = plan(CHATS, ["session", "role", "text"])
    rows = [("a", "customer", "1"), ("b", "seller", "1"), ("a", "agent", "2"), ("b", "buyer", "2"), ("a", "user", "3")]
    events = [made(talk, *row) for row in rows]
    assert [(key, event["turn"], event["side"]) for key, event in events] == [
        (b"a", 1, "customer"),
        (b"b", 1, "agent"),
        (b"a", 2, "agent"),
        (b"b", 2, "customer"),
        (b"a", 3, "customer"),
    ]


def test_a_chat_turn_is_a_valid_event() -> None:
    columns = ["id", "session", "role", "turn", "text", "context", "time"]
    cells = ["m1", "c1", "客服", "4", "您好", "在吗 ||| 有人吗", "2026-11-24 08:30:00"]
    event = decode(CHATS.name, plan(CHATS, columns).event(Row(cells, b""))[1])
    assert event == ChatMessage(
        type="chat_message",
        version=1,
        event_id="m1",
        event_time=datetime(2026, 11, 24, 8, 30, tzinfo=UTC),
        conversation_id="c1",
        side="agent",
        turn=4,
        text="您好",
        context=("在吗", "有人吗"),
    )


@pytest.mark.parametrize(
    ("cell", "rating"), [("5", 5), ("4.0", 4), (3, 3), ("0", None), ("7", None), ("pos", None), ("", None)]
)
def test_only_one_to_five_whole_stars_are_a_rating(cell: Any, rating: int | None) -> None:
    _, event = made(plan(REVIEWS, ["text", "stars"]), "x", cell)
    assert event.get("rating") == rating


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("2026-11-24T09:00:00+08:00", "2026-11-24T09:00:00.000+08:00"),
        ("2026-11-24", "2026-11-24T00:00:00.000+00:00"),
        ("1795510800", "2026-11-24T09:00:00.000+00:00"),
        (1795510800123, "2026-11-24T09:00:00.123+00:00"),
        ("", AT.isoformat(timespec="milliseconds")),
        ("yesterday", "yesterday"),
    ],
    ids=["with a zone", "a day", "seconds", "milliseconds", "none: that of the run", "unreadable: for the worker"],
)
def test_times(cell: Any, time: str) -> None:
    _, event = made(plan(REVIEWS, ["text", "date"]), "x", cell)
    assert event["event_time"] == time


def test_an_empty_text_is_published_all_the_same() -> None:
    _, event = made(plan(REVIEWS, ["id", "text"]), "r1", "")
    assert event["text"] == ""


def test_a_row_that_ends_early_is_left_to_the_worker() -> None:
    _, event = made(plan(REVIEWS, ["id", "text"]), "r1")
    assert "text" not in event


# --- files ------------------------------------------------------------------------------------------------------------

TABLE = 'id,text\n1,好\n2,"two\nlines, and ""quotes"""\n\n3,\u2028sep\n'


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("name", ["t.csv", "t.bin"], ids=["named csv", "named nothing"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "with a BOM"])
def test_csv_is_told_by_its_content(tmp_path: Path, name: str, packed: bool, mark: bytes) -> None:
    path = file(tmp_path, name, mark + TABLE.encode(), packed=packed)
    events = [json.loads(value) for _, value in messages(path, REVIEWS)]
    assert [event["text"] for event in events] == ["好", 'two\nlines, and "quotes"', "\u2028sep"]
    assert [event["event_id"] for event in events] == ["1", "2", "3"]


def test_tabs_and_windows_line_ends(tmp_path: Path) -> None:
    path = file(tmp_path, "t.tsv", "id\ttext\r\n1\ta, b\r\n")
    ((_, value),) = messages(path, REVIEWS)
    assert json.loads(value)["text"] == "a, b"


def test_another_encoding_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = file(tmp_path, "t.csv", "text\n质量很好\n".encode("gb18030"))
    with pytest.raises(SetupError, match="--encoding gb18030"):
        messages(path, REVIEWS)
    with Source(str(path)) as source:
        found, _ = publish._messages(source, REVIEWS, {}, {}, AT, "gb18030")
        assert "质量很好" in next(found)[1].decode()  # type: ignore[union-attr]


def test_a_text_of_a_megabyte_passes(tmp_path: Path) -> None:
    path = file(tmp_path, "t.csv", f"text\n{'长' * 400_000}\nshort\n")
    assert [len(json.loads(value)["text"]) for _, value in messages(path, REVIEWS)] == [400_000, 5]


def test_a_cut_off_gzip_file_is_one_sentence(tmp_path: Path) -> None:
    whole = gzip.compress(TABLE.encode())
    with pytest.raises(SetupError, match="broken gzip file"):
        messages(file(tmp_path, "t.csv.gz", whole[:-12]), REVIEWS)


def test_publishing_a_file_twice_gives_the_same_ids(tmp_path: Path) -> None:
    path = file(tmp_path, "reviews.2026.csv", "text\ngood\ngood\nbad\n")
    first, second = messages(path, REVIEWS), messages(path, REVIEWS)
    assert first == second
    ids = [json.loads(value)["event_id"] for _, value in first]
    assert len(set(ids)) == 3
    assert ids[0].startswith("reviews-1-")


def test_events_go_out_byte_for_byte_whatever_they_are(tmp_path: Path) -> None:
    lines = [
        b'{ "type":"review_posted", "version":1, "customer_id":"u1", "event_id":"e1" }',
        b'{"type":"review_posted","version":99,"event_id":"e2"}',
        b"not json at all",
        b'{"type":"review_posted","version":1,"customer_id":7,"text":"\xff"}',
        b'["an array"]',
        b'{"event_id":"e3","text":"no type"}',
    ]
    path = file(tmp_path, "events.jsonl", b"\n".join(lines) + b"\n")
    found = messages(path, REVIEWS)
    assert [value for _, value in found] == lines
    assert [key for key, _ in found] == [b"u1", b"e2", None, None, None, b"e3"]


def test_objects_that_are_no_events_become_events(tmp_path: Path) -> None:
    lines = '{"id":1,"comment":"好","stars":4}\n{"id":"2","comment":null}\nbroken\n'
    found = messages(file(tmp_path, "reviews.jsonl", lines), REVIEWS)
    first, second = (json.loads(value) for _, value in found[:2])
    assert (first["event_id"], first["text"], first["rating"]) == ("1", "好", 4)
    assert second["event_id"] == "2"
    assert "text" not in second
    assert found[2] == (None, b"broken")


def test_events_of_the_other_topic_are_refused(tmp_path: Path) -> None:
    path = file(tmp_path, "chats.jsonl", '{"type":"chat_message","version":1}\n')
    with pytest.raises(SetupError, match=r"belong on raw\.chats"):
        messages(path, REVIEWS)


def test_a_json_array_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = file(tmp_path, "all.json", '[\n {"text": "a"},\n {"text": "b"}\n]\n')
    with pytest.raises(SetupError, match="jq"):
        messages(path, REVIEWS)


def test_an_overlong_line_costs_itself_alone(tmp_path: Path) -> None:
    path = file(tmp_path, "t.jsonl", b"first\n" + b"x" * (LONGEST_LINE + 300_000) + b"\nlast")
    with Source(str(path)) as source:
        lines = [line for window in source.windows() for line in window]
    assert [len(line) for line in lines] == [5, LONGEST_LINE + 1, 4]


def test_a_pipe_is_read_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trickle(io.RawIOBase):
        """Hands out one line at a time; a reader that wants more than one must wait."""

        pieces = iter([b'{"text":"one"}\n', b'{"text":"two"}\n'])

        def read1(self, _: int) -> bytes:
            return next(self.pieces, b"")

    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": Trickle()}))
    with Source("-") as source:
        windows = source.windows()
        assert next(windows) == [b'{"text":"one"}']
        assert next(windows) == [b'{"text":"two"}']


def test_the_key_of_a_chat_is_its_conversation() -> None:
    assert key_of(CHATS, b'{"conversation_id":"c","customer_id":"u"}') == b"c"
