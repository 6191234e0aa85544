"""One event, one line: what `tail` and `demo` show of each kind."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from schemas.codec import Undecodable, decode, from_epoch_ms
from schemas.events import (
    AlertRaised,
    ChatMessage,
    DeadLetter,
    Event,
    LabelGiven,
    ModelPromoted,
    ReviewPosted,
    SentimentScored,
)
from stream_app.flow.delivery import Delivery

BAR = 10
LABEL_STYLE = {"negative": "red", "neutral": "bright_black", "positive": "green"}
SEVERITY_STYLE = {1: "cyan", 2: "yellow", 3: "bold yellow", 4: "bold red"}


def line_of(delivery: Delivery) -> Text:
    """The delivery for people. What is no event shows its first bytes."""
    try:
        event = decode(delivery.topic, delivery.value)
    except Undecodable as no:
        at = clock(from_epoch_ms(delivery.timestamp_ms))
        return Text.assemble((f"{at} ", "dim"), (f"{no.reason:<15} ", "red"), excerpt(delivery.value))
    return line(event)


def line(event: Event) -> Text:
    match event:
        case SentimentScored():
            return _sentiment(event)
        case AlertRaised():
            return _alert(event)
        case DeadLetter():
            return _dead_letter(event)
        case ReviewPosted():
            stars = "★" * (event.rating or 0)
            return _said(event.event_time, f"{stars:<5}", event.event_id, event.text)
        case ChatMessage():
            return _said(event.event_time, f"{event.side:<8} {event.turn:>2}", event.conversation_id, event.text)
        case LabelGiven():
            answers = [event.sentiment or "", "" if event.angry is None else "angry" if event.angry else "calm"]
            said = " ".join(filter(None, answers))
            return _said(event.given_at, f"{said:<14}", event.event_id, f"by {event.given_by} {event.note}".rstrip())
        case ModelPromoted():
            return _said(event.promoted_at, "promoted", event.model, event.reason)
        case _:
            return Text(repr(event))


def mood_bar(negative: float, neutral: float, positive: float) -> Text:
    """Ten cells shared out by probability: red, grey, green."""
    red = round(negative * BAR)
    green = min(round(positive * BAR), BAR - red)
    grey = BAR - red - green
    return Text.assemble(("█" * red, "red"), ("░" * grey, "bright_black"), ("█" * green, "green"))


def clock(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S")


def excerpt(payload: bytes | None, length: int = 100) -> str:
    if payload is None:
        return "(null)"
    return one_line(payload[: length * 2].decode("utf-8", "replace"))[:length] or "(empty)"


def one_line(text: str) -> str:
    return " ".join(text.split())


def _sentiment(event: SentimentScored) -> Text:
    who = {"customer": "cust", "agent": "agent", None: "review"}[event.side]
    anger = f"{event.anger:4.2f}{'!' if event.angry else ' '}"
    return Text.assemble(
        (f"{clock(event.event_time)} ", "dim"),
        mood_bar(event.negative, event.neutral, event.positive),
        (f" {event.label[:3]} ", LABEL_STYLE[event.label]),
        ("anger ", "dim"),
        (f"{anger} ", "bold red" if event.angry else "dim"),
        (f"{event.language[:3]:<3} {who:<6}{event.turn or '':>2} ", "dim"),
        (one_line(event.text) or "(nothing was said)", "bold" if event.angry else ""),
    )


def _alert(event: AlertRaised) -> Text:
    where = event.conversation_id or event.product_id or event.event_id
    return Text.assemble(
        (f"{clock(event.raised_at)} ", "dim"),
        (f"▲ alert {event.severity} ", SEVERITY_STYLE.get(event.severity, "bold")),
        (f"{event.rule} ", "bold"),
        (f"{where} ", "cyan"),
        one_line(event.reason),
        (f" “{one_line(event.turns[-1].text)}”" if event.turns else "", "dim"),
    )


def _dead_letter(event: DeadLetter) -> Text:
    raw = f"{event.raw.topic}/{event.raw.partition}@{event.raw.offset}"
    return Text.assemble(
        (f"{clock(event.failed_at)} ", "dim"),
        ("✗ dead letter ", "magenta"),
        (f"{event.reason} ", "bold magenta"),
        (f"at {event.where}: ", "magenta") if event.where != "$" else "",
        f"{one_line(event.detail)} ",
        (f"{raw} ", "dim"),
        (excerpt(event.payload, 60), "dim"),
    )


def _said(moment: datetime, what: str, name: str, text: str) -> Text:
    return Text.assemble((f"{clock(moment)} ", "dim"), f"{what} ", (f"{name} ", "cyan"), one_line(text))
