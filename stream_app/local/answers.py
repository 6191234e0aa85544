"""Three questions an analyst asks on the first day, answered by PostgreSQL about one run of the demo."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from stream_app.recording.lookup import query


class Answer(NamedTuple):
    question: str
    sql: str
    columns: list[str]
    rows: list[list[str]]


QUESTIONS = (
    (
        "Which products make customers unhappy?",
        """\
SELECT product_id, category, count(*) AS reviews,
       round(100.0 * avg((label = 'negative')::int)) AS negative_pct,
       count(*) FILTER (WHERE angry) AS angry
  FROM v_sentiment
 WHERE source = 'review' AND product_id IS NOT NULL AND event_time >= '{since}'
 GROUP BY product_id, category HAVING count(*) >= 3
 ORDER BY negative_pct DESC, reviews DESC LIMIT 5""",
    ),
    (
        "Which conversations went wrong, and how?",
        """\
SELECT conversation_id, max(anger)::numeric(3, 2) AS anger, count(*) AS turns,
       string_agg(left(text, 24), ' → ' ORDER BY turn DESC) FILTER (WHERE angry) AS angry_turns_last_first
  FROM v_sentiment
 WHERE side = 'customer' AND event_time >= '{since}'
 GROUP BY conversation_id HAVING bool_or(angry)
 ORDER BY count(*) FILTER (WHERE angry) DESC, anger DESC LIMIT 5""",
    ),
    (
        "How is the mood by channel and language?",
        """\
SELECT channel, language, count(*) AS texts,
       avg(score)::numeric(4, 2) AS mean_score,
       round(100.0 * avg(angry::int), 1) AS angry_pct
  FROM v_sentiment
 WHERE (side = 'customer' OR source = 'review') AND event_time >= '{since}'
 GROUP BY channel, language HAVING count(*) >= 3
 ORDER BY mean_score""",
    ),
)


def answers(database_url: str, since: datetime) -> list[Answer]:
    """Raises SetupError or NeighbourDown."""
    found = []
    for question, template in QUESTIONS:
        sql = template.format(since=since.isoformat(sep=" ", timespec="milliseconds"))
        columns, rows = query(database_url, sql.replace("%", "%%"), ())
        found.append(Answer(question, sql, columns, [["" if v is None else str(v) for v in row] for row in rows]))
    return found
