"""`moodstream check`: is everything a worker needs there, and right?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import click
from pydantic import SecretStr
from rich.text import Text

from schemas.topics import ALL
from stream_app import settings as configuration
from stream_app.commands.reach import reach_kafka
from stream_app.commands.terminal import json_option, print_json, say
from stream_app.errors import MoodstreamError, SetupError
from stream_app.local.stack import home, running
from stream_app.settings import PREFIX, Settings


class Finding(NamedTuple):
    """One line: what was looked at, whether it is right, what was seen, and what to do if it is not."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


@click.command("check")
@json_option
def command(as_json: bool) -> None:
    """Say in one line each what is reachable and right.

    Looks at the settings, Kafka and its topics, PostgreSQL with its migrations and partitions, Redis, and the model.
    Exit code 0 if all of it is right, 2 if something is not.

    \b
    moodstream check
    moodstream check --json | jq .ok
    """
    settings = configuration.load()
    with ThreadPoolExecutor(len(_CHECKS)) as pool:
        checks = [pool.submit(_guarded, name, check, settings) for name, check in _CHECKS.items()]
        findings = [_settings(settings), *(check.result() for check in checks)]
    wrong = [finding.name for finding in findings if not finding.ok]
    if as_json:
        print_json({"ok": not wrong, "checks": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            say(_line(finding))
    if wrong:
        raise SetupError(f"{len(wrong)} of {len(findings)} are not right: {', '.join(wrong)}")


def _line(finding: Finding) -> Text:
    mark = ("✓ ok   ", "green") if finding.ok else ("✗ wrong", "bold red")
    line = Text.assemble(mark, f" {finding.name:<11}", finding.detail)
    if finding.hint:
        line.append(f" → {finding.hint}", "yellow")
    return line


def _guarded(name: str, check: Callable[[Settings], Finding], settings: Settings) -> Finding:
    try:
        return check(settings)
    except MoodstreamError as failure:
        detail = " ".join(str(failure).split())
        hint = "" if "`moodstream " in detail or PREFIX in detail else _HINTS.get(name, "")
        return Finding(name, False, detail, hint)


def _settings(settings: Settings) -> Finding:
    local = running(home())
    found = {"kafka": local.kafka, "database": local.database, "redis": local.redis} if local else {}
    from_stack = {name for name, address in found.items() if _address(settings, name) == address}
    given = [PREFIX + name.upper() for name in Settings.model_fields if name in settings.model_fields_set - from_stack]
    told = [f"given: {', '.join(given)}" if given else "defaults"]
    return Finding("settings", True, "; ".join(told + (["the local stack's addresses"] if from_stack else [])))


def _address(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _kafka(settings: Settings) -> Finding:
    configuration.need(settings, "kafka")
    from stream_app.flow.kafka.admin import Admin

    reach_kafka(settings)
    admin = Admin(settings)
    brokers = admin.brokers()
    where = f"{settings.kafka}, {brokers} broker{'s' if brokers > 1 else ''}"
    if wrong := admin.check_topics(ALL):
        missing = [finding.topic for finding in wrong if finding.what.startswith("missing")]
        others = [f"{finding.topic}: {finding.what}" for finding in wrong if not finding.what.startswith("missing")]
        said = ([f"no topic {', '.join(missing)}"] if missing else []) + others
        return Finding("kafka", False, f"{where}; {'; '.join(said)}", "run `moodstream init`")
    return Finding("kafka", True, f"{where}, all {len(ALL)} topics as they should be")


def _postgres(settings: Settings) -> Finding:
    configuration.need(settings, "database")
    from stream_app.recording.lookup import last_partition_day, server_version
    from stream_app.recording.migrate import revision

    url = settings.database.get_secret_value()
    current, head = revision(url)
    where = f"PostgreSQL {server_version(url)}"
    if current != head:
        at = f"at revision {current}" if current else "without tables"
        return Finding("postgres", False, f"{where}, {at}, {head} expected", "run `moodstream init`")
    until = last_partition_day(url)
    if until is None:  # the worker makes the days it meets; none at all means that nobody ever made one
        return Finding("postgres", False, f"{where}, no partitions", "run `moodstream init`")
    return Finding("postgres", True, f"{where}, at revision {head}, partitions until {until}")


def _redis(settings: Settings) -> Finding:
    configuration.need(settings, "redis")
    import redis

    client = redis.Redis.from_url(settings.redis.get_secret_value(), socket_connect_timeout=3, socket_timeout=5)
    try:
        server, memory = client.info("server"), client.info("memory")
    except redis.RedisError as failure:
        raise SetupError(f"Redis does not answer as it should: {_first_line(failure)}") from failure
    finally:
        with suppress(redis.RedisError):
            client.close()
    name = "Valkey" if server.get("server_name") == "valkey" else "Redis"
    version = server.get("valkey_version") or server.get("redis_version")
    policy = memory.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        hint = "set maxmemory-policy noeviction: an evicted key is a forgotten customer"
        return Finding("redis", False, f"{name} {version}, maxmemory-policy {policy}", hint)
    return Finding("redis", True, f"{name} {version}, maxmemory-policy noeviction")


def _model(settings: Settings) -> Finding:
    from stream_app.model import load_model

    began = time.monotonic()
    scorer = load_model(settings)
    return Finding("model", True, f"{scorer.name}, loaded and canary passed in {time.monotonic() - began:.1f} s")


def _first_line(failure: Exception) -> str:
    return next(_lines(failure), type(failure).__name__)


def _lines(failure: Exception) -> Iterator[str]:
    return (line for line in str(failure).splitlines() if line.strip())


_CHECKS: dict[str, Callable[[Settings], Finding]] = {
    "kafka": _kafka,
    "postgres": _postgres,
    "redis": _redis,
    "model": _model,
}
_HINTS = {
    "kafka": f"start it, or correct {PREFIX}KAFKA",
    "postgres": f"start it, or correct {PREFIX}DATABASE",
    "redis": f"start it, or correct {PREFIX}REDIS",
    "model": f"correct {PREFIX}MODEL",
}
