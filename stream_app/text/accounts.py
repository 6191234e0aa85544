"""Accounts and numbers that a label introduces: e-mail, WeChat, QQ, passport, order, parcel."""

import re
from typing import Final

from stream_app.text.hints import holds_digit
from stream_app.text.words import words

_EMAIL: Final = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,12}(?![A-Za-z0-9])"
)
_DOMAIN_ENDS: Final = "com|cn|net|org|edu|gov|co|io|me|uk|us|de|fr|jp|hk|tw"
_DOT: Final = r" ?(?: dot |\(dot\)|\[dot\]|\.|点) ?"
_EMAIL_SPOKEN: Final = re.compile(
    r"(?<![A-Za-z0-9._+-])[A-Za-z0-9](?:[A-Za-z0-9._+-]|(?: dot | underscore )){0,60}"
    r" ?(?: at |\(at\)|\[at\]|@|艾特|圈a) ?"
    rf"[A-Za-z0-9-]{{1,40}}(?:{_DOT}[A-Za-z0-9-]{{1,40}}){{0,2}}{_DOT}(?:{_DOMAIN_ENDS})(?![A-Za-z])",
    re.IGNORECASE,
)

_IS: Final = r"(?:号码|账号|帐号|号|ID|id|Id)?\s?(?:就是|是|为|[:：=]|\s){0,3}"
_WECHAT: Final = re.compile(
    "(?=[微薇威徽加vVwW+])"
    r"((?:微信|薇信|威信|徽信|(?<![A-Za-z0-9])(?:[vV][xX]|[vV]信|[wW][xX]|[Ww]ei[Xx]in|[Ww]e[Cc]hat)"
    r"|(?<![A-Za-z0-9])[vV](?=[:：])|加[vV微]|\+[vV](?=[:： ]))"
    rf"{_IS})([A-Za-z0-9][A-Za-z0-9_-]{{4,19}})(?![A-Za-z0-9_-])"
)
_QQ: Final = re.compile(
    rf"((?<![A-Za-z0-9])(?:[qQ]{{2}}(?:群|邮箱)?|[qQ]群|扣扣|企鹅|群){_IS})([1-9][0-9]{{4,11}})(?![0-9A-Za-z])"
)
_PASSPORT: Final = re.compile(
    r"((?:护照|通行证|[Pp]assport|PASSPORT)(?: ?(?:[Nn]umber|[Nn]o\.?|#))?"
    rf"{_IS}(?:is )?)([A-Za-z]{{0,2}}[0-9]{{6,9}})(?![0-9A-Za-z])"
)

_TOKEN: Final = r"[A-Za-z]{0,6}[0-9](?:-?[A-Za-z0-9]){4,32}"
_AFTER: Final = r"(?![A-Za-z0-9]|\.[0-9]|元|块|[年月日时点分])"
_PARCEL_LABELLED: Final = re.compile(
    "(?=[快物运包面货顺圆中申韵百极邮京取TtWw])"
    r"((?:(?:快递|物流|运|包裹|面|货运|顺丰|圆通|中通|申通|韵达|百世|极兔|邮政|京东)(?:单号|编号|号码|号|单)|取件码"
    r"|[Tt]racking(?: (?:number|no\.?|code|id|ID|#)| ?#)?|TRACKING(?: NUMBER)?|[Ww]aybill(?: (?:number|no\.?))?)"
    r"(?:是|为|[:：#]| is|\s){0,3})"
    rf"({_TOKEN}){_AFTER}"
)
_PARCEL: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:SF|sf|YT|yt|JT|jt|JDV|JDX|JD[A-Z]?|STO|ZTO|YD|DPK|EMS|TBA)[0-9]{10,16}(?:-[0-9-]{1,6})?"
    r"|1Z[0-9A-Z]{16}|[A-Z]{2}[0-9]{9}(?:CN|US|GB|HK|JP|DE|FR|SG|TW)|9[2-5][0-9]{20})(?![A-Za-z0-9])"
)
_ORDER_LABELLED: Final = re.compile(
    "(?=[订定服售退换工交流支发采预单OoIiTtCcRrBb])"
    r"((?:(?:订单|定单|服务单|售后单|退货单|换货单|退款单|工单|交易|流水|支付|发票|采购单|预订|预定)(?:编号|单号|号码|号|ID|id)"
    r"|单号|订单|(?:[Oo]rder|ORDER|[Ii]nvoice|[Tt]ransaction|[Cc]onfirmation|[Cc]ase|[Tt]icket|[Rr]eference|[Rr]ef"
    r"|[Bb]ooking|[Rr]eservation|[Cc]laim|[Rr]equest|[Ii]ncident)"
    r"(?: ?(?:[Nn]umber|[Nn]um|NUMBER|[Nn]o\.?|NO\.?|[Cc]ode|ID|id|#))?)(?:是|为|[:：#]| is| was|\s){0,3})"
    rf"({_TOKEN}){_AFTER}"
)
_ORDER_BEFORE: Final = re.compile(
    r"(?<![A-Za-z0-9.-])([0-9]{7,24})((?:就)?(?:是|为)?(?:我的|这个|你的)?(?:订单|运单|快递|服务单)(?:编号|单号|号))"
)
_ORDER: Final = re.compile(r"(?<![A-Za-z0-9-])(?:[0-9]{3}|[A-Z][0-9]{2})-[0-9]{7}-[0-9]{7}(?![0-9A-Za-z-])")
_DATE: Final = re.compile(r"(?:19|20)[0-9]{2}-?(?:0?[1-9]|1[0-2])-?(?:0?[1-9]|[12][0-9]|3[01])")
_BARE: Final = words(
    "订单 order case invoice ticket ref reference booking transaction confirmation reservation claim request incident"
)

