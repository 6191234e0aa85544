"""`guess` tells zh, en, mixed and other apart; the cases are `cases/language.toml`."""

import tomllib
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.text.language import guess

_CASES: Final = tomllib.loads((Path(__file__).parent / "cases" / "language.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("language", "text"),
    [pytest.param(language, text, id=f"{language}: {text}") for language, texts in _CASES.items() for text in texts],
)
def test_a_text_is_in_the_language_a_reader_would_say(language: str, text: str) -> None:
    assert guess(text) == language


@given(st.text())
@settings(deadline=None)
def test_every_text_is_one_of_four(text: str) -> None:
    assert guess(text) in _CASES
