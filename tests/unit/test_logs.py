"""What a log line must not hold."""

import logging

import pytest

from stream_app import logs


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_texts_and_no_passwords(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.root.handlers[:], logging.root.level

    def fails(text: str, password: str) -> None:
        raise ValueError("a defect")

    private = ["我是张三 " + "138" + "00138000", "correct" + " horse"]

    try:
        logs.set_up("info", style)  # type: ignore[arg-type]
        try:
            fails(*private)
        except ValueError:
            logging.getLogger("moodstream.test").exception("a loop ended")
    finally:
        logging.root.handlers, level = before
        logging.root.setLevel(level)

    said = capsys.readouterr().err
    assert "ValueError" in said
    assert not [value for value in private if value in said]


def test_a_librarys_complaint_is_not_repeated_all_the_time() -> None:
    seldom = logs.Seldom(every_s=10.0)

    def complaint(created: float, name: str = "aiokafka") -> logging.LogRecord:
        record = logging.LogRecord(name, logging.ERROR, "", 0, "Failed fetch messages", (), None)
        record.created = created
        return record

    assert [seldom.filter(complaint(at)) for at in (100.0, 101.0, 109.9, 110.1)] == [True, False, False, True]
    assert seldom.filter(complaint(101.0, "moodstream.score"))
