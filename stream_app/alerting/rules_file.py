"""From a TOML file to `Rules`, or to one readable line for every mistake in it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from stream_app.alerting.rules import Rules
from stream_app.errors import SetupError

DEFAULT = Path(__file__).with_name("default_rules.toml")
_SECTIONS: dict[str, type[msgspec.Struct]] = get_type_hints(Rules)


def load_rules(path: Path | None) -> Rules:
    """The rules in a file; without one, the built-in ones. Raises SetupError that names every mistake."""
    file = path or DEFAULT
    try:
        given = tomllib.loads(file.read_text("utf-8"))
    except OSError as mistake:
        raise SetupError(f"the alert rules {file} cannot be read: {mistake.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as mistake:
        raise SetupError(f"the alert rules {file} are not TOML: {mistake}") from None
    if mistakes := list(_mistakes(given)):
        raise SetupError("; ".join(f"{file}: {mistake}" for mistake in mistakes))
    rules = msgspec.convert(given, Rules)
    if contradictions := list(_contradictions(rules)):
        raise SetupError("; ".join(f"{file}: {contradiction}" for contradiction in contradictions))
    return rules


def _mistakes(given: dict[str, Any]) -> Iterator[str]:
    """Every value is looked at by itself: a person mends a file once, not line by line."""
    for section, values in given.items():
        if section not in _SECTIONS:
            yield f"[{section}] is unknown; there are {', '.join(_SECTIONS)}"
        elif not isinstance(values, dict):
            yield f"{section} must be a section, [{section}]"
        else:
            known = get_type_hints(_SECTIONS[section], include_extras=True)
            for name, value in values.items():
                if name not in known:
                    yield f"{section}.{name} is unknown; there are {', '.join(known)}"
                    continue
                try:
                    msgspec.convert(value, known[name])
                except msgspec.ValidationError as mistake:
                    yield f"{section}.{name} = {value!r}: {mistake}"


def _contradictions(rules: Rules) -> Iterator[str]:
    """Values that are right alone and wrong together."""
    angry, life, memory = rules.angry_message, rules.incident, rules.memory
    if angry.severe_severity < angry.severity:
        yield "angry_message.severe_severity is below angry_message.severity"
    if life.quiet_minutes > memory.days * 1440:
        yield "incident.quiet_minutes is longer than memory.days: the incident would be forgotten before it closes"
    if rules.lasting_anger.mean_anger < life.calm_anger:
        yield "lasting_anger.mean_anger is below incident.calm_anger: calm customers would be reported"
