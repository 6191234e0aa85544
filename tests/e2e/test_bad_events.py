"""One bad event costs itself: each becomes exactly one dead letter that says what, where and why."""

import json
from pathlib import Path

import pytest

from schemas.codec import decode
from schemas.events import DeadLetter
from schemas.topics import DEAD_LETTERS, RAW_BYTES, REVIEWS
from stream_app.flow.kafka.publisher import Publisher
from stream_app.flow.kafka.reader import read
from stream_app.settings import Settings
from tests.conftest import wait_until
from tests.e2e.test_one_review import REVIEW, rows
from tests.worker import worker

pytestmark = pytest.mark.services

COMPRESSIONS = ["lz4", "zstd", "snappy", "gzip", "none"]
BAD = {
    "cut off": b'{"type": "review_posted", "ver',
    "not JSON": b"GET / HTTP/1.1",
    "a list": b"[1, 2]",
    "text is a number": json.dumps(REVIEW | {"text": 7}).encode(),
    "text is null": json.dumps(REVIEW | {"text": None}).encode(),
    "no event_id": json.dumps({name: value for name, value in REVIEW.items() if name != "event_id"}).encode(),
    "version 99": json.dumps(REVIEW | {"version": 99}).encode(),
    "1970": json.dumps(REVIEW | {"event_time": "1970-01-01T00:00:00Z"}).encode(),
    "2099": json.dumps(REVIEW | {"event_time": "2099-01-01T00:00:00Z"}).encode(),
    "not UTF-8": json.dumps(REVIEW, ensure_ascii=False).encode("gbk"),
    "a NUL in an id": json.dumps(REVIEW | {"product_id": "P\0"}).encode(),
    "zero bytes": b"",
    "null": None,
    "nested without end": b'{"a":' * 100_000,
    "a type nested too deeply": b'{"type":' + b"[" * 2000 + b"]" * 2000 + b"}",
}
ODD_BUT_GOOD = {
    "empty": "",
    "1 MB": "太差了！" * 90_000,
    "a NUL in the text": "不\0好",
    "beyond the basic plane": "😡😡",
}


def test_each_bad_event_becomes_one_dead_letter_and_its_neighbours_go_on(settings: Settings, tmp_path: Path) -> None:
    for compression in COMPRESSIONS:
        publisher = Publisher(settings, compression=compression)
        for payload in BAD.values():
            publisher.send(REVIEWS.name, b"customer-17", payload)
        for name, text in ODD_BUT_GOOD.items():
            event = json.dumps(REVIEW | {"event_id": f"{name}, {compression}", "text": text}, ensure_ascii=False)
            assert len(event.encode()) < RAW_BYTES
            publisher.send(REVIEWS.name, b"customer-17", event.encode())
        publisher.flush()
    bad, good = len(BAD) * len(COMPRESSIONS), len(ODD_BUT_GOOD) * len(COMPRESSIONS)

    with worker(settings, tmp_path, roles="score,record"):
        count = "SELECT (SELECT count(*) FROM sentiment), (SELECT count(*) FROM dead_letter)"
        wait_until(lambda: rows(settings, count) == [(good, bad)], what=f"{good} rows and {bad} dead letters")

    letters = [decode(DEAD_LETTERS.name, one.value) for one in read(settings, [DEAD_LETTERS.name]) if one]
    kept = [letter for letter in letters if isinstance(letter, DeadLetter)]
    assert len({letter.raw for letter in kept}) == len(kept) == bad
    assert all(letter.where.startswith("$") and letter.detail for letter in kept)
    assert sorted(one.payload or b"" for one in kept) == sorted([p or b"" for p in BAD.values()] * len(COMPRESSIONS))
    flags: dict[str, list[str]] = dict(rows(settings, "SELECT event_id, flags FROM sentiment"))
    for compression in COMPRESSIONS:
        assert "empty" in flags[f"empty, {compression}"]
        assert "truncated" in flags[f"1 MB, {compression}"]
