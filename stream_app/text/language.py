"""Which language a text is in, as coarsely as the models need it: zh, en, mixed or other."""

import re
from typing import Final, Literal

from stream_app.text.words import words

# Placeholders of ours (<phone>), markers of the sources ([数字x]) and names of emoji ([good], [允悲]).
_NO_WORDS: Final = re.compile(r"<[a-z]{2,8}>|\[[^\[\]<>]{1,10}\]")
_HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002a6df"
_HAN_LETTERS: Final = re.compile(f"[{_HAN}]")
_LATIN: Final = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
# What is neither Han nor Latin: Greek, Cyrillic, Hebrew, Arabic, Indic, Thai, kana, Hangul …
_FOREIGN: Final = (
    "\u0370-\u1cff\u2c80-\u2cff\u3041-\u3096\u30a1-\u30fa\u3105-\u318e\ua000-\ua4cf\ua980-\uabff\uac00-\ud7a3"
    "\uff66-\uffdc"
)
_NOT_HAN: Final = re.compile(f"[{_LATIN}{_FOREIGN}]")
_FOREIGN_LETTERS: Final = re.compile(f"[{_FOREIGN}]")
_LATIN_LETTERS: Final = re.compile(f"[{_LATIN}]")
_WORD: Final = re.compile(f"[{_LATIN}]+(?:['’][{_LATIN}]+)?")
_ACCENTS: Final = "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff¿¡"
_ACCENTED: Final = re.compile(f"[{_ACCENTS}]")

# Words that hardly any English sentence avoids, and those of the trade.
_ENGLISH: Final = words(
    """the and is are was were be been this that these those it its it's i i'm you he she we they my your his her our
    their not don't didn't doesn't won't can't isn't wasn't do does did have has had will would could should can of to
    for with from at by on but so if or because very too just only never always ever good bad great nice love like poor
    terrible awful worst best better well thanks thank please product quality price item order shipping delivery
    service refund return money time buy bought get got what when where who why how which all any some much more than
    then there here out up off now again after before work works worked used use using dont cant wont"""
)
# The same for German, French, Spanish, Italian and Portuguese, without what is English too (die, me, on, son, as, no).
_OTHERS: Final = words(
    """der das und ist nicht ich ein eine einen sie wir mit auf für von zu dem den des auch sehr gut schlecht aber nur
    wie wurde hat haben kein keine leider bei nach noch wenn mir mich aus dass sich es alles gerne etwas voll schnelle
    lieferung angekommen bestellt
    le la les et est pas je un une vous nous avec pour dans sur très bien mais que qui ce cette il elle produit du au
    plus bon mauvais livraison recu reçu merci ne se sont beaucoup toute toujours belle bonne facile ces mes par
    el los las una por para en muy pero lo del al como este esta producto calidad bueno malo llegó gracias más mi está
    nada tiene unos ni funciona hace
    gli di che per sono molto bene prodotto ma questo della
    um uma não com muito bom mas produto"""
)
# Latin words of Chinese sentences that do not make them mixed: units, sizes, things that everybody calls so.
_LOAN: Final = words(
    """cm mm kg ml km hz ghz mhz gb mb tb mah app wifi cpu gpu usb led lcd ssd ps pc tv vs vip qq wx vx dvd cd mp iphone
    ipad ios android win windows xp vista office ppt pdf excel word logo diy pk hi hello bb gg jj no yes ok okay sorry
    bye high hold size id bug sim wap web email http https www com cn net made in china kindle mac"""
)
_NO_PROSE: Final = _LOAN | _ENGLISH

# Without one of these a text says no more about its language than its ASCII letters do (’, …, emoji).
_BEYOND_ASCII: Final = re.compile(f"[{_ACCENTS}{_FOREIGN}{_HAN}]")
# For those, as bytes: letters in lower case, all else a blank. Translating and splitting takes a quarter of `_WORD`.
_BLANK: Final = ord(" ")
_ASCII_WORDS: Final = bytes(ord(c.lower()) if c.isascii() and c.isalpha() else _BLANK for c in map(chr, range(256)))
_OTHERS_ASCII: Final = frozenset(word.encode() for word in _OTHERS if word.isascii())


def guess(text: str) -> str:
    """One of "zh", "en", "mixed", "other"; placeholders, digits and emoji do not count.

    "mixed" is Chinese and English sentences or phrases in one text; a brand or a unit in a Chinese sentence is "zh".
    Without any word that speaks for another language, Latin letters are "en".
    """
    if "<" in text or "[" in text:
        text = _NO_WORDS.sub(" ", text)
    if text.isascii() or not _BEYOND_ASCII.search(text):
        ascii_words = text.encode("ascii", "replace").translate(_ASCII_WORDS).split()
        if _OTHERS_ASCII.isdisjoint(ascii_words):
            return "en" if ascii_words else "other"
        return _latin(text, _WORD.findall(text))
    if not _NOT_HAN.search(text):
        return "zh" if _HAN_LETTERS.search(text) else "other"
    han = len(_HAN_LETTERS.findall(text))
    latin = _WORD.findall(text)
    foreign = len(_FOREIGN_LETTERS.findall(text))
    # の and ω decorate Chinese; a tenth of the letters does not
    if foreign > 1 and foreign * 10 >= han + sum(map(len, latin)):
        return "other"
    if not han:
        return _latin(text, latin) if latin else "other"
    return _chinese_or_mixed(han, latin)


def encoder_language(text: str, context: str | None) -> Literal["zh", "en"]:
    """Which encoder of a bundle with several reads a prepared text.

    One Han character is enough for zh, because only that encoder knows any; else one Latin letter outside of
    placeholders is en. A text without either (👍, 666, <phone>) goes where its context goes, and without one to zh.
    """
    return _letters(text) or (_letters(context) if context else None) or "zh"


def _letters(text: str) -> Literal["zh", "en"] | None:
    if not text.isascii() and _HAN_LETTERS.search(text):
        return "zh"
    if "<" in text or "[" in text:
        text = _NO_WORDS.sub(" ", text)
    return "en" if _LATIN_LETTERS.search(text) else None


def _chinese_or_mixed(han: int, latin: list[str]) -> str:
    known = sum(word.lower() in _ENGLISH for word in latin)
    # lower case is prose, capitals are brands
    prose = known + sum(len(word) > 2 and word.islower() and word not in _NO_PROSE for word in latin)
    if known < 2 and prose < 3:
        return "zh"
    if len(latin) > 4 * han:
        return "en"
    return "mixed" if 16 * prose > han else "zh"


def _latin(text: str, latin: list[str]) -> str:
    lower = [word.lower() for word in latin]
    if _OTHERS.isdisjoint(lower) and not _ENGLISH.isdisjoint(lower):
        return "en"
    english = sum(word in _ENGLISH for word in lower)
    others = sum(word in _OTHERS for word in lower)
    # "café" and "Beyoncé" are English too: accents decide only where no English word speaks up
    accents = 0 if english or text.isascii() else len(_ACCENTED.findall(text))
    return "other" if others + accents > english else "en"
