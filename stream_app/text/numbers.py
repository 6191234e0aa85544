"""Personal numbers that give themselves away: by check digit, by prefix, by shape. Telephones: `phones.py`."""

import ipaddress
import re
from typing import Final

from stream_app.text.hints import holds_digit
from stream_app.text.phones import DIGIT, GAP
from stream_app.text.words import words

_IPV4: Final = re.compile(r"(?<![0-9A-Za-z.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9])")
_VERSION_BEFORE: Final = re.compile(
    r"(?:版本|固件|系统|[Vv]ersion|[Ff]irmware|[Bb]uild|[Rr]elease|[vV]|iOS|Android)号?[:： ]?\s?$"
)
_IP_BEFORE: Final = re.compile(
    r"(?:[Ii][Pp]|DNS|dns|from|[Ss]erver|[Hh]ost|[Pp]ing|地址|服务器|网关)[:： ]{0,2}(?:是|is )?$"
)
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9a-fA-F:]{3,39}(?![\w:.])")

_ID18: Final = re.compile(
    r"(?<![0-9A-Za-z])[1-8][0-9]{5}[ -]?(?:19|20)[0-9]{2}[01][0-9][0-3][0-9][ -]?[0-9]{3}[0-9Xx](?![0-9A-Za-z])"
)
_ID15: Final = re.compile(
    r"(?<![0-9A-Za-z])[1-8][0-9]{5}[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}(?![0-9A-Za-z])"
)
_ID_LABELLED: Final = re.compile(
    r"((?:身份证|证件)(?:号码|号)?(?:是|为|[:： ]){0,3})[0-9]{14,17}[0-9Xx](?![0-9A-Za-z])"
)
_ID_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643, ISO 7064 MOD 11-2
_ID_CHECK: Final = "10X98765432"
_REGIONS: Final = words(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83"
)

_CARD: Final = re.compile(
    r"(?<![0-9A-Za-z.-])(?:62|4[0-9]|5[0-9]|2[2-7]|3[4-7]|60|65|9[0-9])[0-9]{2}(?:[ -]?[0-9]){9,15}(?![0-9A-Za-z])"
)
_CARD_LABELLED: Final = re.compile(
    r"((?:银行卡|储蓄卡|信用卡|借记卡|卡)(?:卡号|号码|号)(?:是|为|[:： ]){0,3}"
    r"|[Cc]ard (?:[Nn]umber|[Nn]o\.?|#)(?: is|[: ]){0,3})"
    r"[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])"
)
_SSN: Final = re.compile(r"(?<![0-9A-Za-z.-])([0-9]{3})([- ])([0-9]{2})\2([0-9]{4})(?![0-9A-Za-z-])")
_SSN_LABELLED: Final = re.compile(
    r"((?:SSN|ssn|[Ss]ocial [Ss]ecurity)(?: [Nn]umber| [Nn]o\.?)?(?: is|[:# ]){0,3})"
    r"[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}(?![0-9])"
)

_LONG_RUN: Final = re.compile(r"(?<![0-9A-Za-z.¥￥$-])[0-9]{12,30}(?![0-9A-Za-z]|\.[0-9]|元|块)")
_MOMENT: Final = re.compile(
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])[0-5][0-9](?:[0-5][0-9])?"
)

_PROVINCES: Final = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
# 全新RTX…, 小黑X…, 很贵: as words these stand before models; they need the dot, or the word "plate" before them.
_ALSO_WORDS: Final = "新黑贵青宁云"
_PLATE: Final = re.compile(
    rf"([{_PROVINCES}])[A-HJ-NP-Z]([·. -]?)"
    r"([A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳]|[DF][A-HJ-NP-Z0-9][0-9]{4}|[0-9]{5}[DF])(?![A-Za-z0-9])"
)

HINT: Final = re.compile(
    rf"{DIGIT}(?:(?:{GAP}{DIGIT}){{6}}|[3-9][0-9][*xX×•]|\.[0-9]{{1,3}}\.[0-9]{{1,3}}\.|Z[0-9A-Z]{{16}})"
)
IPV6_HINT: Final = re.compile(":[0-9a-fA-F]{0,4}:")
PLATE_HINT: Final = re.compile(f"[{_PROVINCES}][A-HJ-NP-Z][·. -]?[A-HJ-NP-Z0-9]{{4}}")


