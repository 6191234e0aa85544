"""The alert rules: what makes one event worth a person's look.

A rule is a pure function of the event, the customer's turns (the event's own is the last) and the settings; it answers
with a `Finding` or None. To add one: its settings as a section of `Rules`, the function, its place in `RULES`, a line
in `default_rules.toml` and a sentence a language in `wording.py`. Whether a finding becomes an alert is decided in
`incidents.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from statistics import fmean
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from schemas.events import SentimentScored
from stream_app.alerting.state import TURNS_KEPT, KeptTurn

Severity = Annotated[int, Meta(ge=1, le=4)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class AngryMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """A single message that the model judges angry."""

    enabled: bool = True
    severity: Severity = 2
    severe_anger: Share = 0.95
    severe_severity: Severity = 3


class LastingAnger(Struct, frozen=True, forbid_unknown_fields=True):
    """Anger that stays over several turns, though none of them may be angry by itself."""

    enabled: bool = True
    turns: Annotated[int, Meta(ge=2, le=TURNS_KEPT)] = 3
    mean_anger: Share = 0.4
    severity: Severity = 3


class IncidentLife(Struct, frozen=True, forbid_unknown_fields=True):
    """When an incident alerts again and when it closes."""

    escalations: Annotated[int, Meta(ge=0, le=3)] = 1
    calm_anger: Share = 0.3
    calm_turns: Annotated[int, Meta(ge=1, le=100)] = 3
    quiet_minutes: Annotated[int, Meta(ge=1)] = 1440


class Remembering(Struct, frozen=True, forbid_unknown_fields=True):
    """How long and how much the alert memory keeps."""

    days: Annotated[int, Meta(ge=1, le=365)] = 7
    quote_characters: Annotated[int, Meta(ge=20, le=2000)] = 160


class Rules(Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting of the rules."""

    angry_message: AngryMessage = AngryMessage()
    lasting_anger: LastingAnger = LastingAnger()
    incident: IncidentLife = IncidentLife()
    memory: Remembering = Remembering()

    def version(self) -> str:
        """Changes when a setting does; goes into every alert. Comments and the order in the file do not count."""
        return sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:12]


class Finding(NamedTuple):
    """A rule that holds for an event. `numbers` fill its sentence in `wording.py`."""

    rule: str
    severity: int
    numbers: dict[str, object]


def angry_message(event: SentimentScored, turns: Sequence[KeptTurn], rules: Rules) -> Finding | None:
    """The bundle's own threshold decides what is angry; how angry decides how severe."""
    settings = rules.angry_message
    if not (settings.enabled and event.angry):
        return None
    severity = settings.severe_severity if event.anger >= settings.severe_anger else settings.severity
    return Finding(
        "angry_message", severity, {"anger": event.anger, "score": event.score, "intensity": event.intensity}
    )


def lasting_anger(event: SentimentScored, turns: Sequence[KeptTurn], rules: Rules) -> Finding | None:
    """A customer who has just calmed down is not reported for the turns before."""
    settings = rules.lasting_anger
    if not settings.enabled or len(turns) < settings.turns or event.anger < rules.incident.calm_anger:
        return None
    angers = [turn.anger for turn in turns[-settings.turns :]]
    mean = fmean(angers)
    if mean < settings.mean_anger:
        return None
    in_order = ", ".join(f"{anger:.2f}" for anger in angers)
    return Finding(
        "lasting_anger",
        settings.severity,
        {"mean": mean, "count": len(angers), "turns": in_order, "limit": settings.mean_anger},
    )


Rule = Callable[[SentimentScored, Sequence[KeptTurn], Rules], Finding | None]
RULES: tuple[Rule, ...] = (angry_message, lasting_anger)


def most_severe(event: SentimentScored, turns: Sequence[KeptTurn], rules: Rules) -> Finding | None:
    """The gravest finding; of equals, the one whose rule stands first."""
    worst: Finding | None = None
    for rule in RULES:
        finding = rule(event, turns, rules)
        if finding is not None and (worst is None or finding.severity > worst.severity):
            worst = finding
    return worst
