"""What a database holds of what was recorded."""

from typing import Any

from schemas import tables
from tests.integration.sql import query

ROLLUP_IS_RIGHT = """
WITH counted AS (
    SELECT date_trunc('hour', event_time, 'UTC') AS hour, coalesce(product_id, '') AS product_id, source,
           count(*) AS events, count(*) FILTER (WHERE angry) AS angry, round(sum(anger)::numeric, 6) AS anger
      FROM sentiment WHERE side IS DISTINCT FROM 'agent' GROUP BY 1, 2, 3
), rolled AS (
    SELECT hour, product_id, source, sum(events), sum(angry), round(sum(anger_sum)::numeric, 6)
      FROM v_mood_hourly GROUP BY 1, 2, 3
)
(TABLE counted EXCEPT TABLE rolled) UNION ALL (TABLE rolled EXCEPT TABLE counted)
"""


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that is stored, but for the time at which offsets moved."""
    stored = {name: query(url, f"SELECT * FROM {name} AS t ORDER BY t::text") for name in tables.metadata.tables}
    stored["kafka_offset"] = query(url, "SELECT grp, topic, kpart, next_offset FROM kafka_offset ORDER BY 1, 2, 3")
    return stored


def offsets(url: str) -> dict[tuple[str, int], int]:
    return {(topic, kpart): at for topic, kpart, at in query(url, "SELECT topic, kpart, next_offset FROM kafka_offset")}
