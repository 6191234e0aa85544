"""The commands on real services: what was published is there, can be followed, traced and replayed."""

import csv
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import BY_NAME, CHATS, DEAD_LETTERS, REVIEWS
from stream_app.flow.kafka.admin import Admin
from stream_app.flow.kafka.reader import read
from stream_app.recording.lookup import query
from stream_app.settings import Settings
from tests.conftest import wait_until
from tests.integration.commands import (
    NO_DATABASE,
    NOW,
    Run,
    at_work,
    file,
    one_line,
    review,
    rows,
    turn,
    values,
)
from tests.integration.conftest import Login

pytestmark = pytest.mark.services


# --- init, check ------------------------------------------------------------------------------------------------------


def test_init_twice_does_no_harm_and_check_is_content(run: Run) -> None:
    report = json.loads(run("init", "--json").stdout)
    assert report["topics"] == []
    outcome = run("check")
    assert outcome.exit_code == 0, outcome.output
    assert [line.split()[:3] for line in outcome.stdout.splitlines()] == [
        ["✓", "ok", name] for name in ("settings", "kafka", "postgres", "redis", "model")
    ]


def test_check_tells_what_is_missing_and_init_makes_it(run: Run, settings: Settings) -> None:
    Admin(settings).delete_topics([DEAD_LETTERS])
    outcome = run("check")
    assert one_line(outcome) == "moodstream check: 1 of 5 are not right: kafka\n"
    assert "no topic dead.letters → run `moodstream init`" in outcome.stdout
    assert "topic dead.letters: created" in run("init").stdout
    assert run("check").exit_code == 0


def test_no_right_on_the_database_is_one_line(run: Run, login: Login, settings: Settings) -> None:
    nobody = login("PASSWORD 'x'")
    server, _, name = settings.database.get_secret_value().rpartition("/")
    where = server.rpartition("@")[2]
    said = one_line(run("init", env={"MOODSTREAM_DATABASE": f"postgresql://{nobody}:x@{where}/{name}"}))
    assert "permission denied" in said


# --- publish ----------------------------------------------------------------------------------------------------------


def test_events_are_published_as_they_are(run: Run, settings: Settings, tmp_path: Path) -> None:
    odd = [
        b'{"type":"review_posted", "version":1, "customer_id":"u1","event_id":"e" }',
        b"not JSON",
        b'{"text":"\xff"}',
    ]
    outcome = run("publish", file(tmp_path, *odd), "-t", REVIEWS.name, "--json")
    assert json.loads(outcome.stdout)["published"] == 3
    assert Counter(values(settings, REVIEWS.name)) == Counter([(b"u1", odd[0]), (None, odd[1]), (None, odd[2])])


def test_a_table_becomes_rows_and_publishing_it_again_changes_nothing(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "chats.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8", newline="") as target:
        table = csv.writer(target)
        table.writerow(["text", "session", "role", "extra"])
        table.writerows([f"第{n}句", f"s-{n % 7}", "agent" if n % 2 else "customer", "x"] for n in range(500))
    with at_work(settings, "score", "record"):
        for published in (500, 1000):
            outcome = run("publish", str(path), "-t", CHATS.name, "--at", NOW)
            assert outcome.stdout.startswith("published 500 to raw.chats in ")
            wait_until(lambda: len(values(settings, "sentiment")) == published)  # noqa: B023
            wait_until(lambda: is_recorded(settings))
    assert rows(settings, "sentiment") == 500
    scored = [json.loads(value or b"") for _, value in values(settings, "sentiment")]
    assert len({event["event_id"] for event in scored}) == 500
    _, turns = query(
        settings.database.get_secret_value(),
        "SELECT conversation_id, array_agg(turn ORDER BY raw_offset) FROM sentiment GROUP BY 1",
    )
    assert all(counted == list(range(1, len(counted) + 1)) for _, counted in turns)


def is_recorded(settings: Settings) -> bool:
    """Whether the record stage has come past every sentiment event that is there now."""
    ends = {delivery.partition: delivery.offset + 1 for delivery in read(settings, ["sentiment"]) if delivery}
    url = settings.database.get_secret_value()
    _, done = query(url, "SELECT kpart, next_offset FROM kafka_offset WHERE topic = 'sentiment'")
    return all(dict(done).get(partition, 0) >= end for partition, end in ends.items())


