"""The same sentence as another customer would have typed it: the label stays, the characters do not.

One alteration a text, each of a kind that real traffic has and that cleaning does not undo: typing errors, homophones
(垃圾 → 拉圾), words pulled apart, traditional characters, emoji at the end, no punctuation. A negation is never lost
and never made: such a text stays as it was.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache

from stream_app.text.model_input import ModelInput, prepare
from trainer.slices import NEGATION

_HAN = re.compile(r"[\u4e00-\u9fff]")
_LETTERS = re.compile(r"[a-z]{4,}")
_PUNCTUATION = re.compile(r"[,.!?;:，。！？；：、]+")
_PLACEHOLDER = re.compile(r"<[a-z]+>|\[[^\[\]]{1,10}\]")
NEUTRAL_EMOJI = "🙂📦👀🙏💬📱"
# Frequent characters with several readings or none of the others' meaning are what homophone errors are made of.
_FREQUENT = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方"
    "多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情"
    "明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给"
    "世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太"
    "量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象"
    "完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运笔货差坏垃圾骗退款客服卖家破烂"
)


def augment(made: ModelInput, rng: random.Random) -> ModelInput:
    """`made` with its text altered in one way; prepared again, so that the model sees what serving would give it."""
    if not made.text:
        return made
    kinds = _CHINESE if len(_HAN.findall(made.text)) * 3 > len(made.text) else _LATIN
    altered = prepare(rng.choice(kinds)(made.text, rng)).text
    if not altered or len(NEGATION.findall(altered)) != len(NEGATION.findall(made.text)):
        return made
    return made._replace(text=altered)


def _homophone(text: str, rng: random.Random) -> str:
    places = [i for i, char in enumerate(text) if len(_same_sound().get(char, "")) > 1]
    return _replace_some(text, places, rng, lambda char: rng.choice(_same_sound()[char]))


def _traditional(text: str, rng: random.Random) -> str:
    return _converter()(text)


def _drop_character(text: str, rng: random.Random) -> str:
    inside = [i for i in range(1, len(text) - 1) if text[i].isalpha() and not _near_placeholder(text, i)]
    if len(inside) < 6:
        return text
    place = rng.choice(inside)
    return text[:place] + text[place + 1 :]


def _swap(text: str, rng: random.Random) -> str:
    words = [m for m in _LETTERS.finditer(text) if not _near_placeholder(text, m.start())]
    if not words:
        return text
    word = rng.choice(words)
    place = rng.randrange(word.start() + 1, word.end() - 1)
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _no_punctuation(text: str, rng: random.Random) -> str:
    return _PUNCTUATION.sub(" ", text).strip()


def _spaces(text: str, rng: random.Random) -> str:
    """Gaps between characters, as of people who type with spaces for commas."""
    places = [i for i in range(1, len(text)) if _HAN.match(text[i]) and _HAN.match(text[i - 1])]
    for place in sorted(rng.sample(places, min(len(places), 1 + len(text) // 20)), reverse=True):
        text = text[:place] + " " + text[place:]
    return text


def _emoji(text: str, rng: random.Random) -> str:
    return text + rng.choice(NEUTRAL_EMOJI)


Alteration = Callable[[str, random.Random], str]
_CHINESE: tuple[Alteration, ...] = (
    _homophone, _homophone, _traditional, _traditional, _drop_character, _no_punctuation, _spaces, _emoji,
)  # fmt: skip
_LATIN: tuple[Alteration, ...] = (
    _swap, _swap, _drop_character, _drop_character, _no_punctuation, _emoji,
)  # fmt: skip


def _replace_some(text: str, places: list[int], rng: random.Random, other: Callable[[str], str]) -> str:
    characters = list(text)
    for place in rng.sample(places, min(len(places), 1 + len(text) // 15)):
        characters[place] = other(characters[place])
    return "".join(characters)


def _near_placeholder(text: str, place: int) -> bool:
    return any(m.start() <= place < m.end() for m in _PLACEHOLDER.finditer(text))


@cache
def _same_sound() -> dict[str, str]:
    """Frequent character -> the frequent characters that sound like it, itself left out where there are others."""
    from pypinyin import lazy_pinyin

    by_sound: dict[str, list[str]] = defaultdict(list)
    for char in dict.fromkeys(_FREQUENT):
        by_sound[lazy_pinyin(char)[0]].append(char)
    return {char: "".join(group) for group in by_sound.values() for char in group}


@cache
def _converter() -> Callable[[str], str]:
    from opencc import OpenCC

    convert: Callable[[str], str] = OpenCC("s2t").convert
    return convert
