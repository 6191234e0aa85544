"""The trainer's way to PostgreSQL."""

from __future__ import annotations

from stream_app import database


class Database(database.Database):
    def __init__(self, url: str) -> None:
        super().__init__(url, "moodstream retrain", "GRANT moodstream_trainer to the login that trains")
