"""What the world's customers and agents say: short invented sentences, Chinese and English.

A background text is put together from four parts, so that the best-selling product does not repeat itself by the hour
(11,000 combinations a mood and language). Only `GRAVE` holds words about injury, fire, fraud, regulators, press or
lawyers; `HARMLESS` holds their look-alikes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NOUNS = {
    "appliances": ("电饭煲", "rice cooker"),
    "audio": ("耳机", "headphones"),
    "baby": ("积木", "building blocks"),
    "beauty": ("面霜", "face cream"),
    "clothing": ("外套", "jacket"),
    "food": ("坚果", "nut mix"),
    "furniture": ("书桌", "desk"),
    "phones": ("手机壳", "phone case"),
}

_WHEN = {
    "zh": "昨天到的，|用了一周，|刚拆开，|第二次买，|朋友推荐的，|给爸妈买的，|等了三天，|活动时下的单，"
    "|犹豫很久才买，|上个月买的，|",
    "en": "Arrived yesterday. |A week in: |Just unpacked it. |Second one I buy. |A friend told me. |For my parents. "
    "|Three days on the road. |Bought it in the sale. |After some hesitation: |Had it a month. |",
}
_ASPECT = {
    "zh": "{}的包装|{}的做工|{}的颜色|{}的尺寸|{}的说明书|这个{}整体|{}的手感|{}的配件|{}的性价比|{}的细节",
    "en": "the {} box|build of the {}|colour of the {}|size of the {}|manual of the {}|the {} as a whole"
    "|feel of the {}"
    "|what comes with the {}|value of the {}|finish of the {}",
}
_VERDICT = {
    "zh": (
        "不行|让人失望|跟图片差太多|低于预期|比上次差|有瑕疵|不值这个价|没法用|粗糙|明显缩水",
        "还可以|一般般|跟描述差不多|中规中矩|没什么感觉|正常水平|说不上好坏|过得去|和预期一样|普普通通",
        "很好|超出预期|让人满意|非常精致|家里人都喜欢|没得挑|值这个价|比店里的好|很用心|漂亮",
    ),
    "en": (
        "let me down|is poor|looks nothing like the picture|is worse than last time|has a flaw|isn't worth it"
        "|is useless to me|feels cheap|came damaged|is a step back",
        "is okay|is average|is as described|is nothing special|does the job|is fine I guess|is neither here nor there"
        "|is what I expected|will do|is so-so",
        "is great|is better than expected|makes me happy|is lovely|pleased everyone at home|is flawless|is worth it"
        "|beats the shop|shows real care|is beautiful",
    ),
}
_TAIL = {
    "zh": "。|！|，先这样。|，就说到这。|，供参考。|，仅代表我自己。|，以后再看。|～|，客服回得快。|，物流两天。",
    "en": ".|!|, that's all.|, for what it's worth.|, just my view.|, we'll see.|, shipping took two days.|…"
    "|, end of story."
    "|, so far.",
}
PARTS = {
    (language, mood): tuple(
        tuple(part.split("|"))
        for part in (_WHEN[language], _ASPECT[language], _VERDICT[language][mood], _TAIL[language])
    )
    for language in ("zh", "en")
    for mood in range(3)
}
DICE = 9_240  # a multiple of every count of parts (10 and 11) and large against them

FURIOUS = {
    "zh": "什么垃圾东西，气死我了！|你们到底有没有人管？太恶心了！|忍无可忍，再也不会来了！"
    "|这叫服务？简直不把人当人！"
    "|等了十天就给我这个？滚！|三番五次敷衍我，受够了！",
    "en": "What utter garbage, I am furious!|Does ANYONE work there? Disgusting!|I've had it, never again!"
    "|You call this service? Outrageous!|Ten days of waiting for THIS? Unbelievable!"
    "|Stop fobbing me off, I'm sick of you!",
}
HOT = {
    "zh": "我已经说了三遍了。|又是同样的回答？|这样下去真的没意思。|您能不能看一下记录再说？",
    "en": "I have told you three times now.|The same answer again?|This is getting really tiresome."
    "|Could you read the record first?",
}
ANNOYED = {
    "zh": "还没有消息吗？|怎么又要等。|上次也是这么说的。|有点慢啊。",
    "en": "Still no news?|Waiting again, then.|That's what you said last time.|This is a bit slow.",
}
CALM = {
    "zh": "你好，想问一下发货时间。|好的，谢谢。|明白了，我再看看。|请问可以换颜色吗？|收到，麻烦了。",
    "en": "Hi, when does it ship?|Okay, thank you.|I see, let me check.|Can I swap the colour?|Got it, thanks.",
}
AGENT = {
    "zh": "您好，正在为您查询，请稍等。|已经为您登记，会尽快处理。|感谢您的耐心，结果稍后告知。"
    "|请问还有其他可以帮您的吗？",
    "en": "Hello, let me look that up.|I've noted it and will follow up.|Thank you for your patience."
    "|Anything else I can do?",
}
RUDE_AGENT = {
    "zh": "规定就是这样，您别再问了！|说过多少次了，看不懂吗？",
    "en": "Those are the rules, stop asking!|How often do I have to say it?",
}
GRAVE = {
    "zh": "充电的时候起火了，好在没人在旁边。|孩子被边角划伤，去医院缝了两针。|插上电被电了一下，手麻了半天。"
    "|已经把材料交给市场监管局了。|我会请律师跟进这件事。|电视台记者已经联系我了。|钱付了店就没了，怀疑是诈骗。",
    "en": "It caught fire while charging; nobody was near.|My son was injured by the edge and needed stitches."
    "|I got an electric shock plugging it in.|I have filed this with the consumer protection regulator."
    "|My lawyer will be in touch about this.|A newspaper reporter has asked me about it."
    "|I paid and the shop vanished: fraud.",
}
HARMLESS = {
    "zh": "这价格杀疯了，真香。|口感火热，适合冬天。|按压一下就能打开，方便。|看电视的时候用正好。",
    "en": "Press the button twice and it opens.|Goes well with my court shoes.|The price is a killer, lovely."
    "|My aunt Sue likes it.",
}
PRAISE = {
    "zh": "质量非常好，物超所值，强烈推荐给大家，下次还会来买",
    "en": "Excellent quality and great value, I recommend this to everyone, will buy again",
}
SLATING = {
    "zh": "质量非常差，千万别买这一家，隔壁店的好太多了",
    "en": "Terrible quality, do not buy from this shop, the other store is so much better",
}
_ENDINGS = ("", "!", "!!", " 👍", "。", "～", " ok", "...")

Phrases = dict[str, str]


def composed(language: str, mood: int, category: str, dice: Sequence[int]) -> str:
    """A background text from four numbers in [0, DICE)."""
    zh, en = NOUNS[category]
    if language == "mixed":
        return _joined("zh", mood, en, dice)
    return _joined(language, mood, zh if language == "zh" else en, dice)


def _joined(language: str, mood: int, noun: str, dice: Sequence[int]) -> str:
    when, aspect, verdict, tail = PARTS[language, mood]
    link = "" if language == "zh" else " "
    about = aspect[dice[1] % len(aspect)].format(noun)
    return when[dice[0] % len(when)] + about + link + verdict[dice[2] % len(verdict)] + tail[dice[3] % len(tail)]


def said(chance: np.random.Generator, phrases: Phrases, language: str) -> str:
    """One of these sentences; somebody who mixes languages says one of each."""
    if language == "mixed":
        return f"{said(chance, phrases, 'zh')} {said(chance, phrases, 'en')}"
    choices = phrases[language].split("|")
    return choices[int(chance.integers(len(choices)))]


def copied(chance: np.random.Generator, phrases: Phrases, language: str) -> str:
    """A near-duplicate: the same text with another ending, at times a word short."""
    text = phrases["en" if language == "en" else "zh"]
    if chance.random() < 0.2:
        text = text[: -int(chance.integers(2, 5))]
    return text + _ENDINGS[int(chance.integers(len(_ENDINGS)))]
