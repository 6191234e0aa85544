"""`redact` takes personal data out and leaves the complaint whole; the cases are `cases/redact.toml`."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.text import redact as module
from stream_app.text.hints import holds_han
from stream_app.text.redact import GROUPS, redact

_CASES: Final = tomllib.loads((Path(__file__).parent / "cases" / "redact.toml").read_text(encoding="utf-8"))
_HIDDEN: Final = [
    pytest.param(raw, wanted, id=f"{section}: {raw}")
    for section, cases in _CASES.items()
    if section != "stays"
    for raw, wanted in cases.items()
]
_STAYS: Final = [pytest.param(raw, id=f"{group}: {raw}") for group, texts in _CASES["stays"].items() for raw in texts]
_PLACEHOLDER: Final = re.compile("<([a-z]+)>")

_PIECES: Final = st.sampled_from(
    [raw for section, cases in _CASES.items() if section != "stays" for raw in cases]
    + [raw for texts in _CASES["stays"].values() for raw in texts]
    + [
        "1",
        "3",
        "8",
        "0",
        "-",
        " ",
        "，",
        "：",
        "+86",
        "号",
        "路",
        "市",
        "单号",
        "微信",
        "@",
        ".",
        "<phone>",
        "<name>",
        "张",
        "三",
    ]
)


@pytest.mark.parametrize(("raw", "wanted"), _HIDDEN)
def test_personal_data_becomes_a_placeholder_and_the_rest_stays(raw: str, wanted: str) -> None:
    redacted = redact(raw)
    assert redacted.text == wanted
    assert redacted.kinds == tuple(sorted(set(_PLACEHOLDER.findall(wanted))))


@pytest.mark.parametrize("raw", _STAYS)
def test_what_belongs_to_the_complaint_stays(raw: str) -> None:
    assert redact(raw) == (raw, ())


@given(st.lists(_PIECES, max_size=8).map("".join))
@settings(deadline=None)
def test_redacting_twice_changes_nothing_more(raw: str) -> None:
    once = redact(raw).text
    assert redact(once) == (once, ())


@given(st.lists(_PIECES.filter(lambda piece: not holds_han(piece)), max_size=8).map(" ".join))
@settings(deadline=None)
def test_the_hints_of_texts_without_chinese_miss_nothing(raw: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_WITHOUT_HAN", module._WITH_HAN)
        wanted = redact(raw)
    assert redact(raw) == wanted


@given(st.lists(st.integers(0, 0x10FFFF).map(chr), max_size=60).map("".join))
@settings(deadline=None)
def test_every_string_there_is_has_an_answer(raw: str) -> None:
    redact(raw)


def test_every_kind_that_can_be_taken_out_is_in_the_cases() -> None:
    assert {kind for *_, steps in GROUPS for kind, _ in steps} == set(_CASES) - {"several", "stays"}
