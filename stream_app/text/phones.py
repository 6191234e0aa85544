"""Telephone numbers: Chinese and foreign, in digits or spelled out. Hotlines belong to no person and stay."""

import re
from typing import Final

_SPOKEN: Final = str.maketrans(
    "零〇○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖①②③④⑤⑥⑦⑧⑨⓪", "0001234567891123456789" + "1234567890"
)
DIGIT: Final = "[0-9零〇○一二三四五六七八九幺壹贰叁肆伍陆柒捌玖①②③④⑤⑥⑦⑧⑨⓪]"
GAP: Final = r"[ .\-_()·]{0,2}"

# 1[3-9] and nine digits more, with or without +86.
_MOBILE: Final = re.compile(
    "(?=[+081一幺壹①])"
    rf"(?<!{DIGIT})(?<![0-9][.-])(?:(?:\+|00)?86{GAP}|(?<!\+))[1一幺壹①]{GAP}(?:{DIGIT}{GAP}){{9}}{DIGIT}(?!{DIGIT})"
)
_CHINA: Final = re.compile(rf"^(?:\+|00)?86{GAP}")
# How people group the eleven digits. Sizes in a row (150 160 170 18) are eleven digits as well.
_GROUPINGS: Final = frozenset(
    {
        (11,),
        (3, 4, 4),
        (3, 8),
        (7, 4),
        (3, 3, 5),
        (4, 3, 4),
        (4, 4, 3),
        (3, 2, 2, 2, 2),
        (3, 4, 2, 2),
        (5, 6),
        (1, 3, 7),
    }
)
_GROUPED_ABROAD: Final = re.compile(r"1[-. ]\(?[0-9]{3}\)?[-. ]{1,2}[0-9]{3}[-. ][0-9]{4}$")  # 1-800-555-1234
_MOBILE_MASKED: Final = re.compile(r"(?<![0-9])1[3-9][0-9][*xX×•]{3,5}[0-9]{2,4}(?![0-9])")
_LANDLINE: Final = re.compile(
    r"(?<![0-9.A-Za-z-])(?:\+?86[ -]?)?(?:[(（]0[1-9][0-9]{1,2}[)）][ -]?|0[1-9][0-9]{1,2}[ -]?)"
    r"[2-8][0-9]{2,3}[ -]?[0-9]{4}(?:(?:-|转|转分机|分机)[0-9]{1,5})?(?![0-9A-Za-z])"
)
_NORTH_AMERICA: Final = re.compile(
    r"(?<![0-9A-Za-z$¥￥-])(?<![0-9]\.)(?:\+?1[-. ]?)?(?:\(([2-9][0-9]{2})\) ?|([2-9][0-9]{2})[-. ])"
    r"[2-9][0-9]{2}[-. ][0-9]{4}(?![0-9A-Za-z-])"
)
_ABROAD: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:\+|00)[1-9][0-9]{0,2}[ .-]?(?:\(?[0-9]{1,4}\)?[ .-]?){2,5}[0-9]{2,4}(?![0-9A-Za-z])"
)
_LABELLED: Final = re.compile(
    "(?=[电手座致打拨联热TtPpCcMmFf])"
    r"((?:电话|手机|座机|致电|打给|拨打|联系方式|热线|[Tt]el|TEL|[Pp]hone|PHONE|[Cc]all|[Tt]ext|[Cc]ell|[Mm]obile|[Ff]ax)"
    r"(?:号码|号| number| me| us| back)?(?: at| on)?(?:是|为|: ?|：|\.| is| ){0,3})"
    r"([(+0-9][0-9() .-]{5,17}[0-9])(?![0-9A-Za-z])"
)
_HOTLINE: Final = re.compile(
    r"(?:\+?1[-. ]?)?\(?(?:400|8(?:00|88|77|66|55|44|33|22))|95[0-9]{3}|96[0-9]{3,4}|1[12][0-9]{1,3}$|10[01][0-9]{1,3}$"
)
_DATE: Final = re.compile(r"(?:19|20)[0-9]{2}[-. ]?[01]?[0-9][-. ]?[0-3]?[0-9]$")

_WORDS: Final = "zero|one|two|three|four|five|six|seven|eight|nine"
_SPELLED: Final = f"(?:double |triple )?(?:{_WORDS}|oh)"
_SPELLED_OUT: Final = re.compile(rf"\b{_SPELLED}(?:[ ,.-]{{1,2}}{_SPELLED}){{6,14}}\b", re.IGNORECASE)
_SPELLED_DIGIT: Final = re.compile(_WORDS)

SPELLED_HINT: Final = re.compile(rf"(?:{_WORDS}|{_WORDS.title()})[ ,.-]{{1,2}}(?:{_SPELLED})[ ,.-]")
# Two digits inside a longer row, in lower case: half as dear, since it begins with what separates words.
_SPELLED_HINT_LOWER: Final = re.compile(
    "[ ,.-](?:zero|one|oh|t(?:wo|hree)|f(?:our|ive)|s(?:ix|even)|eight|nine)"
    rf"[ ,.-]{{1,2}}(?:{_WORDS}|oh|double|triple)"
)


def may_hold_spelled_phones(text: str) -> object:
    """A hint of several digits in English words."""
    odd_case = "ı" in text or "ſ" in text or "İ" in text  # IGNORECASE takes them for i and s
    return (odd_case or _SPELLED_HINT_LOWER.search(text.lower())) and SPELLED_HINT.search(text)


def without_phones(text: str) -> str:
    """Mobile, landline and foreign numbers become `<phone>`, in Arabic or Chinese digits, masked by stars or not."""
    text = _MOBILE_MASKED.sub("<phone>", _MOBILE.sub(_mobile, text))
    text = _LANDLINE.sub("<phone>", text)
    text = _NORTH_AMERICA.sub(_north_america, text)
    text = _ABROAD.sub(_abroad, text)
    return _LABELLED.sub(_labelled, text)


def without_spelled_phones(text: str) -> str:
    """Seven and more digits in English words become `<phone>`."""
    return _SPELLED_OUT.sub(_spelled_out, text)


def _mobile(match: re.Match[str]) -> str:
    found = match[0]
    plain = found.translate(_SPOKEN)
    groups = re.findall("[0-9]+", _CHINA.sub("", plain))
    lengths = tuple(map(len, groups))
    grouped_so = plain != found or lengths in _GROUPINGS or max(lengths) == 1
    is_mobile = grouped_so and "".join(groups)[1] in "3456789" and not _GROUPED_ABROAD.match(found)
    return "<phone>" if is_mobile else found


def _north_america(match: re.Match[str]) -> str:
    return match[0] if _HOTLINE.match(match[1] or match[2]) else "<phone>"


def _abroad(match: re.Match[str]) -> str:
    digits = sum(c.isdigit() for c in match[0])
    shortest = 8 if match[0].startswith("+") else 12  # 00 begins many numbers that are no telephone's
    return match[0] if digits < shortest or _HOTLINE.match(match[0]) else "<phone>"


def _labelled(match: re.Match[str]) -> str:
    digits = re.sub("[^0-9]", "", match[2])
    typed_to_fill = len(set(digits)) < 3
    if not 7 <= len(digits) <= 15 or typed_to_fill or _DATE.match(match[2]) or _HOTLINE.match(match[2]):
        return match[0]
    return f"{match[1]}<phone>"


def _spelled_out(match: re.Match[str]) -> str:
    """Who counts to ten gives no number away."""
    spoken = " ".join(_SPELLED_DIGIT.findall(match[0].lower()))
    return match[0] if spoken in _WORDS.replace("|", " ") else "<phone>"
