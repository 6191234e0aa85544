"""HTML, entities and links: what a web page put around the words."""

import html
import re
from typing import Final

LINK: Final = "<link>"

# Rounds before we stop peeling (&amp;amp;lt; needs three, <<b>b> two); whoever nests deeper gets spaces instead.
_MAX_ROUNDS: Final = 6

_INLINE: Final = (
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|del|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u"
    "|var|wbr"
)
_BLOCK: Final = (
    "address|applet|area|article|aside|audio|base|blockquote|body|br|button|canvas|caption|center|col|colgroup|dd|details"
    "|dialog|dir|div|dl|dt|embed|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe"
    "|img|input|label|legend|li|link|main|map|menu|meta|nav|noscript|object|ol|optgroup|option|p|param|picture|pre"
    "|section|select|source|style|script|summary|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|ul|video"
)
# `a <b and c> d` is arithmetic: a tag with more than a name has an attribute with "=", and <link> and <address> with
# nothing else in them are our own placeholders.
_TAG: Final = re.compile(
    rf"(?!<(?:link|address)>)</?(?:(?P<inline>{_INLINE})|{_BLOCK})(?:[\s/][^<>=]*=[^<>]*|\s*/?)>"
    r"|</[a-z][a-z0-9]*(?:[:-][a-z0-9]+)*\s*>|<![a-z\[][^<>]*>|<\?[a-z][^<>]*>",
    re.IGNORECASE,
)
_HIDDEN_EDGE: Final = re.compile(r"<!--|-->|<(?P<close>/?)(?P<name>script|style)(?:\s[^<>]*)?>", re.IGNORECASE)

# With a semicolon any name; without one only those that people's forms really produce: "?a=1&copy=2" is a link.
_ENTITY: Final = re.compile(
    r"&(?:#[0-9]{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]{1,30};|(?:nbsp|amp|lt|gt|quot)(?![A-Za-z0-9=]))"
)
_ESCAPED_AMPERSANDS: Final = re.compile(r"&(?:amp;)+")

_URL_CHARS: Final = r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]"
_LINK: Final = re.compile(
    rf"(?:https?|ftp):/{{0,2}}[A-Za-z0-9]{_URL_CHARS}{{2,2000}}"
    rf"|(?<![\w@.-])www\.[A-Za-z0-9-]{{1,63}}\.[A-Za-z]{_URL_CHARS}{{0,2000}}"
    # a bare domain is a brand ("Amazon.com"); with a path behind it, it is a link
    rf"|(?<![A-Za-z0-9@._-])(?:[A-Za-z0-9-]{{1,63}}\.){{1,4}}(?:com|cn|net|org|io|co|me|cc|top|ly|gl|shop|xyz)/"
    rf"[A-Za-z0-9]{_URL_CHARS}{{0,2000}}",
    re.IGNORECASE,
)
# What every link holds, of which the search begins with one of two rare characters: `_LINK` costs ten times more.
_LINK_HINT: Final = re.compile(r":(?<=[pPsSſ]:)/{0,2}\w|\.\w{2,4}/|\.(?<=[wW]\.)[\w-]")


def without_markup(text: str) -> tuple[str, bool]:
    """Entities become characters, tags go (a space stays where a block tag stood), scripts and styles go whole.

    The words between other tags stay. The second value: was there anything to take out.
    """
    if "<" not in text and "&" not in text:
        return text, False
    before = text
    for _ in range(_MAX_ROUNDS):
        peeled = _TAG.sub(_tag_gone, _without_hidden(_ENTITY.sub(_character, _ESCAPED_AMPERSANDS.sub("&", text))))
        if peeled == text:
            return text, text != before
        text = peeled
    return _ENTITY.sub(" ", _TAG.sub(" ", text)).replace("<", " ").replace("&", " "), True


def without_links(text: str) -> tuple[str, bool]:
    """A link becomes `<link>`: where it led is noise (and may carry a person's token), that there was one is not."""
    if "." not in text and "://" not in text:
        return text, False
    if not ((":" in text or "/" in text or "www." in text.lower()) and _LINK_HINT.search(text)):
        return text, False
    text, links = _LINK.subn(_link_named, text)
    return text, links > 0


def _without_hidden(text: str) -> str:
    """Comments, scripts and styles with their content, in one pass: a tag that is never closed hides nothing."""
    kept: list[str] = []
    start = 0  # of the text not yet copied
    opened: tuple[int, str] | None = None
    for edge in _HIDDEN_EDGE.finditer(text):
        name = (edge["name"] or "--").lower()
        closes = edge[0] == "-->" or edge["close"] == "/"
        if opened is None and not closes:
            opened = (edge.start(), name)
        elif opened is not None and closes and opened[1] == name:
            kept += (text[start : opened[0]], " ")
            start, opened = edge.end(), None
    return "".join((*kept, text[start:])) if start else text


def _tag_gone(match: re.Match[str]) -> str:
    return "" if match["inline"] else " "


def _character(match: re.Match[str]) -> str:
    return html.unescape(match[0])


def _link_named(match: re.Match[str]) -> str:
    """The sentence's own punctuation behind a link is not part of it."""
    link = match[0]
    return LINK + link[len(link.rstrip(".,;:!?'()[]")) :]
