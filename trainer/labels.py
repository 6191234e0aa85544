"""What people said of texts that we scored: labels and star ratings from PostgreSQL, as of a moment.

The same moment gives the same rows: a label given or a text scored later is not seen, and a correction made later has
not happened. A label that reaches PostgreSQL late, after a turn read the moment it was given at, is learned by the next
turn; it does not count among the new ones that make a turn due.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from stream_app.errors import SetupError
from stream_app.text.language import encoder_language
from stream_app.text.model_input import CONTEXT_TURNS, TEXT_VERSION, from_prepared
from trainer.database import Database
from trainer.rows import Row, group_of, text_key

LABEL_WEIGHT = 3.0
"""Beside 1.0 of the replayed public sets: one's own customers are few there and count most here."""
RATING_WEIGHT = 0.3
"""Stars are given to a product, and half of the three-star reviews are no neutral texts."""
RATINGS_EACH = 5_000
"""The newest of each mood: shops are full of five stars."""
RATINGS_DAYS = 90  # before the moment; reads so many partitions and no more

_MOODS = {"negative": 0, "neutral": 1, "positive": 2}
_STARS = {0: (1, 2), 1: (3,), 2: (4, 5)}

_TEXT = "s.event_id, s.event_time, s.source, s.customer, s.text, s.language, s.text_version, s.conversation_id, s.side"

# As in v_label: a label may answer one question and leave the other open; the latest answer to each counts.
_ANSWERS = """
SELECT event_id,
       (array_agg(event_time ORDER BY given_at DESC, label_id DESC))[1] AS event_time,
       max(given_at) AS given_at,
       (array_agg(sentiment ORDER BY given_at DESC, label_id DESC)
           FILTER (WHERE sentiment IS NOT NULL))[1] AS sentiment,
       (array_agg(angry ORDER BY given_at DESC, label_id DESC)
           FILTER (WHERE angry IS NOT NULL))[1] AS angry
  FROM label
 WHERE given_at <= :as_of
 GROUP BY event_id
"""

# The bounds in time let PostgreSQL read the partitions of a few days for each turn, and not all of them.
_LABELLED = f"""
WITH answer AS ({_ANSWERS})
SELECT {_TEXT}, answer.sentiment, answer.angry, answer.given_at, earlier.turns
  FROM answer
  JOIN sentiment s ON s.event_id = answer.event_id AND s.event_time = answer.event_time
  LEFT JOIN LATERAL (
       SELECT array_agg(turn_text ORDER BY turn) AS turns
         FROM (SELECT c.turn, c.text AS turn_text
                 FROM sentiment c
                WHERE c.conversation_id = s.conversation_id
                  AND c.event_time BETWEEN s.event_time - interval '3 days' AND s.event_time + interval '1 hour'
                  AND c.turn < s.turn AND c.text <> '' AND c.scored_at <= :as_of
                  AND c.text_version = s.text_version
                ORDER BY c.turn DESC
                LIMIT :turns) AS last
       ) AS earlier ON true
 WHERE s.text <> '' AND s.scored_at <= :as_of
 ORDER BY s.event_id, s.event_time
"""

_RATED = f"""
SELECT {_TEXT}, s.rating
  FROM sentiment s
 WHERE s.source = 'review' AND s.rating = ANY(:stars) AND s.text <> '' AND s.text_version = :text_version
   AND s.event_time BETWEEN :since AND :as_of AND s.scored_at <= :as_of
   AND NOT EXISTS (SELECT FROM label WHERE label.event_id = s.event_id AND label.given_at <= :as_of)
 ORDER BY s.event_time DESC, s.event_id
 LIMIT :most
"""


class Extract(NamedTuple):
    """Labelled rows as of a moment, in a fixed order."""

    rows: list[Row]
    labels: int
    ratings: int
    other_version: int
    """Labelled texts left out, because they were prepared by another version of `stream_app.text`."""
    renewed: frozenset[str]
    """Encoders ("zh", "en") for which a label was given after `since`."""


def extract(database: Database, as_of: datetime, since: datetime | None = None) -> Extract:
    """Labels and ratings up to `as_of`. Where a person labelled a text, its stars say nothing more.

    Raises SetupError when there are labels and every one is of a text of another text version.
    """
    with database.transaction() as connection:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found = connection.execute(sa.text(_LABELLED), {"as_of": as_of, "turns": CONTEXT_TURNS}).mappings().all()
        rated = [row for mood in _STARS for row in _rated(connection, as_of, mood)]
    usable = [record for record in found if record["text_version"] == TEXT_VERSION]
    if found and not usable:
        versions = ", ".join(sorted({str(record["text_version"]) for record in found}))
        raise SetupError(
            f"all {len(found)} labelled texts were prepared by text version {versions}, this program prepares version"
            f" {TEXT_VERSION}: label texts scored since the upgrade"
        )
    labelled = [(_labelled(record), record["given_at"]) for record in usable]
    renewed = frozenset(encoder_language(*row.input) for row, given in labelled if since is None or given > since)
    rows = [row for row, _ in labelled]
    return Extract([*rows, *rated], len(rows), len(rated), len(found) - len(usable), renewed)


def count_labels(database: Database, as_of: datetime, since: datetime | None) -> int:
    """Events with a label given after `since` and up to `as_of`."""
    statement = "SELECT count(DISTINCT event_id) FROM label WHERE given_at <= :as_of"
    statement += " AND given_at > :since" if since else ""
    with database.transaction() as connection:
        return int(connection.execute(sa.text(statement), {"as_of": as_of, "since": since}).scalar_one())


def _rated(connection: sa.Connection, as_of: datetime, mood: int) -> Iterator[Row]:
    limits = {"as_of": as_of, "since": as_of - timedelta(days=RATINGS_DAYS), "text_version": TEXT_VERSION}
    found = connection.execute(sa.text(_RATED), limits | {"stars": list(_STARS[mood]), "most": RATINGS_EACH})
    for record in found.mappings():
        yield _row(record, "stars", mood, None, RATING_WEIGHT)


def _labelled(record: Any) -> Row:
    mood = None if record["sentiment"] is None else _MOODS[record["sentiment"]]
    anger = None if record["angry"] is None else float(record["angry"])
    turns = record["turns"] or ()
    return _row(record, f"labels_{record['source']}", mood, anger, LABEL_WEIGHT, turns)


def _row(record: Any, source: str, mood: int | None, anger: float | None, weight: float, turns: Any = ()) -> Row:
    at = record["event_time"].astimezone(UTC).isoformat(timespec="seconds")
    return Row(
        source,
        text_key(record["text"]),
        from_prepared(record["text"], turns),  # stored text is prepared text
        mood,
        anger,
        weight=weight,
        role=record["side"] or "",
        group=group_of(customer=record["customer"], conversation=record["conversation_id"] or ""),
        at=at,
        language=record["language"],
        channel=record["source"],
    )
