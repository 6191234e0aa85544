"""Personal data out, typed placeholders in: `打13800138000` → `打<phone>`.

Prices, models, dates, sizes and hotlines stay: a complaint without its numbers is not the same complaint. What follows
a label (订单号, 微信) is decided by the label, what stands alone by check digits and shape; where neither decides, it
stays. So these do stay: names in running text ("我是张三", "Dear Mr. Smith"), surnames with a title, towns and
districts, addresses without a door number, local and US numbers written as one run of digits without a label, and
account names that are words ("微信 zhangsan").
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from stream_app.text import accounts, addresses, names, numbers, phones
from stream_app.text.hints import Holds, holds_han

Hide = Callable[[str], str]
Steps = tuple[tuple[str, Hide], ...]

# Groups in this order: a label knows more than a shape, a check digit more than a length; names last, since a telephone
# number beside them gives them away. A group runs only where its hint is found, and most texts hold no hint: their
# searches are all that those cost. The first hint is for texts with Chinese characters: it begins with a set or with
# literals only, and `re` skips ahead to them. In other texts most of those are letters of every word, and the second
# hint asks for something rarer (`hints.py` says what is cheap); None: the group is about Chinese only.
GROUPS: Final[tuple[tuple[Holds, Holds | None, Steps], ...]] = (
    (accounts.EMAIL_HINT.search, accounts.may_hold_emails, (("email", accounts.without_emails),)),
    (
        accounts.HINT.search,
        accounts.may_hold_labelled,
        (
            ("wechat", accounts.without_wechat),
            ("qq", accounts.without_qq),
            ("passport", accounts.without_passports),
            ("parcel", accounts.without_labelled_parcels),
            ("order", accounts.without_labelled_orders),
        ),
    ),
    (
        numbers.HINT.search,
        numbers.may_hold_numbers,
        (
            ("ip", numbers.without_ipv4),
            ("parcel", accounts.without_parcels),
            ("order", accounts.without_orders),
            ("id", numbers.without_ids),
            ("card", numbers.without_cards),
            ("ssn", numbers.without_ssns),
            ("phone", phones.without_phones),
            ("order", numbers.without_long_runs),
        ),
    ),
    (numbers.IPV6_HINT.search, numbers.IPV6_HINT.search, (("ip", numbers.without_ipv6),)),
    (phones.SPELLED_HINT.search, phones.may_hold_spelled_phones, (("phone", phones.without_spelled_phones),)),
    (numbers.PLATE_HINT.search, None, (("plate", numbers.without_plates),)),
    (addresses.HINT.search, None, (("address", addresses.without_addresses),)),
    (addresses.HINT_US.search, addresses.may_hold_us_addresses, (("address", addresses.without_us_addresses),)),
    (names.HINT.search, names.may_hold_names, (("name", names.without_names),)),
)
_WITH_HAN: Final = tuple((may_hold, steps) for may_hold, _, steps in GROUPS)
_WITHOUT_HAN: Final = tuple((may_hold, steps) for _, may_hold, steps in GROUPS if may_hold)

# A placeholder can bare what stood glued to a number; whoever glues ten numbers together is no customer.
_MAX_ROUNDS: Final = 10


class Redacted(NamedTuple):
    """A text without personal data and the kinds that were found, sorted."""

    text: str
    kinds: tuple[str, ...]


def redact(text: str) -> Redacted:
    """Personal data becomes `<kind>`. Redacting twice changes nothing more; never raises."""
    kinds: set[str] = set()
    groups = _WITH_HAN if holds_han(text) else _WITHOUT_HAN
    for _ in range(_MAX_ROUNDS):
        before = text
        for may_hold, steps in groups:
            if may_hold(text):
                for kind, hide in steps:
                    hidden = hide(text)
                    if hidden != text:
                        kinds.add(kind)
                        text = hidden
        if text == before:
            break
    return Redacted(text, tuple(sorted(kinds)) if kinds else ())
