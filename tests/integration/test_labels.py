"""What the trainer reads: labels and stars as of a moment, with the words and the context that the model was given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from schemas.events import Event, LabelGiven, SentimentScored
from stream_app.errors import SetupError
from stream_app.recording.record import RecordStage
from stream_app.text.model_input import TEXT_VERSION
from tests.integration.conftest import Login
from tests.integration.sql import as_login, query
from tests.recorded_events import on
from tests.scored_events import chat, minutes, review
from trainer.database import Database
from trainer.labels import LABEL_WEIGHT, RATING_WEIGHT, count_labels, extract
from trainer.rows import Row

pytestmark = pytest.mark.services

Record = Callable[..., None]


@pytest.fixture
def record(stage: RecordStage) -> Record:
    """Into the tables, as the worker would."""
    places = {"sentiment": 0, "labels": 0}

    def settle(*events: Event) -> None:
        for event in events:
            topic = "labels" if isinstance(event, LabelGiven) else "sentiment"
            stage.settle([on(topic, event, places[topic])])
            places[topic] += 1

    return settle


def label(event: SentimentScored, at: float, label_id: str = "", **answers: object) -> LabelGiven:
    return LabelGiven(
        label_id=label_id or f"{event.event_id}-{at}",
        event_id=event.event_id,
        event_time=event.event_time,
        given_at=minutes(at),
        given_by="dana",
        origin="console",
        **answers,  # type: ignore[arg-type]
    )


def rows(url: str, at: float) -> list[Row]:
    return extract(Database(url), minutes(at)).rows


LAMP = replace(review("lamp", 0.1, text="the lamp is dim"), customer="carol", text_version=TEXT_VERSION)


def test_a_label_becomes_a_row_with_the_text_as_it_was_scored(migrated: str, record: Record) -> None:
    masked = replace(LAMP, text="call me at [phone], 太差了", language="mixed")
    record(masked, label(masked, 10, sentiment="negative", angry=True))

    [row] = rows(migrated, 20)

    assert row.input == ("call me at [phone], 太差了", None)  # stored text is prepared: nothing is done to it again
    assert (row.sentiment, row.anger, row.weight) == (0, 1.0, LABEL_WEIGHT)
    assert (row.source, row.group, row.language, row.channel) == ("labels_review", "customer:carol", "mixed", "review")
    assert row.at == "2025-06-01T12:00:00+00:00"


def test_a_label_given_later_has_not_been_given(migrated: str, record: Record) -> None:
    record(LAMP, label(LAMP, 10, sentiment="negative"))
    assert rows(migrated, 9) == []
    assert len(rows(migrated, 10)) == 1


def test_a_correction_counts_from_the_moment_it_is_made(migrated: str, record: Record) -> None:
    record(LAMP, label(LAMP, 10, sentiment="negative"), label(LAMP, 30, sentiment="neutral"))
    assert [row.sentiment for row in rows(migrated, 29)] == [0]
    assert [row.sentiment for row in rows(migrated, 30)] == [1]


def test_the_same_moment_gives_the_same_rows_whatever_came_since(migrated: str, record: Record) -> None:
    record(LAMP, label(LAMP, 10, sentiment="negative"))
    before = rows(migrated, 20)
    later = replace(review("later", 0.1, minutes(30)), rating=5, text_version=TEXT_VERSION)
    record(label(LAMP, 30, sentiment="positive"), later, label(later, 40, sentiment="positive"))
    assert rows(migrated, 20) == before


def test_each_question_has_its_own_latest_answer(migrated: str, record: Record) -> None:
    record(LAMP, label(LAMP, 10, sentiment="negative", angry=False), label(LAMP, 20, angry=True))
    [row] = rows(migrated, 30)
    assert (row.sentiment, row.anger) == (0, 1.0)


def test_a_question_left_open_stays_open(migrated: str, record: Record) -> None:
    record(LAMP, label(LAMP, 10, angry=False))
    [row] = rows(migrated, 30)
    assert (row.sentiment, row.anger) == (None, 0.0)


def test_two_labels_in_one_millisecond_have_one_winner(migrated: str, record: Record) -> None:
    record(LAMP, label(LAMP, 10, "b", sentiment="positive"), label(LAMP, 10, "a", sentiment="negative"))
    assert [row.sentiment for row in rows(migrated, 30)] == [2]


def turns(*said: tuple[int, str, str]) -> list[SentimentScored]:
    return [
        replace(
            chat(f"turn-{turn}", 0.1, minutes(turn), side=side, text=text),  # type: ignore[arg-type]
            turn=turn,
            text_version=TEXT_VERSION,
        )
        for turn, side, text in said
    ]


def test_a_chat_turn_comes_with_the_two_turns_before_it(migrated: str, record: Record) -> None:
    said = turns(
        (1, "customer", "where is it"),
        (2, "agent", "let me look"),
        (3, "agent", ""),
        (4, "agent", "one moment"),
        (5, "customer", "sure"),
        (6, "agent", "here it is"),
    )
    elsewhere = replace(said[3], event_id="elsewhere", conversation_id="c-2", text="not this")
    record(*said, elsewhere, label(said[4], 10, sentiment="neutral", angry=False))

    [row] = rows(migrated, 30)

    assert row.input == ("sure", "let me look / one moment")
    assert (row.source, row.role, row.channel) == ("labels_chat", "customer", "chat")
    assert row.group == "customer:customer-1\nconversation:c-1"


def test_a_first_turn_has_no_context(migrated: str, record: Record) -> None:
    said = turns((1, "customer", "where is it"), (2, "agent", "let me look"))
    record(*said, label(said[0], 10, sentiment="neutral"))
    assert [row.input.context for row in rows(migrated, 30)] == [None]


def rated(stars: int, text: str = "fine", **changes: object) -> SentimentScored:
    return replace(review(f"stars-{stars}-{text}", 0.1, text=text), rating=stars, text_version=TEXT_VERSION, **changes)


def test_stars_are_weak_labels_of_the_mood_and_silent_about_anger(migrated: str, record: Record) -> None:
    record(*(rated(stars) for stars in (1, 2, 3, 4, 5)))
    found = {row.source: row for row in rows(migrated, 5)}
    assert sorted(row.sentiment or 0 for row in rows(migrated, 5)) == [0, 0, 1, 2, 2]
    assert (found["stars"].anger, found["stars"].weight) == (None, RATING_WEIGHT)


def test_a_persons_label_wins_over_the_stars(migrated: str, record: Record) -> None:
    five = rated(5, "thanks for nothing")
    record(five, label(five, 10, sentiment="negative"))
    assert [(row.sentiment, row.source) for row in rows(migrated, 9)] == [(2, "stars")]
    assert [(row.sentiment, row.source) for row in rows(migrated, 10)] == [(0, "labels_review")]


def test_stars_of_a_text_scored_later_are_not_seen(migrated: str, record: Record) -> None:
    record(rated(5, scored_at=minutes(20)))
    assert rows(migrated, 10) == []
    assert len(rows(migrated, 20)) == 1


def test_old_stars_are_left_where_they_are(migrated: str, record: Record) -> None:
    record(rated(5))
    assert extract(Database(migrated), minutes(0) + timedelta(days=91)).rows == []


def test_text_of_another_text_version_is_not_learned_from(migrated: str, record: Record) -> None:
    old = replace(review("old", 0.1), text_version=TEXT_VERSION + 1, rating=1)
    record(LAMP, label(LAMP, 10, sentiment="negative"), old, label(old, 10, sentiment="negative"))
    found = extract(Database(migrated), minutes(20))
    assert [row.input.text for row in found.rows] == ["the lamp is dim"]
    assert (found.labels, found.other_version) == (1, 1)


def test_nothing_but_text_of_another_version_is_refused_in_one_line(migrated: str, record: Record) -> None:
    old = replace(review("old", 0.1), text_version=TEXT_VERSION + 1)
    record(old, label(old, 10, sentiment="negative"))
    with pytest.raises(SetupError, match=rf"by text version {TEXT_VERSION + 1}, this program prepares version"):
        rows(migrated, 20)


def test_an_empty_text_and_a_label_without_its_event_teach_nothing(migrated: str, record: Record) -> None:
    record(replace(LAMP, text=""), label(LAMP, 10, sentiment="negative"), label(replace(LAMP, event_id="gone"), 10))
    assert rows(migrated, 20) == []


def test_it_counts_labelled_texts_not_clicks_since_the_last_look(migrated: str, record: Record) -> None:
    record(LAMP, label(LAMP, 10, sentiment="negative"), label(LAMP, 20, sentiment="neutral"))
    database = Database(migrated)
    assert count_labels(database, minutes(30), None) == 1
    assert count_labels(database, minutes(30), minutes(10)) == 1
    assert count_labels(database, minutes(30), minutes(20)) == 0
    assert count_labels(database, minutes(5), None) == 0


def test_it_says_which_encoders_have_something_new_to_learn(migrated: str, record: Record) -> None:
    chinese = replace(LAMP, event_id="zh", text="灯很暗")
    record(LAMP, label(LAMP, 10, sentiment="negative"), chinese, label(chinese, 20, sentiment="negative"))
    assert extract(Database(migrated), minutes(30)).renewed == {"zh", "en"}
    assert extract(Database(migrated), minutes(30), since=minutes(10)).renewed == {"zh"}
    assert extract(Database(migrated), minutes(30), since=minutes(20)).renewed == frozenset()


def test_the_trainers_rights_are_enough(login: Login, migrated: str, record: Record) -> None:
    trainer = login("IN ROLE moodstream_trainer")
    record(LAMP, label(LAMP, 10, sentiment="negative"), rated(4))
    assert len(rows(as_login(migrated, trainer), 20)) == 2


def test_an_analysts_rights_are_not_and_the_line_says_which_are(login: Login, migrated: str) -> None:
    analyst = login("IN ROLE moodstream_analyst")
    with pytest.raises(SetupError, match="GRANT moodstream_trainer"):
        rows(as_login(migrated, analyst), 20)
    assert query(migrated, "SELECT count(*) FROM training_run") == [(0,)]
