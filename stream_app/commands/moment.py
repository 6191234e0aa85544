"""Points in time on the command line: `10m`, `2h30m`, `3d` ago, or ISO 8601."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AGO = re.compile(r"(?:\d+[smhd])+")


class Moment(click.ParamType):
    """Becomes an aware datetime. A time without a zone is UTC, as everything moodstream prints."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if _AGO.fullmatch(value):
            parts = {_UNITS[unit]: int(count) for count, unit in re.findall(r"(\d+)([smhd])", value)}
            try:
                return datetime.now(UTC) - timedelta(**parts)
            except OverflowError:
                self.fail(f"{value!r} is before time can be counted", param, ctx)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither an age (30s, 10m, 2h, 1d) nor a time (2026-11-24T09:00:00Z)", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


MOMENT = Moment()