HINT: Final = re.compile(
    "(?:微信|薇信|威信|徽信|vx|VX|Vx|vX|v信|V信|wx|WX|Wx|wX|weixin|Weixin|WeiXin|wechat|Wechat|WeChat|v:|V:|v：|V：|加v|加V|加微|\\+v|\\+V"
    "|QQ|qq|Qq|qQ|q群|Q群|扣扣|企鹅|群|护照|通行证|assport|PASSPORT|单|快递|物流|运|取件码|交易|流水|支付|发票|预订|预定"
    "|racking|TRACKING|aybill|rder|ORDER|nvoice|ransaction|onfirmation|ase|icket|eference|ef|ooking|eservation|laim"
    "|equest|ncident)[^，。！？；、]{0,12}?[0-9A-Za-z_-]{5}"
)
# Only a WeChat name can do without a digit.
_WECHAT_HINT: Final = re.compile("[vVwW+](?:[xX:：vV]|ei[xX]in|e[cC]hat)")
# The labels are everyday words (order, case, ref); five characters in a row from a digit on are not.
_NUMBER_HINT: Final = re.compile("[0-9](?:-?[A-Za-z0-9]){4}")
EMAIL_HINT: Final = re.compile("@|艾特|圈a| at | AT | At |\\(at\\)|\\[at\\]")
_AT_HINT: Final = re.compile(r"@[A-Za-z0-9-]{1,63}\.[A-Za-z0-9-]")
# A full stop with the end of a domain behind it is rarer than "at". The look ahead spares most words the list.
_DOMAIN_END: Final = re.compile(rf"\. ?(?=\w{{2,3}}(?![A-Za-z]))(?i:{_DOMAIN_ENDS})(?![A-Za-z])")


def may_hold_emails(text: str) -> object:
    """In a text without Chinese: a hint of an address, written or spoken."""
    spoken = (_DOMAIN_END.search(text) or "dot" in text.lower()) and EMAIL_HINT.search(text)
    return spoken or _AT_HINT.search(text)


def may_hold_labelled(text: str) -> object:
    """In a text without Chinese: a hint of a label with an account or a number behind it."""
    return ((holds_digit(text) and _NUMBER_HINT.search(text)) or _WECHAT_HINT.search(text)) and HINT.search(text)


def without_emails(text: str) -> str:
    """E-mail addresses, and those spelled "name at gmail dot com"."""
    if "@" in text:
        text = _EMAIL.sub("<email>", text)
    return _EMAIL_SPOKEN.sub("<email>", text)


def without_wechat(text: str) -> str:
    """WeChat names and numbers behind 微信, vx, wx, 加v …; 微信支付 is no account."""
    return _WECHAT.sub(_wechat, text)


def without_qq(text: str) -> str:
    """QQ numbers and groups behind their label."""
    return _QQ.sub(r"\1<qq>", text)


def without_passports(text: str) -> str:
    """Passport and travel permit numbers behind their label."""
    return _PASSPORT.sub(r"\1<passport>", text)


def without_labelled_parcels(text: str) -> str:
    """Tracking numbers behind a label: 快递单号, tracking number."""
    return _PARCEL_LABELLED.sub(_parcel, text)


def without_parcels(text: str) -> str:
    """Tracking numbers with a carrier's prefix."""
    return _PARCEL.sub("<parcel>", text)


def without_labelled_orders(text: str) -> str:
    """Order, service and invoice numbers behind a label."""
    return _ORDER_LABELLED.sub(_order, text)


def without_orders(text: str) -> str:
    """Order numbers in Amazon's shape, and those whose label comes after them."""
    return _ORDER_BEFORE.sub(r"<order>\2", _ORDER.sub("<order>", text))


def _wechat(match: re.Match[str]) -> str:
    label, account = match.groups()
    said = any(mark in label for mark in ("号", "是", "为", ":", "：", "=", "ID", "id"))
    # "微信iPhone", "wx Windows": a name counts only if the label says so or no word looks like it
    looks_made = any(c.isdigit() or c == "_" for c in account) and len(account) >= 6
    return f"{label}<wechat>" if (said and len(account) >= 6) or looks_made else match[0]


def _parcel(match: re.Match[str]) -> str:
    return f"{match[1]}<parcel>" if sum(c.isdigit() for c in match[2]) >= 5 else match[0]


def _order(match: re.Match[str]) -> str:
    label, token = match.groups()
    fewest = 6 if label.strip().lower() in _BARE else 5  # "order 66" and "订单12345件" are counts
    if sum(c.isdigit() for c in token) < fewest or _DATE.fullmatch(token):
        return match[0]
    return f"{label}<order>"
