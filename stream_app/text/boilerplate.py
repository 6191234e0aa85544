"""Sentences that nobody wrote about this purchase: defaults of the shop system, advertisements, mail signatures.

A pattern counts only where it fills a whole clause. "默认好评" alone is the shop's default; "说好的好评返现没给我" and
"我都默认好评的，这次忍不了" are complaints and stay as they are.
"""

import re
from typing import Final

from stream_app.text.hints import holds_han

# The platform's words in place of a review. They fill a sentence.
DEFAULTS: Final = (
    "(?:此|该|本)?(?:用户|买家|顾客|客户)(?:没有|未|暂未|尚未|暂无)(?:及时)?(?:填写|写|发表|作出|做出|给出|提供)?(?:任何)?"
    "(?:文字)?(?:评价|评论|点评)(?:内容)?",
    "(?:系统|平台|自动)?默认(?:给予|给出|为)?(?:好评|五星好评|5星好评|评价)",
    "(?:评价方|买家|用户|顾客)?未(?:及时|按时|在规定时间内)?(?:做出|作出|进行|给出)?评价[,，]?系统(?:自动)?默认好评",
    "(?:超时)?系统自动(?:好评|评价|确认)",
    "暂无(?:评价|评论|文字评价|内容)",
    "(?:评价|追评|晒单)内容(?:为空|已删除|已隐藏|已屏蔽)",
    "[Tt]h(?:e|is) (?:user|buyer|customer|reviewer) (?:did not|didn't|has not|hasn't) "
    "(?:leave|left|written?|write|provided?) (?:a|any) (?:review|comment|feedback)s?",
    "[Nn]o (?:written )?(?:review|comment|feedback) (?:was )?(?:left|provided|given)",
    "(?:[Aa]utomatic|[Dd]efault) (?:positive )?(?:review|rating|feedback)(?: by (?:the )?system)?",
)

_REWARD: Final = "(?:红包|优惠券|现金|福利|礼品|[0-9]{1,3}元)"
_FREE: Final = "(?: ?a| ?your| ?free)*"
# Somebody's advertisement pasted as a review: an invitation and a reward, so that a complaint about one stays.
ADVERTISEMENTS: Final = (
    r"(?:请|快|速|赶紧)?(?:加|添加|\+)(?:我|店主|客服|老板)?(?:微信|薇信|威信|[vV]信|[vV][xX]|[wW][xX]|QQ|qq|扣扣)(?:号|群)?"
    rf"[:： ]?[A-Za-z0-9_-]{{0,20}}(?:即可|可以|就)?(?:免费)?(?:领取?|送|拿|返){_REWARD}+",
    f"(?:全|全五星|五星|5星|晒图|带图)?好评(?:即返|立返|返|送|领)(?:现金?)?{_REWARD}",
    f"(?:扫码|扫描二维码|关注公众号|关注店铺)(?:即可|可以|就)?(?:领取?|送){_REWARD}",
    "(?:专业|长期|高价)?(?:刷单|刷好评|代写评价|网络兼职)[,，]?(?:日结|日赚[0-9]{2,5}元?|日入[0-9]{2,5}元?)",
    "(?:在家|轻松)?兼职日(?:赚|入)[0-9]{2,5}元?",
    "[Aa]dd (?:my|our|me on) (?:[Ww]e[Cc]hat|[Ww]hats[Aa]pp|[Tt]elegram)[:,]? ?[A-Za-z0-9_+-]{0,20} "
    rf"(?:to|for|and) (?:get|claim|receive)?{_FREE} ?(?:coupons?|red packets?|gifts?|cash|discounts?)",
    rf"(?:[Cc]lick|[Tt]ap) (?:the |this )?link (?:below )?(?:to|for) (?:get|claim|receive)?{_FREE} ?"
    "(?:coupons?|gifts?|cash|prizes?|gift cards?)",
    r"[Ee]arn \$?[0-9]{2,5} ?(?:a|per) (?:day|week) (?:working )?from home",
)

# What a telephone or an app adds by itself.
SIGNATURES: Final = (
    "(?:来自|发自|由)(?:我的)?(?:iPhone|iPad|Android|安卓|华为|小米|手机|vivo|OPPO|三星)(?: ?[A-Za-z0-9]{1,12}){0,3}"
    "(?:客户端|手机|发送)?",
    "(?:[Ss]ent|[Pp]osted|[Tt]weeted) (?:from|via|with) (?:my|the) "
    "(?:iPhone|iPad|Android|Galaxy|BlackBerry|mobile|phone)(?: (?:phone|device|app))?",
    "[Gg]et Outlook for (?:iOS|Android)",
    "(?:分享|转发)自[@ ]?[\u4e00-\u9fffA-Za-z0-9]{1,8}(?:客户端|空间|网|新闻|财经|头条|视频|视野)",
)

_STOPS: Final = r"\s。！!？?；;“”\"【】\[\]（）()…~～"
_COMMAS: Final = rf"{_STOPS}，,、'‘’.:：*#|/\-"
_SENTENCE: Final = rf"(?<![^{_STOPS}])(?:{'|'.join(DEFAULTS)})(?![^{_STOPS}.])"
_CLAUSE: Final = rf"(?<![^{_COMMAS}])(?:{'|'.join((*ADVERTISEMENTS, *SIGNATURES))})(?![^{_COMMAS}])"
_BOILERPLATE: Final = re.compile(rf"(?:{_SENTENCE}|{_CLAUSE})[。！!，,；;.~～\s]*")

# One of these is in whatever the patterns match. Literals only: a branch that begins with a set costs ten times more.
_HINT: Final = re.compile(
    "默认|用户没|用户未|用户暂|用户尚|买家没|买家未|买家暂|买家尚|客户没|客户未|客户暂|客户尚|顾客没|顾客未|顾客暂|顾客尚|及时评价"
    "|评价内容|追评内容|晒单内容|系统自动|暂无|红包|返现|即返|立返|好评返|好评送|好评领|领取|领优惠|领现金|领福利|领礼品|送优惠"
    "|送现金|送福利|送礼品|刷单|刷好评|代写|兼职|微信|薇信|威信|v信|V信|vx|VX|wx|WX|QQ|qq|扣扣|来自|发自|由我的|由手机"
    "|分享自|转发自"
    "|did not|didn't|has not|hasn't|o written|o review|o comment|o feedback|utomatic|efault|dd my|dd our|dd me on|lick "
    "|ap the link|ap this link|ap link|arn |ent from|ent via|ent with|osted |weeted |et Outlook"
)
# For texts without Chinese, asked first and at a sixth of the cost: every English pattern holds a blank and one of
# these behind it. The search for a blank skips ahead fastest, the look ahead rules out most words by one letter.
_HINT_ENGLISH: Final = re.compile(
    " (?=[rcfWwTtlvO])(?:review|comment|feedback|rating|[Ww]e[Cc]hat|[Ww]hats[Aa]pp|[Tt]elegram|link|from home"
    "|Outlook for |(?:from|via|with) (?:my|the) [iAGBmp])"
)


def without_boilerplate(text: str) -> tuple[str, bool]:
    """Clauses that match a table above go, with the punctuation behind them. The second value: was there one."""
    if not (holds_han(text) or _HINT_ENGLISH.search(text)) or not _HINT.search(text):
        return text, False
    text, clauses = _BOILERPLATE.subn(" ", text)
    return text, clauses > 0
