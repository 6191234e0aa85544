"""The role `trainer`: every few hours it starts `moodstream retrain` beside the worker, which trains if it is time.

A process of its own, at low priority: training takes minutes to hours and gigabytes, and its end, however it comes, is
not the worker's. Several workers may have the role; PostgreSQL lets one of their runs at a time go ahead.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from contextlib import suppress

from pydantic import SecretStr

from stream_app.settings import PREFIX, Settings

log = logging.getLogger("moodstream.trainer")

NICE = 10  # scoring and alerts on the same machine go first
PROMOTED_OR_PASSED, REFUSED, NOT_NOW = 0, 3, 4


async def retrain_every_few_hours(settings: Settings) -> None:
    """Until cancelled, which ends a run under way; its next start goes on with it. Raises nothing else."""
    while True:
        await _retrain(settings)
        await asyncio.sleep(settings.trainer_every_h * 3600)


def environment(settings: Settings) -> dict[str, str]:
    """These settings as variables, for a process that is to have the same."""
    given = {name: getattr(settings, name) for name in Settings.model_fields}
    return os.environ | {PREFIX + name.upper(): _as_text(value) for name, value in given.items() if value is not None}


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


async def _retrain(settings: Settings) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stream_app", "retrain", "--json"),
            env=environment(settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as failure:  # no memory or no process to be had: this worker scores all the same
        log.error("training did not start: %s", failure)
        return
    try:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        out, said = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    outcome = _outcome(out) if process.returncode in (PROMOTED_OR_PASSED, REFUSED, NOT_NOW) else None
    if outcome is not None:
        level = logging.DEBUG if process.returncode == NOT_NOW else logging.INFO
        log.log(level, "%s: %s", *outcome)
    else:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        log.error("training ended with code %s: %s", process.returncode, last[0])


def _outcome(out: bytes) -> tuple[str, str] | None:
    """State and reason, from the last line; None where it is no report."""
    try:
        report = json.loads(out.splitlines()[-1])
        return report["state"], report["reason"]
    except (IndexError, ValueError, KeyError, TypeError):
        return None