def test_a_table_that_cannot_work_publishes_nothing(run: Run, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,stars\n1,5\n")
    said = one_line(run("publish", str(path), "-t", REVIEWS.name))
    assert "no column for text among id, stars" in said
    assert values(settings, REVIEWS.name) == []


def test_limit_and_rate(run: Run, settings: Settings, tmp_path: Path) -> None:
    path = file(tmp_path, *(review(f"r{n}", "ok") for n in range(100)))
    outcome = run("publish", path, "-t", REVIEWS.name, "--limit", "20", "--rate", "100", "--json")
    report = json.loads(outcome.stdout)
    assert report["published"] == len(values(settings, REVIEWS.name)) == 20
    assert report["seconds"] >= 0.19


def test_publish_from_stdin(run: Run, settings: Settings) -> None:
    outcome = run("publish", "-", "-t", REVIEWS.name, stdin="text\n好\n差\n".encode())
    assert outcome.stdout.startswith("published 2 ")
    assert [json.loads(value or b"")["text"] for _, value in values(settings, REVIEWS.name)].count("好") == 1


@pytest.mark.parametrize("topic", [REVIEWS.name, CHATS.name])
def test_a_missing_topic_is_one_line(run: Run, settings: Settings, tmp_path: Path, topic: str) -> None:
    Admin(settings).delete_topics([BY_NAME[topic]])
    path = file(tmp_path, b'{"type":"?","version":1}')
    assert f"has no topic {topic}: run `moodstream init`" in one_line(run("publish", path, "-t", topic))


# --- tail -------------------------------------------------------------------------------------------------------------


def test_tail_shows_every_kind_of_event(run: Run, settings: Settings, tmp_path: Path) -> None:
    events: list[Any] = [review("r-1", "骗子！！我要投诉", product_id="P-1"), review("r-2", "质量很好"), b"broken"]
    run("publish", file(tmp_path, *events), "-t", REVIEWS.name)
    with at_work(settings):
        for topic, count in (("sentiment", 2), ("alerts", 1), ("dead.letters", 1)):
            wait_until(lambda: len(values(settings, topic)) == count, what=topic)  # noqa: B023
    sentiment = run("tail", "sentiment", "--no-follow").stdout
    assert "质量很好" in sentiment
    assert "neg anger 0.9" in sentiment
    assert "P-1" in run("tail", "alerts", "--from-start", "--limit", "1").stdout
    assert "not_json" in run("tail", "dead.letters", "--since", "1h", "--no-follow").stdout
    assert "质量很好" in run("tail", "raw.reviews", "--no-follow").stdout


def test_tail_json_is_one_object_a_line_whatever_was_published(run: Run, tmp_path: Path) -> None:
    run("publish", file(tmp_path, b"\xff\xfe", review("r-1", "a"), b"[1]"), "-t", REVIEWS.name)
    found = [json.loads(line) for line in run("tail", REVIEWS.name, "--no-follow", "--json").stdout.splitlines()]
    assert len(found) == 3
    assert [event["event_id"] for event in found if "event_id" in event] == ["r-1"]
    assert {event["payload_base64"] for event in found if "payload_base64" in event} == {"//4=", "WzFd"}


def test_tail_without_anything_there_is_empty(run: Run) -> None:
    outcome = run("tail", "labels", "--no-follow")
    assert (outcome.exit_code, outcome.output) == (0, "")


# --- trace ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def story(run: Run, settings: Settings, tmp_path: Path) -> None:
    """A conversation that goes wrong and a review that is no event, scored, alerted and recorded."""
    turns = [turn("t-1", 1, "在吗"), turn("t-2", 2, "电话13800138000，骗子！！我要投诉")]
    run("publish", file(tmp_path, *turns), "-t", CHATS.name)
    run("publish", file(tmp_path, review("r-bad", "x", rating=9)), "-t", REVIEWS.name)
    with at_work(settings):
        for table, count in (("sentiment", 2), ("alert", 1), ("dead_letter", 1)):
            wait_until(lambda: rows(settings, table) == count, what=table)  # noqa: B023


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize("env", [{}, NO_DATABASE], ids=["from PostgreSQL", "from the topics"])
def test_trace_tells_an_event_from_its_position_to_its_rows(run: Run, env: dict[str, str]) -> None:
    found = json.loads(run("trace", "t-2", "--json", env=env).stdout)
    assert found["raw"]["topic"] == CHATS.name
    assert "13800138000" in found["raw_payload"]
    assert found["sentiment"]["text"] == "电话<phone>，骗子！！我要投诉"
    assert [alert["event_id"] for alert in found["alerts"]] == ["t-2"]
    assert found["rows"] == ({"sentiment": 1, "alert": 1, "dead_letter": 0} if not env else None)
    assert [hop["what"] for hop in found["hops"]] == ["happened", "arrived", "scored", "alert raised"]
    assert all(hop["after_s"] >= 0 for hop in found["hops"][2:])


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize("env", [{}, NO_DATABASE], ids=["from PostgreSQL", "from the topics"])
@pytest.mark.parametrize("by_letter", [False, True], ids=["by its event id", "by its letter's id"])
def test_trace_tells_why_an_event_was_refused(
    run: Run, env: dict[str, str], by_letter: bool, settings: Settings
) -> None:
    ((key, _),) = values(settings, DEAD_LETTERS.name)
    found = json.loads(run("trace", (key or b"").decode() if by_letter else "r-bad", "--json", env=env).stdout)
    assert (found["dead_letter"]["reason"], found["dead_letter"]["where"]) == ("invalid_field", "$.rating")
    assert found["sentiment"] is None
    assert '"r-bad"' in found["raw_payload"]


@pytest.mark.usefixtures("story")
def test_trace_is_one_readable_page(run: Run) -> None:
    page = run("trace", "t-2").stdout
    heads = [line.split()[0] for line in page.splitlines() if not line.startswith(" ")]
    assert heads == ["event", "raw", "cleaned", "scores", "alert", "rows", "times"]


def test_trace_knows_an_event_no_worker_has_come_to(run: Run, tmp_path: Path) -> None:
    run("publish", file(tmp_path, review("r-1", "ok")), "-t", REVIEWS.name)
    found = json.loads(run("trace", "r-1", "--json").stdout)
    assert found["raw"]["topic"] == REVIEWS.name
    assert found["sentiment"] is None
    assert "no worker has come to it yet" in found["notes"][0]


def test_trace_of_nothing_is_one_line(run: Run) -> None:
    assert "no event ghost" in one_line(run("trace", "ghost"))


# --- replay -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def letters(run: Run, settings: Settings, tmp_path: Path) -> list[tuple[bytes | None, bytes | None]]:
    """Three dead letters by two reasons, two of them with the same content; and what was published for them."""
    bad = review("r-bad", "x", rating=9, customer_id="u-9")
    run("publish", file(tmp_path, b"broken", bad, bad), "-t", REVIEWS.name)
    with at_work(settings, "score"):
        wait_until(lambda: len(values(settings, DEAD_LETTERS.name)) == 3)
    return values(settings, REVIEWS.name)


def test_replay_publishes_key_and_payload_again(
    run: Run, settings: Settings, letters: list[tuple[bytes | None, bytes | None]]
) -> None:
    outcome = run("replay", "--reason", "invalid_field", "--yes", "--json")
    assert json.loads(outcome.stdout) == {"letters": 1, "replayed": 1, "reasons": {"invalid_field": 1}}
    (again,) = (Counter(values(settings, REVIEWS.name)) - Counter(letters)).elements()
    assert again[0] == b"u-9"
    assert again in letters


@pytest.mark.usefixtures("letters")
def test_replay_counts_by_reason_and_asks_first(run: Run, settings: Settings) -> None:
    before = Counter(values(settings, REVIEWS.name))  # partitions are read in no order
    outcome = run("replay", "--dry-run")
    assert [line.split() for line in outcome.stdout.splitlines()[1:3]] == [
        ["invalid_field", "raw.reviews", "1"],
        ["not_json", "raw.reviews", "1"],
    ]
    assert "--yes" in one_line(run("replay"))
    assert run("replay", "--topic", CHATS.name).stdout == "no dead letters to replay\n"
    assert run("replay", "--until", "1h").stdout == "no dead letters to replay\n"
    assert Counter(values(settings, REVIEWS.name)) == before


@pytest.mark.usefixtures("letters")
def test_what_a_mended_release_can_read_is_scored_after_a_replay(run: Run, settings: Settings) -> None:
    run("replay", "--yes")
    with at_work(settings, "score"):
        wait_until(lambda: len(values(settings, DEAD_LETTERS.name)) == 5)  # still bad: one letter more for each
    assert json.loads(run("replay", "--dry-run", "--json").stdout)["letters"] == 2
