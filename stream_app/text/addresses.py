"""Street addresses, Chinese and American. A city or a district alone is no address and stays."""

import re
from typing import Final

from stream_app.text.hints import holds_digit

_HAN: Final = "\u4e00-\u9fff"
# No name of a place holds one of these; they end whatever led up to it.
_NAMED: Final = f"(?:(?![的了到在是我你他她它们这不没有也还就很要把给被从离跟让送寄拿去住买说等])[{_HAN}])"
_COUNT: Final = "[0-9一二三四五六七八九十百]{1,4}"

_PROVINCE: Final = (
    "(?:北京|上海|天津|重庆|河北|山西|辽宁|吉林|黑龙江|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|海南|四川|贵州|云南|陕西|甘肃|青海"
    "|台湾|内蒙古|广西|西藏|宁夏|新疆|香港|澳门)(?:省|市|壮族自治区|回族自治区|维吾尔自治区|自治区|特别行政区)?[ ,，]?"
)
# Atomic: 市市市市… has thousands of readings, and the first one is good enough.
_ADMIN: Final = rf"(?>{_NAMED}{{1,6}}?(?:自治州|自治县|地区|开发区|高新区|新区|街道|市|区|县|旗|州|镇|乡|村|盟)[ ,，]?)"
_AREA: Final = rf"(?:{_PROVINCE})?{_ADMIN}{{0,5}}"
_ROAD: Final = (
    rf"(?P<road>{_NAMED}{{1,8}}?(?:大道|大街|胡同|街坊|路|街|道|巷|弄|里|村)(?:[东西南北中]段|[东西南北]侧)?)"
)
# 路12号线 is a metro, 路12号到 a day of the month.
_DOOR: Final = r"[0-9]{1,5}(?:[-－][0-9]{1,4})?(?:甲|乙)?(?:号院|号|弄|#)(?!线|楼?[到晚早就才收发送下买能会])"
_ESTATES: Final = "小区|花园|公寓|大厦|家园|广场|新村|花苑|苑|园|城|府|院|宿舍"
_FLAT: Final = rf"[A-Za-z]?{_COUNT}(?:-[0-9]{{1,4}})?[A-Za-z]?(?:号楼|栋|幢|座|单元|层|楼|室|房|户|号|门|#)"
_INSIDE: Final = (
    rf"(?:[ ,，]?(?:{_NAMED}{{2,10}}?(?:{_ESTATES}|楼|中心|科技园|工业园))?[ ,，]?(?:{_FLAT}|[A-Z](?:座|栋|区)))"
)
_LAST_NUMBER: Final = "[0-9]{3,4}(?![0-9A-Za-z元块])"

_STREET: Final = re.compile(rf"{_AREA}{_ROAD} ?{_DOOR}{_INSIDE}{{0,5}}(?:{_LAST_NUMBER})?")
_ESTATE: Final = re.compile(
    rf"{_AREA}{_NAMED}{{2,10}}?(?:{_ESTATES}|村) ?[A-Za-z]?{_COUNT}(?:"
    rf"(?:号楼|栋|幢|座|区|号|期|#)(?:[ ,，]?[A-Za-z]?{_COUNT}(?:单元|层|楼|室|房|户|门|栋|座)){{1,3}}"
    rf"(?:{_LAST_NUMBER})?"
    rf"|(?:号楼|栋|幢|座|#)[ ,，]?{_LAST_NUMBER})"
)
_STAIRCASE: Final = re.compile(
    rf"{_COUNT}(?:号楼|栋|幢|座){_COUNT}单元(?:{_COUNT}(?:楼|层))?(?:[0-9]{{3,4}}(?:室|房|号)?)?"
)
_DOWN_TO_ROAD: Final = re.compile(rf"{_PROVINCE}{_ADMIN}{{1,5}}{_ROAD}(?![{_HAN}]{{0,3}}(?:附近|边|旁))")
# Ends like a road's, and is none: 知道15号, 手里2号
_NO_ROAD: Final = re.compile(
    "(?:知|味|频|渠|报|过|通|轨|隧|难|一|力|同|柔|空手)道$|(?:走|半|迷|问|绕|赶|铁|公|思|线|电|套|退|出|后|死|上|网|条)路$"
    "|(?:哪|手|店|家|心|夜|嘴|盒|箱|袋|屋|房间|公|海|水|火|眼|包|车|群|圈)里$|^[路街道巷弄里村]"
)
# What leads up to an address and is swept along with its first name.
_LEAD: Final = re.compile(
    rf"[{_HAN}]{{0,8}}?(?:(?:地址|住址|位于|设于|远处|后面|前面|旁边|对面|附近|改成|改为|发往))+(?=[{_HAN}]{{2}})"
)

