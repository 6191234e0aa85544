"""Altered texts: another look, the same words to a reader, never an empty one."""

from __future__ import annotations

import random

import pytest

from stream_app.text.model_input import model_input
from trainer.augment import augment
from trainer.slices import NEGATION

CHINESE = model_input("质量太差了，垃圾客服，退款也不给 <phone>", ("您好，请问有什么可以帮您",))
ENGLISH = model_input("The shoes are great, but delivery was terribly slow <phone>")


@pytest.mark.parametrize("made", [CHINESE, ENGLISH], ids=["zh", "en"])
def test_most_alterations_change_the_text_and_none_the_context(made: tuple[str, str | None]) -> None:
    rng = random.Random(5)
    altered = [augment(made, rng) for _ in range(200)]  # type: ignore[arg-type]
    assert sum(text != made[0] for text, _ in altered) > 120
    assert {context for _, context in altered} == {made[1]}
    assert all("<phone>" in text.lower() for text, _ in altered), "placeholders are no words to misspell"


def test_chinese_gets_homophones_and_traditional_characters() -> None:
    rng = random.Random(1)
    texts = {augment(CHINESE, rng).text for _ in range(200)}
    assert any("質量太差了" in text for text in texts)
    assert any(len(text) == len(CHINESE.text) and "垃圾" not in text and "退款" in text for text in texts)


@pytest.mark.parametrize("text", ["", "好", "👍", "<phone>", "ok", "!!!", "123456", "a" * 5_000, "质" * 5_000])
def test_no_text_is_too_odd(text: str) -> None:
    rng = random.Random(2)
    made = model_input(text)
    for _ in range(30):
        assert bool(augment(made, rng).text) == bool(made.text)


def test_the_same_seed_gives_the_same_text() -> None:
    assert augment(CHINESE, random.Random(9)) == augment(CHINESE, random.Random(9))


@pytest.mark.parametrize(
    "text", ["瓜不甜，一点用都没有", "绝美的服务，没的说", "都没带回来，别买", "I would not say it is not good"]
)
def test_a_negation_is_never_lost_and_never_made(text: str) -> None:
    rng = random.Random(3)
    made = model_input(text)
    for _ in range(300):
        altered = augment(made, rng).text
        assert len(NEGATION.findall(altered)) == len(NEGATION.findall(made.text)), altered
