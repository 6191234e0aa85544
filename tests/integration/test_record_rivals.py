"""Two record stages that both believe a partition is theirs: one is refused, and nothing is stored twice."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from stream_app.errors import SessionLost
from stream_app.recording.record import RecordStage
from tests.integration.conftest import GROUP
from tests.integration.sql import count, query
from tests.integration.stored import ROLLUP_IS_RIGHT, contents, offsets
from tests.recorded_events import reviews
from tests.scored_events import delivery, review

pytestmark = pytest.mark.services


def test_two_writers_who_race_store_everything_once(migrated: str) -> None:
    everything = reviews(600)

    def write(_: int) -> int:
        lost = 0
        with closing(RecordStage(migrated, GROUP)) as stage:
            at = 0
            while at < len(everything):
                try:
                    stage.settle(everything[at : at + 20])
                    at += 20
                except SessionLost:
                    lost += 1
                    at = stage.resume_from([("sentiment", 0)])["sentiment", 0]
        return lost

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(write, range(2))) > 0

    assert count(migrated, "sentiment") == len(everything)
    assert offsets(migrated) == {("sentiment", 0): len(everything)}
    assert query(migrated, ROLLUP_IS_RIGHT) == []


def test_a_zombie_is_refused_and_writes_nothing(migrated: str, stage: RecordStage) -> None:
    stage.settle(reviews(10))
    with closing(RecordStage(migrated, GROUP)) as heir:
        heir.resume_from([("sentiment", 0)])
        heir.settle(reviews(10, first=10))
    before = contents(migrated)

    with pytest.raises(SessionLost):
        stage.settle([*reviews(25, first=10), *reviews(5, partition=1)])

    assert contents(migrated) == before


def test_two_who_both_believe_a_partition_is_new_cannot_both_have_it(migrated: str, stage: RecordStage) -> None:
    with closing(RecordStage(migrated, GROUP)) as rival:
        assert stage.resume_from([("sentiment", 0)]) == rival.resume_from([("sentiment", 0)]) == {("sentiment", 0): 0}
        rival.settle(reviews(5))

    with pytest.raises(SessionLost):
        stage.settle(reviews(10))
    assert stage.resume_from([("sentiment", 0)]) == {("sentiment", 0): 5}
    stage.settle(reviews(5, first=5))
    assert count(migrated, "sentiment") == 10


def test_after_losing_its_session_a_writer_goes_on_from_what_is_stored(migrated: str, stage: RecordStage) -> None:
    stage.settle(reviews(10))
    query(migrated, "UPDATE kafka_offset SET next_offset = 15")  # the heir, who has left again
    with pytest.raises(SessionLost):
        stage.settle(reviews(10, first=10))

    assert stage.resume_from([("sentiment", 0)]) == {("sentiment", 0): 15}
    stage.settle(reviews(10, first=15))

    assert offsets(migrated) == {("sentiment", 0): 25}


def test_a_topic_made_anew_is_read_from_its_beginning(migrated: str) -> None:
    with closing(RecordStage(migrated, GROUP, lambda names: dict.fromkeys(names, "first"))) as stage:
        stage.resume_from([("sentiment", 0)])
        stage.settle(reviews(10))

    with closing(RecordStage(migrated, GROUP, lambda names: dict.fromkeys(names, "second"))) as stage:
        assert stage.resume_from([("sentiment", 0)]) == {("sentiment", 0): 0}
        stage.settle([delivery(review("of the new topic", 0.1), 0)])
        assert stage.resume_from([("sentiment", 0)]) == {("sentiment", 0): 1}

    assert count(migrated, "sentiment") == 11