_STREET_KINDS: Final = (
    "Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Terrace|Ter|Circle|Cir|Parkway|Pkwy"
    "|Highway|Hwy|Way"
)
_FLAT_US: Final = r"(?:,? (?:(?:Apt|Apartment|Suite|Ste|Unit|Room|Rm)\.? ?#?|#)[0-9A-Za-z-]{1,6})?"
_STREET_US: Final = re.compile(
    r"[0-9](?<![0-9A-Za-z$¥.,#-][0-9])[0-9]{0,5}[A-Z]? (?:(?:[NSEW]|North|South|East|West|NE|NW|SE|SW)\.? )?"
    rf"(?:(?:[A-Z][A-Za-z'-]{{1,20}}|[0-9]{{1,3}}(?:st|nd|rd|th)) ){{1,3}}(?:{_STREET_KINDS})\b\.?{_FLAT_US}"
    r"(?:,? (?:[A-Z][A-Za-z.'-]{1,20} ?){1,3},? [A-Z]{2}(?: [0-9]{5}(?:-[0-9]{4})?)?(?![A-Za-z]))?"
)
# In lower case only behind words that announce an address: "10 long road trips" is none.
_STREET_US_ANNOUNCED: Final = re.compile(
    "(?=[lasdh])"
    r"((?:lives? at|address is|address:|ship to|deliver to|send (?:it )?to|home at) ?)"
    rf"[0-9]{{1,6}} (?:[a-z0-9.'-]{{1,20}} ){{1,3}}(?:{_STREET_KINDS})\b\.?{_FLAT_US}",
    re.IGNORECASE,
)
_PO_BOX: Final = re.compile(r"\b[Pp]\.? ?[Oo]\.? ?[Bb]ox #?[0-9]{1,6}\b")

HINT: Final = re.compile(
    "[路街巷弄道村里省市县区苑园城府院厦舍寓场0-9](?:(?<![0-9省市]) ?[0-9]|(?<=[0-9])(?:号楼|栋|幢|单元|室|弄|座)"
    f"|(?<=[省市])[{_HAN}]{{1,8}}[区县])"
)
# A digit and what must stand beside it: "12 Main", "5 42nd", "live at 7", "box #7".
_ANNOUNCES: Final = "(?i:ve at|es at|me at|ss is|ress:|ip to|er to|nd to|it to)"
_DOOR_US: Final = re.compile(
    "[0-9](?:[A-Z]? (?:[A-Z]|[0-9]{1,3}(?:st|nd|rd|th))"
    f"|(?<={_ANNOUNCES}[0-9])|(?<={_ANNOUNCES} [0-9])|(?<=ox [0-9])|(?<=ox #[0-9]))"
)
HINT_US: Final = re.compile(
    " (?:St|Ave|Road|Rd|Boul|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Pl|Ter|Cir|Parkw|Pkwy|Highw|Hwy|Way"
    "|st|ave|road|rd|blvd|lane|ln|drive|dr|court|ct|place|way|Box|box)(?![a-z]{6})"
)


def may_hold_us_addresses(text: str) -> object:
    """A hint of a house number, and then of a street: two such rare things are hardly ever in one text by chance."""
    return holds_digit(text) and _DOOR_US.search(text) and HINT_US.search(text)


def without_addresses(text: str) -> str:
    """A road with a door, an estate with a flat, or a province down to its road becomes `<address>`."""
    for pattern in (_STREET, _ESTATE, _STAIRCASE, _DOWN_TO_ROAD):
        text = pattern.sub(_address, text)
    return text


def without_us_addresses(text: str) -> str:
    """Streets with a house number, and post boxes, become `<address>`."""
    return _PO_BOX.sub("<address>", _STREET_US_ANNOUNCED.sub(r"\1<address>", _STREET_US.sub(_us_address, text)))


def _address(match: re.Match[str]) -> str:
    if _NO_ROAD.search(match.groupdict().get("road") or ""):
        return match[0]
    lead = _LEAD.match(match[0])
    return f"{lead[0] if lead else ''}<address>"


def _us_address(match: re.Match[str]) -> str:
    """`my 2016 Harley Davidson Road Glide`: a year before a name that goes on behind "Road" is a model."""
    goes_on = re.match(" [A-Z]", match.string[match.end() :])
    return match[0] if goes_on and re.match("(?:19|20)[0-9]{2} ", match[0]) else "<address>"
