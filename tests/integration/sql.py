"""Small questions to a database, in one line of a test."""

from contextlib import closing
from typing import Any

import psycopg2


def query(url: str, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement, committed."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def count(url: str, table: str) -> int:
    return int(query(url, f"SELECT count(*) FROM {table}")[0][0])


def as_login(url: str, login: str) -> str:
    """The same database, seen by somebody else."""
    return url.replace("//postgres@", f"//{login}@")
