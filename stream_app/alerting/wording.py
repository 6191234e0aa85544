"""The sentences an alert gives as its reason, by language: one a rule, filled with the numbers of its finding."""

from collections.abc import Mapping
from typing import Literal

Language = Literal["zh", "en"]

SENTENCES: dict[Language, dict[str, str]] = {
    "en": {
        "angry_message": "Angry message: anger {anger:.2f}, score {score:+.2f}, intensity {intensity} of 5.",
        "lasting_anger": "Anger lasts: mean {mean:.2f} over the last {count} turns ({turns}), limit {limit:.2f}.",
        "escalated": "Escalated from severity {before} to {after}. {reason}",
    },
    "zh": {
        "angry_message": "愤怒消息：愤怒值 {anger:.2f}，情感分 {score:+.2f}，强度 {intensity}/5。",
        "lasting_anger": "持续愤怒：最近 {count} 轮平均愤怒值 {mean:.2f}（{turns}），上限 {limit:.2f}。",
        "escalated": "严重程度由 {before} 级升至 {after} 级。{reason}",
    },
}


def reason(language: Language, rule: str, numbers: Mapping[str, object], escalation: tuple[int, int] | None) -> str:
    """Why an alert exists; for an escalation, from which severity to which."""
    said = SENTENCES[language][rule].format_map(numbers)
    if escalation is None:
        return said
    before, after = escalation
    return SENTENCES[language]["escalated"].format(before=before, after=after, reason=said)
