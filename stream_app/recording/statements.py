"""The SQL that recording sends. Columns and types come from `schemas.tables`, so the two cannot drift apart.

A batch is one parameter, a JSON array that `json_to_recordset` turns into rows: as quick as COPY through this driver,
six times executemany, and no encoder of ours.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from schemas.tables import alert, dead_letter, kafka_offset, label, mood_hourly, sentiment

_dialect = pg.dialect()  # type: ignore[no-untyped-call]


def _names(columns: sa.sql.base.ReadOnlyColumnCollection[str, sa.Column[Any]]) -> str:
    return ", ".join(f'"{column.name}"' for column in columns)


def _insert(table: sa.Table) -> str:
    given = ", ".join(f'"{column.name}" {column.type.compile(dialect=_dialect)}' for column in table.columns)
    key = _names(table.primary_key.columns)
    return (
        f"INSERT INTO {table.name} ({_names(table.columns)}) "
        f"SELECT {_names(table.columns)} FROM json_to_recordset(%(rows)s) AS given({given}) "
        f"ON CONFLICT ({key}) DO NOTHING"
    )


def _counted(table: sa.Table) -> str:
    return f"WITH stored AS ({_insert(table)} RETURNING 1) SELECT count(*) FROM stored"


# The rollup counts what the insert returns, never the batch: a replay returns nothing and so counts nothing.
_SENTIMENT = f"""
WITH stored AS (
    {_insert(sentiment)}
    RETURNING event_time, product_id, category, channel, language, source, side, label, angry, score, anger
), counted AS (
    INSERT INTO mood_hourly AS mood ({_names(mood_hourly.columns)})
    SELECT date_trunc('hour', event_time, 'UTC') AS hour,
           coalesce(product_id, '') AS product, coalesce(category, '') AS category, coalesce(channel, '') AS channel,
           language, source, %(kpart)s, count(*),
           count(*) FILTER (WHERE label = 'negative'),
           count(*) FILTER (WHERE label = 'neutral'),
           count(*) FILTER (WHERE label = 'positive'),
           count(*) FILTER (WHERE angry), sum(score), sum(anger)
      FROM stored
     WHERE side IS DISTINCT FROM 'agent'
     GROUP BY 1, 2, 3, 4, 5, 6
     ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT ({_names(mood_hourly.primary_key.columns)}) DO UPDATE
       SET events    = mood.events    + excluded.events,
           negative  = mood.negative  + excluded.negative,
           neutral   = mood.neutral   + excluded.neutral,
           positive  = mood.positive  + excluded.positive,
           angry     = mood.angry     + excluded.angry,
           score_sum = mood.score_sum + excluded.score_sum,
           anger_sum = mood.anger_sum + excluded.anger_sum
)
SELECT count(*) FROM stored
"""

INSERT = {
    "sentiment": _SENTIMENT,
    "alert": _counted(alert),
    "label": _counted(label),
    "dead_letter": _counted(dead_letter),
}

# Compare-and-set: an offset moves only from where we believe it stands. NULL believes that there is none yet.
MOVE = f"""
WITH wanted AS (
    SELECT * FROM json_to_recordset(%(moves)s)
        AS wanted(topic text, kpart integer, expected bigint, next bigint, topic_id text)
), begun AS (
    INSERT INTO {kafka_offset.name} (grp, topic, kpart, next_offset, topic_id)
    SELECT %(group)s, topic, kpart, next, topic_id FROM wanted WHERE expected IS NULL
    ON CONFLICT DO NOTHING
    RETURNING 1
), moved AS (
    UPDATE {kafka_offset.name} AS stood
       SET next_offset = wanted.next, topic_id = coalesce(wanted.topic_id, stood.topic_id), moved_at = now()
      FROM wanted
     WHERE stood.grp = %(group)s AND stood.topic = wanted.topic AND stood.kpart = wanted.kpart
       AND stood.next_offset = wanted.expected
    RETURNING 1
)
SELECT (SELECT count(*) FROM begun) + (SELECT count(*) FROM moved)
"""

STOOD = f"SELECT topic, kpart, next_offset, topic_id FROM {kafka_offset.name} WHERE grp = %(group)s"

MAKE_PARTITION = "SELECT moodstream_make_partitions(%(day)s)"
