"""The process behind `moodstream up`: owns the three servers, starts again what crashes, stops all of them on SIGTERM.

    python -m stream_app.local.supervisor HOME

It leaves the terminal it was started from, and tells its starter on standard output what becomes ready.
"""

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import msgspec

from stream_app.local.service import LocalStackError, Service
from stream_app.local.stack import Failed, Ready, Stack

log = logging.getLogger("moodstream.local")

LOOK_EVERY_S = 0.2
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
STEADY_AFTER_S = 60.0


def main() -> None:
    home = Path(sys.argv[1])
    _leave_terminal()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _end)
    stack, stopping = Stack(home), threading.Event()
    try:
        endpoints = stack.start(on_ready=lambda name, seconds: _tell(Ready(name, seconds)))
        _hang_up()
        log.info("all servers answer: %s", endpoints)
        for service in stack.services:
            threading.Thread(target=keep_running, args=(service, stopping), name=service.name, daemon=True).start()
        while True:
            signal.pause()
    except LocalStackError as error:
        log.error("%s", error)
        _tell(Failed(str(error)))
        sys.exit(1)
    except BrokenPipeError:
        log.warning("the process that asked for the servers has gone before they were ready: stopped them")
    finally:
        stopping.set()
        stack.stop()
        log.info("stopped")


def keep_running(service: Service, stopping: threading.Event) -> None:
    """Start the server again when it has ended by itself; wait longer each time, until it has been steady a while."""
    delay_s, answered_at = FIRST_DELAY_S, time.monotonic()
    while not stopping.wait(LOOK_EVERY_S):
        if service.alive:
            continue
        if time.monotonic() - answered_at > STEADY_AFTER_S:
            delay_s = FIRST_DELAY_S
        log.warning("%s has ended by itself; starting it again in %.1f s (see %s)", service.title, delay_s, service.log)
        if stopping.wait(delay_s):
            return
        delay_s = min(2 * delay_s, LONGEST_DELAY_S)
        try:
            seconds = service.start()
        except LocalStackError as error:
            log.error("%s", error)
        else:
            answered_at = time.monotonic()
            log.info("%s answers again after %.1f s", service.title, seconds)


def _leave_terminal() -> None:
    """The classic daemon's way: our starter's child ends at once, we go on in a session without a terminal."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: a second must not interrupt the clean stop
    raise SystemExit(0)


def _tell(message: Ready | Failed) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def _hang_up() -> None:
    """The starter reads until we close; from here on what is printed goes to the log."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    main()
