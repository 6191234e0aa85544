"""Names of people where something says that they are names: a label, "my name is", a telephone number beside them."""

import re
from typing import Final

from stream_app.text.hints import holds_han

_HAN: Final = "\u4e00-\u9fff"
# The 300 commonest, without those that begin everyday words more often than names (时, 向, 安, 成, 明, 从, 连, 应 …).
_SURNAMES: Final = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付"
    "邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔汤温康施牛樊葛邢齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿兰焦俞左柳甘祝包宁"
    "尚符舒阮柯纪梅童凌毕裴霍涂苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶牟艾尤阳穆农司卓古吉缪简项芦麦褚娄窦戚岑景党宫费卜冷晏席柏"
    "瞿桂全佟臧闵苟邬卞姬师栾隋商刁沙荣巫寇桑甄丛仲虞敖巩佘池查麻迟邝高方白于文"
)
_COMPOUND: Final = "欧阳|司马|上官|诸葛|东方|皇甫|尉迟|公孙|慕容|司徒|令狐|夏侯|端木"
_NAME: Final = rf"(?:(?:{_COMPOUND})[{_HAN}]{{1,2}}|[{_SURNAMES}][{_HAN}]{{1,2}})"
_ENDS: Final = rf"(?=[^{_HAN}]|$|电话|手机|联系|地址|先生|女士|小姐|收(?![{_HAN}]))"
_LABEL: Final = "(?:收件人|收货人|联系人|寄件人|签收人|取件人|真实姓名|收件姓名|姓名)(?:姓名)?"

# Behind a colon two to four characters are a name, of any people; behind 是 or nothing they need a surname and an end.
_WITH_COLON: Final = re.compile(rf"({_LABEL}\s?[:：]\s?)([{_HAN}·]{{2,4}}|[{_HAN}]{{2,5}}·[{_HAN}]{{2,6}}){_ENDS}")
_WITHOUT_COLON: Final = re.compile(
    rf"((?:{_LABEL}(?:是|叫|为|改成|改为|\s){{0,2}}|我叫|本人叫|我的?名字是|我的?名字叫)\s?)({_NAME}){_ENDS}"
)
# 张三，13800138000 and 13800138000 张三 北京市…: recipients as people paste them.
_BEFORE: Final = re.compile(rf"(?<![{_HAN}])()({_NAME})(?=收?[ ,，:：]{{0,2}}<(?:phone|address)>)")
_BETWEEN: Final = re.compile(rf"(<phone>[ ,，]{{0,2}})({_NAME})(?=收?[ ,，:：]{{1,2}}<address>)")
# Words that begin with a surname, and what a name does not end in.
_NO_NAME: Final = re.compile(
    "方便|方式|高兴|白天|任何|于是|全部|全国|全天|马上|路上|路过|金额|万一|严重|何时|何地|师傅|江苏|江西|安徽|甘肃|宁夏|吉林|云南"
    "|电话|手机|地址|信息|姓名|号码|不|没|有误|错|程序|文件|简单|高级|查询|查看|管理|包裹|商家|商品|全称|游客|费用|温馨"
    f"|[{_HAN}]{{1,3}}[打拨是到话机系为号找叫加发给我你您的了在请]$"
)

_TITLE: Final = r"(?:(?:Mr|Mrs|Ms|Dr)\.? )?"
_CAPITALISED: Final = r"(?:[A-Z]'|Mc|Mac)?[A-Z][a-z]{1,15}(?:-[A-Z][a-z]{1,15})?"
_FULL: Final = rf"{_CAPITALISED}(?: [A-Z]\.?)?(?: {_CAPITALISED})"
_SHIP_TO: Final = re.compile(
    "(?=[SsDd])"
    r"((?:[Ss]hip(?:ped|ping)?|[Dd]eliver(?:ed|y)?|[Ss]en[td])(?: it| this| them)? [Tt]o:? |[Ss]hipping name:? )"
    rf"({_TITLE}{_FULL}{{1,2}})\b"
)
_NAMED: Final = re.compile(
    "(?=[RrAaCcFfNn])"
    r"((?:[Rr]ecipient|[Aa]ttn|ATTN|[Cc]ustomer [Nn]ame|[Ff]ull [Nn]ame|(?<![a-z] )[Nn]ame|[Cc]onsignee)(?: is|:) ?)"
    rf"({_TITLE}{_FULL}{{0,2}})\b"
)
_MY_NAME: Final = re.compile(
    rf"([Mm]y (?:full )?name is |[Mm]y name's )([A-Za-z][a-z'-]{{1,20}}(?: {_CAPITALISED}){{0,2}})\b"
)
_NO_NAME_EN: Final = re.compile(
    r"(?:New|North|South|East|West|San|Los|Las|Saint|St|Hong|United|Great|Puerto|Costa|Saudi|Sri|El|Fort|Santa|Salt|Kansas"
    r"|Oklahoma|Rhode|Palm|Port|Lake|Mount|Cape|Amazon|Apple|The|My|Our|Your|Customer|Front|Back|Wrong|Home|Next|Their|This|not"
    r"|on|in|at|the|a|an|my|wrong|also|still|now|spelled|misspelled|listed|there|never|and|mud|no|only|incorrect|correct|missing"
    r"|being|written|printed|so|too|very|already|it)\b"
    r"|.*\b(?:Support|Service|Services|Center|Centre|Team|Inc|Ltd|LLC|Store|Department|Dept|Airport|City|Company|Office)\b"
)

HINT: Final = re.compile(
    "<phone>|<address>|收件|收货人|联系人|寄件|签收人|取件人|姓名|名字是|名字叫|我叫|本人叫"
    "|ship|Ship|deliver|Deliver|sent|Sent|send|Send|recipient|Recipient|attn|Attn|ATTN|name|Name|onsignee"
)
# "to Jane", "name is", "name: Jane": a search for one letter is a fifth of one for the words above.
_TO_HINT: Final = re.compile("o(?<=[Tt]o):? [A-Z]")
_NAME_HINT: Final = re.compile("ame(?: is|:|'s| [A-Z])")


def may_hold_names(text: str) -> object:
    """In a text without Chinese: a hint of somebody's name."""
    return (
        _TO_HINT.search(text)
        or _NAME_HINT.search(text)
        or "ecipient" in text
        or "onsignee" in text
        or "ttn" in text
        or "TTN" in text
    )


def without_names(text: str) -> str:
    """Names of recipients and of whoever introduces themselves become `<name>`; those in passing stay."""
    if holds_han(text):
        for pattern in (_WITH_COLON, _WITHOUT_COLON, _BEFORE, _BETWEEN):
            text = pattern.sub(_chinese, text)
    for pattern in (_SHIP_TO, _NAMED, _MY_NAME):
        text = pattern.sub(_english, text)
    return text


def _chinese(match: re.Match[str]) -> str:
    return match[0] if _NO_NAME.match(match[2]) else f"{match[1]}<name>"


def _english(match: re.Match[str]) -> str:
    return match[0] if _NO_NAME_EN.match(match[2]) else f"{match[1]}<name>"