def may_hold_numbers(text: str) -> object:
    """In a text without Chinese: a hint of seven digits, or of a number that stars or dots make shorter."""
    return (holds_digit(text) or not text.isascii()) and HINT.search(text)  # ① is a digit too


def without_ipv4(text: str) -> str:
    """IPv4 addresses become `<ip>`; version numbers stay."""
    return _IPV4.sub(_ipv4, text)


def without_ipv6(text: str) -> str:
    """IPv6 addresses become `<ip>`; times stay."""
    return _IPV6.sub(_ipv6, text)


def without_ids(text: str) -> str:
    """Resident identity numbers: 18 with their check digit, 15 with region and birthday, any behind their label."""
    text = _ID_LABELLED.sub(r"\1<id>", text)
    return _ID15.sub(_id15, _ID18.sub(_id18, text))


def without_cards(text: str) -> str:
    """Payment cards: an issuer's prefix, 13-19 digits and Luhn, or any behind their label."""
    return _CARD.sub(_card, _CARD_LABELLED.sub(r"\1<card>", text))


def without_ssns(text: str) -> str:
    """US social security numbers, without the areas, groups and serials that are never given out."""
    return _SSN.sub(_ssn, _SSN_LABELLED.sub(r"\1<ssn>", text))


def without_long_runs(text: str) -> str:
    """Twelve digits and more that are no date and no barcode: an order or parcel number without its label."""
    return _LONG_RUN.sub(_long_run, text)


def without_plates(text: str) -> str:
    """Number plates of mainland China, old and new energy."""
    return _PLATE.sub(_plate, text)


def _ipv4(match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - 12) : match.start()]
    if any(int(part) > 255 for part in match[0].split(".")) or _VERSION_BEFORE.search(before):
        return match[0]
    # 1.8.8.8 is how some write ¥1888; 8.8.8.8 needs somebody to say that it is an address
    return "<ip>" if len(match[0]) > len("1.8.8.8") or _IP_BEFORE.search(before) else match[0]


def _ipv6(match: re.Match[str]) -> str:
    if match[0].count(":") < 2 or not any(c.isdigit() for c in match[0]):
        return match[0]
    try:
        ipaddress.IPv6Address(match[0])
    except ValueError:
        return match[0]
    return "<ip>"


def _id18(match: re.Match[str]) -> str:
    digits = re.sub("[ -]", "", match[0])
    total = sum(int(digit) * weight for digit, weight in zip(digits, _ID_WEIGHTS, strict=False))
    return "<id>" if digits[:2] in _REGIONS and _ID_CHECK[total % 11] == digits[-1].upper() else match[0]


def _id15(match: re.Match[str]) -> str:
    return "<id>" if match[0][:2] in _REGIONS else match[0]


def _card(match: re.Match[str]) -> str:
    digits = re.sub("[ -]", "", match[0])
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    luhn = (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
    shortest = 13 if digits[0] == "4" else 14  # other thirteen digits are barcodes and ISBNs
    return "<card>" if shortest <= len(digits) <= 19 and luhn and len(set(digits)) > 1 else match[0]


def _ssn(match: re.Match[str]) -> str:
    area, group, serial = match[1], match[3], match[4]
    never = area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000"
    return match[0] if never else "<ssn>"


def _long_run(match: re.Match[str]) -> str:
    digits = match[0]
    typed_to_fill = len(set(digits)) < 4 or digits.startswith("123456")
    barcode = len(digits) == 13 and digits.startswith(("69", "978", "979"))
    return digits if typed_to_fill or barcode or _MOMENT.fullmatch(digits) else "<order>"


def _plate(match: re.Match[str]) -> str:
    province, dot, tail = match.groups()
    before = match.string[max(0, match.start() - 6) : match.start()]
    if province in _ALSO_WORDS and not dot.strip() and "车" not in before and "牌" not in before:
        return match[0]
    return "<plate>" if dot == "·" or sum(c.isdigit() for c in tail) >= 3 else match[0]
