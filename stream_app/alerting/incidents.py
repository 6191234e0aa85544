"""The life of an incident: opened by a finding, worsened by a graver one, closed by calm or by silence.

1. A conversation has at most one open incident; while it is open, no second alert.
2. One exception: a finding more severe than the incident raises it again, `escalations` times at most.
3. It closes after `calm_turns` calm turns of the customer in a row, or when nothing came for `quiet_minutes`.
4. After that the conversation starts afresh: old turns open nothing new.

Time is the events' own. All ids are derived from the events, so a replay names the same incidents and alerts.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

import msgspec

from schemas.events import SentimentScored
from stream_app.alerting.rules import Finding, Rules, most_severe
from stream_app.alerting.state import NOTHING, TURNS_KEPT, Conversation, Incident, kept


class Decision(NamedTuple):
    """An alert to raise."""

    alert_id: str
    incident: str
    finding: Finding
    escalation: tuple[int, int] | None = None  # from which severity to which


def subject(event: SentimentScored) -> str | None:
    """What this event is remembered under; None if no rule can ever hold for it.

    Agents are never judged. A review stands alone, so a review without anger needs no memory: most of the stream.
    """
    if event.source == "review":
        return f"review:{event.event_id}" if event.angry else None
    if event.side != "customer":
        return None
    return f"chat:{event.conversation_id or event.event_id}"


def judge(before: Conversation, event: SentimentScored, rules: Rules) -> tuple[Conversation, Decision | None]:
    """What an event does to its conversation. Pure."""
    # 1. The same event published twice counts once.
    if any(turn.event_id == event.event_id for turn in before.turns):
        return before, None
    turn = kept(event, rules.memory.quote_characters)
    # 2. After a long silence nothing of before counts.
    if before.turns and turn.time_ms - before.newest_ms > rules.incident.quiet_minutes * 60_000:
        before = NOTHING
    # 3. Is there something to report?
    turns = (*before.turns, turn)[-TURNS_KEPT:]
    finding = most_severe(event, turns, rules)
    if finding is None:
        return _calmer(Conversation(turns, before.incident), event, rules), None
    # 4. It opens an incident, worsens the open one, or is part of it.
    incident, decision = _report(before.incident, finding, event, rules)
    return Conversation(turns, incident), decision


def _calmer(conversation: Conversation, event: SentimentScored, rules: Rules) -> Conversation:
    """The conversation with one more calm turn counted, or the count begun again."""
    incident = conversation.incident
    if incident is None:
        return conversation
    calm = incident.calm + 1 if event.anger < rules.incident.calm_anger and not event.angry else 0
    if calm >= rules.incident.calm_turns:
        return NOTHING
    return msgspec.structs.replace(conversation, incident=msgspec.structs.replace(incident, calm=calm))


def _report(
    open_: Incident | None, finding: Finding, event: SentimentScored, rules: Rules
) -> tuple[Incident, Decision | None]:
    if open_ is None:
        opened = Incident(_id("incident", event.conversation_id or "", event.event_id), finding.severity)
        return opened, _decision(opened, finding, event)
    if finding.severity <= open_.severity or open_.escalations >= rules.incident.escalations:
        return msgspec.structs.replace(open_, calm=0), None
    worse = Incident(open_.id, finding.severity, open_.escalations + 1)
    return worse, _decision(worse, finding, event, (open_.severity, worse.severity))


def _decision(
    incident: Incident, finding: Finding, event: SentimentScored, escalation: tuple[int, int] | None = None
) -> Decision:
    return Decision(_id("alert", finding.rule, event.event_id), incident.id, finding, escalation)


def _id(*parts: str) -> str:
    return sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
