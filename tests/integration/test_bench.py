"""Every benchmark runs and prints its figures; what they are is for a quiet machine to say."""

import json

import pytest
from click.testing import CliRunner

from ops.bench.commands import bench

pytestmark = pytest.mark.services


@pytest.mark.parametrize(
    ("command", "figures"),
    [
        (
            ["flow", "--events", "4000", "--stock-events", "200"],
            {"events_per_second", "ratio", "ratio_with_text", "rss_mb_at_end"},
        ),
        (["text"], {"texts", "prepare_us"}),
        pytest.param(
            ["score", "--repeats", "1", "--texts", "64"],
            {"texts_per_second", "ratio", "max_abs_difference"},
            marks=pytest.mark.model,
        ),
        (["record", "--rows", "2000", "--batch", "500"], {"new_rows_per_second"}),
        (["alert", "--events", "2000", "--batch", "500"], {"new_events_per_second"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_benchmark_prints_its_figures_on_the_last_line(command: list[str], figures: set[str]) -> None:
    ran = CliRunner().invoke(bench, [*command, "--json"], catch_exceptions=False)

    assert ran.exit_code == 0
    printed = json.loads(ran.stdout.splitlines()[-1])
    assert figures | {"benchmark", "machine", "commit"} <= printed.keys()
    assert all(printed[figure] > 0 for figure in figures - {"max_abs_difference"})
