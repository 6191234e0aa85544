"""Personal data out, typed placeholders in: `打13800138000` → `打<phone>`.

Prices, models, dates, sizes and hotlines stay: a complaint without its numbers is not the same complaint. What follows
a label (订单号, 微信) is decided by the label, what stands alone by check digits and shape; where neither decides, it
stays. So these do stay: names in running text ("我是张三", "Dear Mr. Smith"), surnames with a title, towns and
districts, addresses without a door number, local and US numbers written as one run of digits without a label, and
account names that are words ("微信 zhangsan").
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from stream_app.text import accounts, addresses, names, numbers, phones

Hide = Callable[[str], str]

# Groups in this order: a label knows more than a shape, a check digit more than a length; names last, since a telephone
# number beside them gives them away. A group runs only where its hint is found, and most texts hold no hint: their
# searches are all that those cost. A hint begins with a set or with literals only: `re` can skip ahead to them.
GROUPS: Final[tuple[tuple[re.Pattern[str], tuple[tuple[str, Hide], ...]], ...]] = (
    (accounts.EMAIL_HINT, (("email", accounts.without_emails),)),
    (
        accounts.HINT,
        (
            ("wechat", accounts.without_wechat),
            ("qq", accounts.without_qq),
            ("passport", accounts.without_passports),
            ("parcel", accounts.without_labelled_parcels),
            ("order", accounts.without_labelled_orders),
        ),
    ),
    (
        numbers.HINT,
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
    (numbers.IPV6_HINT, (("ip", numbers.without_ipv6),)),
    (phones.SPELLED_HINT, (("phone", phones.without_spelled_phones),)),
    (numbers.PLATE_HINT, (("plate", numbers.without_plates),)),
    (addresses.HINT, (("address", addresses.without_addresses),)),
    (addresses.HINT_US, (("address", addresses.without_us_addresses),)),
    (names.HINT, (("name", names.without_names),)),
)

# A placeholder can bare what stood glued to a number; whoever glues ten numbers together is no customer.
_MAX_ROUNDS: Final = 10


class Redacted(NamedTuple):
    """A text without personal data and the kinds that were found, sorted."""

    text: str
    kinds: tuple[str, ...]


def redact(text: str) -> Redacted:
    """Personal data becomes `<kind>`. Redacting twice changes nothing more; never raises."""
    kinds: set[str] = set()
    for _ in range(_MAX_ROUNDS):
        before = text
        for hint, steps in GROUPS:
            if hint.search(text):
                for kind, hide in steps:
                    hidden = hide(text)
                    if hidden != text:
                        kinds.add(kind)
                        text = hidden
        if text == before:
            break
    return Redacted(text, tuple(sorted(kinds)) if kinds else ())
