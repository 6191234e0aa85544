"""`guess` tells zh, en, mixed and other apart; the cases are `cases/language.toml`. `encoder_language` has two."""

import tomllib
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.text.language import encoder_language, guess

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


@pytest.mark.parametrize(
    ("text", "context", "encoder"),
    [
        ("质量很差", None, "zh"),
        ("iPhone 很好用", "thanks for waiting", "zh"),
        ("I luv this shop 好", None, "zh"),
        ("terrible", "请您稍等", "en"),
        ("naïve", None, "en"),
        ("é", None, "en"),
        ("👍", "thanks a lot", "en"),
        ("👍", "谢谢您", "zh"),
        ("666", None, "zh"),
        ("", None, "zh"),
        ("", "", "zh"),
        ("...", "???", "zh"),
        ("<phone>", "您的电话是多少 / 麻烦提供", "zh"),
        ("<phone>", "what is your number", "en"),
        ("<phone>", "<order>", "zh"),
        ("[good]", "谢谢", "zh"),
        ("call <phone>", "请问", "en"),
        ("Очень плохо", None, "zh"),
        ("とても", "bad", "en"),
        ("とても悪い", "bad", "zh"),
        ("\U00020000", "bad", "zh"),
    ],
)
def test_a_text_goes_to_the_encoder_that_knows_its_letters(text: str, context: str | None, encoder: str) -> None:
    assert encoder_language(text, context) == encoder


@given(st.text(), st.none() | st.text())
@settings(deadline=None)
def test_every_text_has_an_encoder_and_a_han_character_decides(text: str, context: str | None) -> None:
    assert encoder_language(text, context) in {"zh", "en"}
    assert encoder_language(text + "好", context) == "zh"
    if encoder_language(text, None) == "en":
        assert encoder_language(text, context) == "en", "a context never overrules the text's own letters"
