"""Words pulled apart so that a filter does not see them: 垃-圾, 骗.子, 垃 圾 商 家, f.u.c.k, s c a m.

Ordinary text is full of separators (3.5, U.S.A., a-b, 10 x 20, 红 黄 蓝). Letters are joined only where the word they
make is in a table below, or where five or more single characters in a row leave no other reading.
"""

import re
from typing import Final

from stream_app.text.hints import holds_han
from stream_app.text.words import words

_HAN: Final = r"\u3400-\u4dbf\u4e00-\u9fff"
_LOUD: Final = r"*_|\\^#=+·•"  # nobody writes these between the end of one clause and the next
_QUIET: Final = r" .\-~/'—"
_ANY: Final = rf"[{_LOUD}{_QUIET}]{{1,3}}"

# The characters of these do not meet across a clause boundary: joined wherever only separators stand between them.
ALWAYS: Final = words(
    """垃圾 骗子 傻逼 傻B 傻叉 煞笔 沙雕 王八蛋 王八 混蛋 混账 滚蛋 操你 草你 草泥马 尼玛 你妈的 他妈的 妈的 他妈 诈骗
    欺诈 奸商 坑爹 流氓 无赖 贱人 贱货 婊子 智障 脑残 白痴 狗屎 人渣 败类 投诉 举报 维权 缺德 卧槽 我靠 去死 无耻"""
)
# "质量差 评价高", "可恶 心情": joined only with loud separators, or where no other character touches the word.
ALONE: Final = words(
    """差评 假货 退货 退款 退钱 赔偿 赔钱 骗人 骗钱 坑人 黑店 黑心 恶心 废物 狗日 曝光 微信 加微信 刷单 无良 太差 很差
    难用 难吃 假的 二手货 工商局 消协"""
)
LATIN: Final = words(
    """arse arsehole ass asshole awful bastard bitch broken bullshit cheat cheater cheaters cheats con crap cunt damn
    dick fake faker fraud fuck fucked fucker fuckers fucking garbage hate horrible idiot idiots jerk junk kill lawyer
    liar liars lies moron motherfucker piss police pussy rape refund ripoff robbery robbed rubbish scam scammed scammer
    scammers scams shit shitty slut steal stolen stupid suck sucks sue terrible theft thief thieves trash useless whore
    worst wtf"""
)
_TABLED: Final = ALWAYS | ALONE
_SHORTEST: Final = min(map(len, LATIN))
_LONGEST: Final = max(map(len, LATIN))


def _apart(table: frozenset[str], separator: str) -> list[str]:
    longest_first = sorted(table, key=lambda word: (-len(word), word))
    return [separator.join(map(re.escape, word)) for word in longest_first]


_WORD: Final = re.compile(
    "|".join(
        (
            *_apart(ALWAYS, _ANY),
            *_apart(ALONE, rf"[{_LOUD}]{{1,3}}"),
            *(rf"(?<![{_HAN}]){word}(?![{_HAN}])" for word in _apart(ALONE, _ANY)),
        )
    )
)
# Where a word could begin; the words themselves are sixty times dearer to look for.
_WORD_HINT: Final = re.compile(
    f"[{''.join(sorted({word[0] for word in _TABLED}))}]{_ANY}[{''.join(sorted({word[1] for word in _TABLED}))}]"
)
_HAN_ROW: Final = re.compile(rf"(?<![{_HAN}])[{_HAN}](?:{_ANY}[{_HAN}]){{2,}}(?![{_HAN}])")
# It begins with a separator, which is rarer than a character.
_HAN_ROW_HINT: Final = re.compile(rf"{_ANY}[{_HAN}]{_ANY}")
_LONG_ROW: Final = 5
_LATIN_ROW: Final = re.compile(
    # the look behind comes second, since a search that begins with a set skips ahead
    rf"[A-Za-z](?<![A-Za-z0-9{_LOUD}][A-Za-z])([{_LOUD}{_QUIET}]{{1,2}})[A-Za-z](?:\1[A-Za-z])+(?![A-Za-z0-9])"
)
# The last two letters of a row and the separators before them. " a b " is rare, a letter is not.
_LATIN_ROW_HINT: Final = re.compile(rf"([{_LOUD}{_QUIET}])[A-Za-z][{_LOUD}{_QUIET}]?\1[A-Za-z](?![A-Za-z0-9])")
_SEPARATORS: Final = re.compile(rf"[{_LOUD}{_QUIET}]+")


def joined(text: str) -> tuple[str, bool]:
    """Words of the tables lose the separators inside them. The second value: was any word pulled apart."""
    before = text
    if holds_han(text):
        if _HAN_ROW_HINT.search(text):
            text = _HAN_ROW.sub(_han_row, text)
        if _WORD_HINT.search(text):
            text = _WORD.sub(_without_separators, text)
    if _LATIN_ROW_HINT.search(text):
        text = _LATIN_ROW.sub(_latin_row, text)
    return text, text != before


def _without_separators(match: re.Match[str]) -> str:
    return _SEPARATORS.sub("", match[0])


def _han_row(match: re.Match[str]) -> str:
    """`垃 圾 商 家` → `垃圾商家`; 红 黄 蓝 and 脏 吵 小 慢 stay."""
    characters = _SEPARATORS.sub("", match[0])
    pairs = (characters[at : at + 2] in _TABLED for at in range(len(characters) - 1))
    return characters if len(characters) >= _LONG_ROW or any(pairs) else match[0]


def _latin_row(match: re.Match[str]) -> str:
    """`f.u.c.k` → `fuck`, `a s c a m` → `a scam`; U.S.A., S M L and a-b-c stay: they make no word of the table."""
    separator = match[1]
    letters = _SEPARATORS.sub("", match[0])
    lower = letters.lower()
    parts: list[str] = []
    start = 0
    while start < len(letters):
        longest = min(_LONGEST, len(letters) - start)
        lengths = (n for n in range(longest, _SHORTEST - 1, -1) if lower[start : start + n] in LATIN)
        end = start + next(lengths, 1)
        parts.append(letters[start:end])
        start = end
    return separator.join(parts)
