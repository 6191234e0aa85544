"""Points in time on the command line."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from stream_app.commands.moment import MOMENT


@pytest.mark.parametrize(
    ("said", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("2h30m", timedelta(hours=2, minutes=30)),
        ("1d", timedelta(days=1)),
    ],
)
def test_an_age_is_before_now(said: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    assert before - ago <= MOMENT.convert(said, None, None) <= datetime.now(UTC) - ago


@pytest.mark.parametrize("said", ["2026-11-24T09:00:00Z", "2026-11-24 09:00", "2026-11-24T17:00+08:00"])
def test_a_time_without_a_zone_is_utc(said: str) -> None:
    assert MOMENT.convert(said, None, None) == datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.mark.parametrize("said", ["", "soon", "10", "10x", "-5m", "2026-13-01"])
def test_what_is_neither_is_refused_with_examples(said: str) -> None:
    with pytest.raises(click.BadParameter, match="10m"):
        MOMENT.convert(said, None, None)
