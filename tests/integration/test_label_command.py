"""`moodstream label`: an answer becomes an event, a row, and never two."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas import tables
from schemas.codec import decode
from schemas.events import LabelGiven
from schemas.topics import LABELS
from stream_app.cli import main
from stream_app.flow.kafka.reader import read
from stream_app.settings import Settings
from tests.conftest import empty_topics, wait_until
from tests.integration.commands import Run, at_work, environment, file, one_line, review
from tests.integration.conftest import Login
from tests.integration.sql import as_login, query

pytestmark = pytest.mark.services


def test_a_label_given_by_command_becomes_a_row_once(run: Run, settings: Settings, tmp_path: Path) -> None:
    url = settings.database.get_secret_value()

    def labels() -> list[tuple[object, ...]]:
        return query(url, "SELECT given_by, sentiment, angry FROM label ORDER BY given_at")

    with at_work(settings, "score", "record"):
        run("publish", file(tmp_path, review("r-1", "坏了，不好用", rating=2)), "-t", "raw.reviews")
        wait_until(lambda: query(url, "SELECT event_id FROM sentiment"), what="the event's row")
        assert query(url, "SELECT rating FROM sentiment") == [(2,)]
        for _ in range(2):
            outcome = run("label", "r-1", "-s", "neg", "--calm", "--by", "dana")
            assert outcome.exit_code == 0, outcome.output
        assert outcome.stdout.startswith("labelled r-1 negative, calm (the model said ")
        wait_until(labels, what="the label's row")
        run("label", "r-1", "-s", "neg", "--calm", "--by", "dana")
        run("label", "r-1", "--angry", "--by", "kim", "--note", "两次")
        wait_until(lambda: len(labels()) == 2, what="the second person's label")
        run("label", "r-1", "-s", "pos", "--calm", "--by", "dana")
        wait_until(lambda: len(labels()) == 3, what="a change of mind")
        run("label", "r-1", "-s", "neg", "--calm", "--by", "dana")
        wait_until(lambda: len(labels()) == 4, what="and back")

    assert labels()[0] == ("dana", "negative", False)
    assert query(url, "SELECT sentiment, angry FROM v_label") == [("negative", False)]
    sent = [decode(LABELS.name, delivery.value) for delivery in read(settings, [LABELS.name]) if delivery]
    assert len({label.label_id for label in sent if isinstance(label, LabelGiven)}) == 4


@pytest.fixture
def scored(run: Run, settings: Settings, tmp_path: Path) -> None:
    """r-1 is on its topic, and a row."""
    with at_work(settings, "score", "record"):
        run("publish", file(tmp_path, review("r-1", "坏了，不好用")), "-t", "raw.reviews")
        url = settings.database.get_secret_value()
        wait_until(lambda: query(url, "SELECT event_id FROM sentiment"), what="the event's row")


def given(settings: Settings) -> list[LabelGiven]:
    sent = [decode(LABELS.name, delivery.value) for delivery in read(settings, [LABELS.name]) if delivery]
    return [label for label in sent if isinstance(label, LabelGiven)]


NO_DATABASE = {"MOODSTREAM_DATABASE": ""}
DATABASE_DOWN = {"MOODSTREAM_DATABASE": "postgresql://postgres@127.0.0.1:1/none"}


@pytest.mark.usefixtures("scored")
@pytest.mark.parametrize("how", [NO_DATABASE, DATABASE_DOWN, {}], ids=["no database", "it is down", "no rows yet"])
def test_an_answer_one_comes_back_to_is_a_label_and_a_repeat_is_none(
    settings: Settings, tmp_path: Path, how: dict[str, str]
) -> None:
    for answer in ("neg", "neg", "pos", "neg", "neg"):
        outcome = CliRunner().invoke(
            main, ["label", "r-1", "-s", answer, "--by", "dana"], env=environment(settings, tmp_path) | how
        )
        assert outcome.exit_code == 0, outcome.output
        assert ("note: PostgreSQL is not answering" in outcome.stderr) is (how is DATABASE_DOWN)

    names = [label.label_id for label in given(settings)]
    assert [names.index(name) for name in names] == [0, 0, 2, 3, 3]


@pytest.mark.usefixtures("scored")
def test_who_trains_may_label_what_has_left_the_topic(login: Login, settings: Settings, tmp_path: Path) -> None:
    empty_topics(settings)
    for role, ends in ((tables.TRAINER, 0), (tables.ANALYST, 2)):
        url = as_login(settings.database.get_secret_value(), login(f"IN ROLE {role}"))
        outcome = CliRunner().invoke(
            main, ["label", "r-1", "--calm"], env=environment(settings, tmp_path) | {"MOODSTREAM_DATABASE": url}
        )
        assert outcome.exit_code == ends, outcome.output
    assert [label.angry for label in given(settings)] == [False]
    assert "no event r-1 was scored" in one_line(outcome)
    assert "permission denied for table sentiment; GRANT moodstream_trainer to the login that labels" in outcome.stderr


def test_a_label_needs_an_answer_and_an_event(run: Run) -> None:
    assert "nothing to say" in one_line(run("label", "r-1"))
    assert "no event r-9 was scored" in one_line(run("label", "r-9", "-s", "neu"))
