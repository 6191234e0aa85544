"""`prepare` and `model_input` are what the stream, the `score` command and the trainer share."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.text.model_input import ModelInput, Prepared, from_prepared, model_input, prepare
from stream_app.text.redact import redact


def test_a_review_is_cleaned_then_redacted_then_told_apart() -> None:
    assert prepare("<p>垃-圾！！！！！打１３８００１３８０００</p>") == Prepared(
        "垃圾！！！打<phone>", ("evasion", "fullwidth", "html", "redacted:phone", "repeats"), "zh"
    )


def test_flags_are_sorted_and_name_each_kind_once() -> None:
    flags = prepare("收件人：张三 13800138000 13900139000 微信：abc_12345").flags
    assert flags == ("redacted:name", "redacted:phone", "redacted:wechat")


@pytest.mark.parametrize(
    "raw", ["", " \n", "<br>", "系统默认好评"], ids=["nothing", "white space", "markup", "a default"]
)
def test_a_text_with_nothing_left_is_flagged_empty(raw: str) -> None:
    prepared = prepare(raw)
    assert prepared.text == ""
    assert "empty" in prepared.flags
    assert prepared.language == "other"


def test_a_number_hidden_behind_markup_and_full_width_digits_is_still_found() -> None:
    assert prepare("138<b>0013</b>8000").text == "<phone>"
    assert prepare("１３８\u200b００１３\u200b８０００").text == "<phone>"
    assert prepare("138&nbsp;0013&nbsp;8000").text == "<phone>"


def test_a_review_has_no_context() -> None:
    assert model_input("很好") == ModelInput("很好", None)


def test_context_is_the_last_two_turns_newest_last_and_prepared() -> None:
    earlier = ["在吗", "订单号123456789", "<b>请稍等</b>"]
    assert model_input("行吧", earlier) == ModelInput("行吧", "订单号<order> / 请稍等")


def test_an_empty_turn_pushes_no_real_one_out() -> None:
    assert model_input("行吧", ["我要退款", "请稍等", "", "<br>"]).context == "我要退款 / 请稍等"
    assert model_input("行吧", ["", " "]).context is None


@given(st.text(), st.lists(st.text(), max_size=5))
@settings(deadline=None)
def test_building_from_prepared_turns_gives_the_same_input(raw: str, earlier: list[str]) -> None:
    prepared = [prepare(turn).text for turn in earlier]
    assert from_prepared(prepare(raw).text, prepared) == model_input(raw, earlier)


@given(st.text())
@settings(deadline=None)
def test_a_prepared_text_holds_no_more_personal_data(raw: str) -> None:
    once = prepare(raw).text
    assert redact(once) == (once, ())


def test_the_same_raw_text_gives_the_same_result_every_time() -> None:
    raw = "加微信abc_12345，<i>骗.子</i>，电话13800138000"
    assert len({prepare(raw) for _ in range(5)}) == 1
