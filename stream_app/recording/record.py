"""The record stage: what was scored, raised, labelled and refused, into PostgreSQL, where analysts query.

Rows and offsets move in one transaction, so that each event is stored once whatever fails. The keys are deterministic
besides: a replay, and an event that was published twice, find their row already there.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import msgspec
import psycopg2

from schemas import topics
from stream_app import metrics
from stream_app.errors import NeighbourDown, SessionLost
from stream_app.flow.delivery import Delivery, Offsets, Settled, TopicPartition, next_offsets
from stream_app.recording import statements
from stream_app.recording.insert import Refused, insert, insert_around_faults
from stream_app.recording.postgres import COLLISIONS, NEIGHBOUR, ROW_FAULTS, Database
from stream_app.recording.rows import Row, by_table, letter, read

log = logging.getLogger("moodstream.record")

ATTEMPTS = 5
TopicIds = Callable[[Sequence[str]], Mapping[str, str]]


def unknown_ids(names: Sequence[str]) -> Mapping[str, str]:
    return {}


class Stood(NamedTuple):
    """An offset as the database holds it."""

    next_offset: int | None = None
    topic_id: str | None = None


class Outcome(NamedTuple):
    """What came of a batch's rows."""

    new: dict[str, int]
    refused: list[Refused]


class RecordStage:
    """Implements `stream_app.flow.stage.Stage`.

    `_expected` is where the database holds an offset as far as we know: from `resume_from`, or from our own last write.
    Not the batch's first offset: transaction markers, compaction and retention leave gaps in Kafka's offsets. What is
    stored follows what was read, backwards too: rows met again are found to be there, and a topic made anew loses none.

    `topic_ids` tells the ids of topics where somebody knows them: a topic made anew is then read from its beginning
    even if it has grown past the stored offset.
    """

    name = "record"
    inputs = (topics.SENTIMENT.name, topics.ALERTS.name, topics.DEAD_LETTERS.name, topics.LABELS.name)

    def __init__(self, database_url: str, group: str, topic_ids: TopicIds = unknown_ids) -> None:
        self._database = Database(database_url, f"moodstream record {group}")
        self._group = group
        self._ask_topic_ids = topic_ids
        self._topic_ids: dict[str, str] = {}
        self._expected: dict[TopicPartition, int | None] = {}
        self._in_doubt: Offsets = {}
        self._days: set[date] = set()

    def settle(self, batch: Sequence[Delivery]) -> Settled:
        """Store every delivery of the batch.

        1. Read: deliveries become rows; what is no event becomes a dead letter.
        2. Find out where the offsets stand, if we do not know: after a lost connection, or for a new partition.
        3. Make the partitions of days that have none.
        4. In one transaction move the offsets, or be refused, and insert the rows. Again after a collision; again
           around the rows at fault, which become dead letters.
        5. Remember where the offsets stand now, and count.

        Raises NeighbourDown (call again: always safe), or SessionLost when somebody else has moved an offset.
        """
        if not batch:
            return Settled(records=())
        rows = read(batch, datetime.now(UTC))  # 1
        moves = next_offsets(batch)
        self._find_out(moves)  # 2
        outcome = self._store(by_table(rows), moves)  # 3, 4
        self._expected.update(moves)  # 5
        _count(rows, outcome)
        return Settled(records=())

    def resume_from(self, assigned: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The stored offsets; 0 for a topic that was made anew since, and all of it for a database that is new.

        Never Kafka's committed offset: that one is for lag tools, and may stand where another database ended.
        Raises NeighbourDown.
        """
        self._topic_ids.update(self._ask_topic_ids(sorted({topic for topic, _ in assigned})))
        stood = self._stood()
        resume: Offsets = {}
        for place in assigned:
            offset, topic_id = stood.get(place, Stood())
            self._expected[place] = offset
            self._in_doubt.pop(place, None)
            anew = topic_id is not None and topic_id != self._topic_ids.get(place[0], topic_id)
            resume[place] = 0 if offset is None or anew else offset
        return resume

    def close(self) -> None:
        self._database.close()

    def _find_out(self, moves: Offsets) -> None:
        """A commit whose answer was lost has happened or has not: where its offsets stand tells which."""
        new = moves.keys() - self._expected.keys()
        if not (new or self._in_doubt):
            return
        stood = self._stood()
        for place in new:
            self._expected[place] = stood.get(place, Stood()).next_offset
        for place, moved_to in self._in_doubt.items():
            if stood.get(place, Stood()).next_offset == moved_to:
                self._expected[place] = moved_to
        self._in_doubt = {}

    def _stood(self) -> dict[TopicPartition, Stood]:
        with self._database.transaction() as cursor:
            cursor.execute(statements.STOOD, {"group": self._group})
            return {(topic, kpart): Stood(offset, topic_id) for topic, kpart, offset, topic_id in cursor}

    def _store(self, rows: dict[str, list[Row]], moves: Offsets) -> Outcome:
        put = _insert
        for _ in range(ATTEMPTS):
            try:
                self._make_partitions(rows.get("sentiment", ()))
                self._in_doubt = dict(moves)
                with self._database.transaction() as cursor:
                    self._move_offsets(cursor, moves)
                    outcome = put(cursor, rows, _lane(moves))
            except COLLISIONS as collision:
                log.info("collided with another writer (SQLSTATE %s), again", collision.pgcode)
                failure: psycopg2.Error = collision
            except ROW_FAULTS as fault:
                log.warning("a row is refused (SQLSTATE %s), again around it", fault.pgcode)
                put = _insert_around_faults
                self._days.clear()  # perhaps a day's partition was dropped since we looked
                failure = fault
            else:
                self._in_doubt = {}
                return outcome
        raise NeighbourDown(
            NEIGHBOUR, f"{ATTEMPTS} attempts at one batch failed, the last with SQLSTATE {failure.pgcode}"
        )

    def _make_partitions(self, rows: Sequence[Row]) -> None:
        """A day that may have none stays without: its rows are refused when they are inserted."""
        days = {row.values["event_time"].date() for row in rows}
        for day in sorted(days - self._days):
            try:
                with self._database.transaction() as cursor:
                    cursor.execute(statements.MAKE_PARTITION, {"day": day})
            except psycopg2.DataError:
                continue
            self._days.add(day)

    def _move_offsets(self, cursor: Any, moves: Offsets) -> None:
        wanted = [
            {
                "topic": topic,
                "kpart": kpart,
                "expected": self._expected[topic, kpart],
                "next": moves[topic, kpart],
                "topic_id": self._topic_ids.get(topic),
            }
            for topic, kpart in sorted(moves)
        ]
        cursor.execute(statements.MOVE, {"moves": msgspec.json.encode(wanted).decode(), "group": self._group})
        if cursor.fetchone()[0] != len(moves):
            self._in_doubt = {}
            raise SessionLost(f"another writer of group {self._group} has moved an offset since we last did")


def _insert(cursor: Any, rows: dict[str, list[Row]], kpart: int) -> Outcome:
    return Outcome({table: insert(cursor, table, rows[table], kpart) for table in rows}, [])


def _insert_around_faults(cursor: Any, rows: dict[str, list[Row]], kpart: int) -> Outcome:
    """What is refused becomes a dead letter in the same transaction."""
    new: Counter[str] = Counter()
    refused: list[Refused] = []
    for table in rows:
        stored, faults = insert_around_faults(cursor, table, rows[table], kpart)
        new[table] += stored
        refused += faults
    now = datetime.now(UTC)
    letters = [letter(row.delivery, reason, where, detail, now) for row, reason, where, detail in refused]
    new["dead_letter"] += insert(cursor, "dead_letter", letters, kpart)
    return Outcome(new, refused)


def _lane(moves: Offsets) -> int:
    """A partition of ours: rollup rows under it are no other worker's, so that none waits for another."""
    return min((kpart for topic, kpart in moves if topic == topics.SENTIMENT.name), default=0)


def _count(rows: Sequence[Row], outcome: Outcome) -> None:
    offered = Counter(row.table for row in rows)
    reasons = Counter(row.values["reason"] for row in rows if row.values.get("stage") == RecordStage.name)
    for refused in outcome.refused:
        offered[refused.row.table] -= 1
        offered["dead_letter"] += 1
        reasons[refused.reason] += 1
    for table, count in offered.items():
        metrics.ROWS.labels(table).inc(outcome.new.get(table, 0))
        metrics.ROWS_REPEATED.labels(table).inc(count - outcome.new.get(table, 0))
    for reason, count in reasons.items():
        metrics.DEAD_LETTERS.labels(RecordStage.name, reason).inc(count)
