"""`clean` gives back what a person wrote; the cases are `cases/clean.toml`."""

import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.text.clean import FLAGS, MAX_CHARS, clean
from stream_app.text.model_input import prepare
from stream_app.text.words import words

_CASES: Final = tomllib.loads((Path(__file__).parent / "cases" / "clean.toml").read_text(encoding="utf-8"))
_REWRITTEN: Final = [
    pytest.param(section, raw, wanted, id=f"{section}: {raw!a}")
    for section, cases in _CASES.items()
    if section != "stays"
    for raw, wanted in cases.items()
]
_STAYS: Final = [pytest.param(raw, id=f"{group}: {raw!a}") for group, texts in _CASES["stays"].items() for raw in texts]

# Pieces whose neighbours can complete what they begin.
_PIECES: Final = st.sampled_from(
    [
        *sorted(
            words(
                r"""< > & ; &amp; &lt; &gt; amp; # &#60; b </b> <b> <br> <script> </script> <!-- --> http:// www. .com/
                t.cn/ a link 好评 返现 5元 加微信 领红包 默认好评 此用户没有填写评价
                垃 圾 骗 子 差 评 . - * _ / | ! 。 ， 、 ～ 👨
                👍 ❤ ｆ ｕ ＜ ＞ ＆ f u c k s m U S A 1 3 8 0 00 138 e 太 太太太太 哈哈 [怒] Sent from my iPhone"""
            )
        ),
        *" \n\t\x00\u3000\u200b\u200d\ufe0f\u0301\u0336\ue000\ud800\udfff\U000e0041",
        "  ",
    ]
)
_PASTED: Final = st.lists(_PIECES, max_size=40).map("".join)
_ANY_CHARACTERS: Final = st.lists(st.integers(0, 0x10FFFF).map(chr), max_size=60).map("".join)


@pytest.mark.parametrize(("flag", "raw", "wanted"), _REWRITTEN)
def test_what_nobody_wrote_goes_and_the_flag_says_so(flag: str, raw: str, wanted: str) -> None:
    cleaned = clean(raw)
    assert cleaned.text == wanted
    if raw != wanted:
        assert flag in cleaned.flags if flag != "unflagged" else cleaned.flags == ()


@pytest.mark.parametrize("raw", _STAYS)
def test_what_a_person_wrote_stays_as_it_is(raw: str) -> None:
    assert clean(raw) == (raw, ())


@given(_PASTED | _ANY_CHARACTERS)
@settings(deadline=None)
def test_cleaning_twice_changes_nothing_more(raw: str) -> None:
    once = clean(raw).text
    assert clean(once).text == once


@given(_ANY_CHARACTERS)
@settings(deadline=None)
def test_every_string_there_is_has_an_answer_that_utf8_can_carry(raw: str) -> None:
    cleaned = clean(raw)
    cleaned.text.encode("utf-8")
    assert len(cleaned.text) <= MAX_CHARS
    assert list(cleaned.flags) == [flag for flag in FLAGS if flag in cleaned.flags]


def test_a_text_beyond_the_limit_is_cut_before_any_work_and_says_so() -> None:
    cleaned = clean("质量不好，" * MAX_CHARS)
    assert len(cleaned.text) <= MAX_CHARS
    assert "truncated" in cleaned.flags
    assert "truncated" not in clean("长" * MAX_CHARS).flags


def test_what_lies_behind_the_limit_is_never_read() -> None:
    assert "html" not in clean("a b " * (MAX_CHARS // 4) + "<b>").flags


def test_an_empty_text_is_flagged_whatever_emptied_it() -> None:
    assert clean("").flags == ("empty",)
    assert clean("<br>系统默认好评").flags == ("html", "boilerplate", "empty")


_ATTACKS: Final[dict[str, Callable[[int], str]]] = {
    "tags that never close": lambda n: "<b " * n,
    "tags in tags": lambda n: "<b" * n + ">" * n,
    "attributes without an end": lambda n: "<a " + "=" * n,
    "scripts that never close": lambda n: "<script>" * n,
    "ampersands escaped again and again": lambda n: "&" + "amp;" * n,
    "links without an end": lambda n: "http://a.b/" + "a" * n,
    "domains without an end": lambda n: "a." * n,
    "mail names without an at": lambda n: "a" * n + " @",
    "mail names with many ats": lambda n: "a@" * n,
    "one character": lambda n: "哈" * n,
    "two characters": lambda n: "哈呵" * n,
    "separators": lambda n: "垃-" * n,
    "letters apart": lambda n: "s " * n,
    "letters apart that make no word": lambda n: "a.b" * n,
    "digits": lambda n: "1" * n,
    "digits apart": lambda n: "1 " * n,
    "numerals apart": lambda n: "一-三 " * n,
    "cities": lambda n: "市" * n + "路1号",
    "districts": lambda n: "东区西县" * n + " 路1",
    "roads": lambda n: "人民路" * n + "1",
    "doors": lambda n: "路1" * n,
    "estates": lambda n: "小区1栋" * n,
    "labels": lambda n: "订单号：" * n,
    "labels and letters": lambda n: "微信abc" * n,
    "names": lambda n: "收件人王" * n,
    "capitals": lambda n: "12 Main " * n + "St",
    "numbers in words": lambda n: "one two " * n,
    "colons": lambda n: "a:" * n,
    "dots": lambda n: "1." * n,
    "plus signs": lambda n: "+1 " * n,
    "defaults": lambda n: "默认好评" * n,
    "placeholders": lambda n: "<phone>" * n,
    "marks": lambda n: "e" + "\u0301" * n,
    "joiners": lambda n: "\u200d" * n,
}


@pytest.mark.parametrize("attack", _ATTACKS.values(), ids=_ATTACKS.keys())
def test_eight_times_the_text_costs_no_more_than_a_linear_share(attack: Callable[[int], str]) -> None:
    def seconds(size: int) -> float:
        raw = attack(size)[:size]
        raw = raw if len(raw) < size else raw[: size - 8] + attack(size)[-8:]  # the end is often the sting
        passes = []
        for _ in range(3):
            start = time.thread_time()
            prepare(raw)
            passes.append(time.thread_time() - start)
        return min(passes)

    # a quadratic pattern would cost 64 times as much; the constant covers what is too short to measure
    assert seconds(MAX_CHARS) < 24 * seconds(MAX_CHARS // 8) + 0.05
