"""`moodstream worker`: one Faust worker that hosts this process's roles.

The loops of `score`, `alert` and `record` run in a thread each, inside a Faust service; `notify` and `models` are Faust
agents; `/health` and `/metrics` are Faust views. Why the loops are no agents: 77–114 k events/s against 4.3 k.
"""

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterable
from typing import Any

from prometheus_client import generate_latest

from schemas.topics import ALERTS, MODELS
from stream_app import logs, roles
from stream_app.errors import NeighbourDown, SetupError
from stream_app.faust_parts import App, Request, Response, Service, View, Worker, loop_service, make_app
from stream_app.flow.loop import Loop, calm_garbage_collector
from stream_app.flow.slot import Slot, take_slot
from stream_app.flow.watchdog import Watchdog
from stream_app.model import load_model
from stream_app.notifying.notify import Notifier
from stream_app.retraining import retrain_every_few_hours
from stream_app.serving.model_watch import ModelWatch
from stream_app.settings import Settings

log = logging.getLogger("moodstream.worker")

FAILED_IN_A_ROW = 5  # so many attempts without a commit are no hiccup
STOP_S = 20.0  # below the 30 s that Kubernetes and systemd's usual units give
EXIT_SETUP = 2
STALE_S = 60.0  # a loop that neither polled nor committed for this long is not healthy


def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Returns after a clean stop.

    Raises SetupError or NeighbourDown before anything was consumed; whatever ended a loop later.
    """
    logs.set_up(settings.log_level, settings.log_format)
    _warn_of_known_key(settings)
    roles.check_neighbours(settings)
    slot = take_slot(settings)
    try:
        Host(settings, slot).run()
    finally:
        slot.release()


def _warn_of_known_key(settings: Settings) -> None:
    known = settings.pseudonym_key == Settings.model_fields["pseudonym_key"].default
    local = all(address.strip().startswith(("127.", "localhost:", "[::1]")) for address in settings.kafka.split(","))
    if known and not local:
        log.warning(
            "MOODSTREAM_PSEUDONYM_KEY is the public default: pseudonyms can be guessed; set your own and keep it"
        )


class Host:
    """The Faust side of one worker."""

    def __init__(self, settings: Settings, slot: Slot) -> None:
        self._settings = settings
        self._lease = slot
        self._slot = slot.number
        self._loops: list[Loop] = []
        self._watch: ModelWatch | None = None
        self._failure: BaseException | None = None
        self._ready = False

    def run(self) -> None:
        watchdog = Watchdog()
        for stage in self._stages():
            self._loops.append(roles.loop(self._settings, stage, self._slot, watchdog))
        port = _port_to_bind(self._settings.web_host, self._settings.web_port)
        main = self._main_app(port)
        apps = [main] + ([self._models_app()] if "models" in self._settings.roles else [])
        self._lease.when_lost(self._slot_lost)
        worker = Worker(
            *apps, override_logging=False, redirect_stdouts=False, quiet=True, loop=asyncio.new_event_loop()
        )
        calm_garbage_collector()
        log.info(
            "worker slot %d: %s, http://%s:%d",
            self._slot,
            ", ".join(self._settings.roles),
            self._settings.web_host,
            port,
        )
        try:
            worker.on_stop_begun = self._leave_in_bounded_time
            worker.spinner = None  # it writes escape codes to stdout, also where that is a file
            worker.execute_from_commandline()
        except SystemExit as ended:  # Faust leaves this way whatever happened; a failure of ours is what counts
            if ended.code and self._failure is None:
                raise
        except Exception as crash:
            if self._failure is None:
                self._failure = crash
        if self._failure is not None:
            raise self._failure

    def _stages(self) -> Iterable[Any]:
        if "score" in self._settings.roles:
            score = roles.score_stage(self._settings, load_model(self._settings))
            if "models" in self._settings.roles:
                self._watch = roles.model_watch(self._settings, score, self._slot)
            yield score
        if "alert" in self._settings.roles:
            yield roles.alert_stage(self._settings)
        if "record" in self._settings.roles:
            yield roles.record_stage(self._settings)

    def _failed(self, failure: BaseException) -> None:
        self._failure = self._failure or failure

    def _slot_lost(self) -> None:
        """Another worker has this number: leave, and be started again with a free one."""
        self._failed(NeighbourDown("Redis", f"slot {self._slot} was not renewed in time and is another worker's now"))
        os.kill(os.getpid(), signal.SIGTERM)

    def _leave_in_bounded_time(self) -> None:
        """With Kafka away its clients may never come back from leaving. Nothing uncommitted is lost by ending."""

        def end() -> None:
            log.warning("not through with leaving after %.0f s: ending at once", STOP_S)
            self._lease.release()
            os._exit(EXIT_SETUP if self._failure else 0)

        timer = threading.Timer(STOP_S, end)
        timer.daemon = True
        timer.start()

    # --- Faust apps ------------------------------------------------------------------------------------------------

    def _main_app(self, port: int) -> App:
        """Web server, loops, and the agent of `notify`: its consumer group is shared by all workers."""
        app = make_app(self._settings, "notify", web_port=port)
        notifier = roles.notifier(self._settings) if "notify" in self._settings.roles else None
        if notifier is not None:
            _alerts_agent(app, notifier)
        else:
            app.producer_only = True  # no agent, no consumer: Faust's driver fails without a subscription
        if "trainer" in self._settings.roles:
            _trainer_task(app, self._settings)
        self._views(app)
        for loop in self._loops:
            app.service(loop_service(loop, self._failed))
        host = self

        @app.service
        class Ready(Service):  # started last
            async def on_start(self) -> None:
                host._ready = True

            async def on_stop(self) -> None:
                if notifier is not None:
                    await notifier.close()

        return app

    def _models_app(self) -> App:
        """The agent of `models`: a consumer group of its own, for every worker must hear every promotion."""
        app = make_app(self._settings, f"models-{self._slot}", web_enabled=False)
        watch = self._watch

        @app.agent(app.topic(MODELS.name, key_type=bytes, value_type=bytes), name="models")
        async def models(stream: Any) -> None:
            async for event in stream.noack().events():
                if watch is not None:
                    await asyncio.to_thread(watch.announced, event.value)  # loading takes seconds; the loop goes on
                event.ack()

        return app

    # --- web -------------------------------------------------------------------------------------------------------

    def _views(self, app: App) -> None:
        @app.page("/health")
        async def health(view: View, request: Request) -> Response:
            """200 while every role of this worker is at work, else 503 with what is wrong."""
            wrong = self.problems()
            report = {
                "healthy": not wrong,
                "roles": list(self._settings.roles),
                "slot": self._slot,
                "problems": wrong,
                "settled": {loop.stage.name: loop.settled for loop in self._loops},
            }
            return view.json(report, status=503 if wrong else 200)

        @app.page("/metrics")
        async def metrics(view: View, request: Request) -> Response:
            return view.bytes(generate_latest(), content_type="text/plain; version=0.0.4")

    def problems(self) -> list[str]:
        """What keeps this worker from its work, a sentence each."""
        wrong = [] if self._ready else ["starting"]
        wrong += [
            f"{loop.stage.name}: no progress for {idle:.0f} s"
            for loop in self._loops
            if (idle := loop.idle_s()) > STALE_S
        ]
        wrong += [f"{loop.stage.name}: joining its group" for loop in self._loops if not loop.joined]
        wrong += [
            f"{loop.stage.name}: {loop.failed_in_a_row} attempts in a row failed"
            for loop in self._loops
            if loop.failed_in_a_row >= FAILED_IN_A_ROW
        ]
        return wrong + ([f"failed: {self._failure}"] if self._failure else [])


def _alerts_agent(app: App, notifier: Notifier) -> None:
    @app.agent(app.topic(ALERTS.name, key_type=bytes, value_type=bytes), name="notify")
    async def notify(stream: Any) -> None:
        # noack: Faust acknowledges an event even when the agent fails on it; here only a delivered one is.
        async for event in stream.noack().events():
            await notifier.notify(event.value)
            event.ack()


def _trainer_task(app: App, settings: Settings) -> None:
    @app.task
    async def trainer() -> None:
        await retrain_every_few_hours(settings)


def _port_to_bind(host: str, port: int) -> int:
    """The port, or a free one for 0. Raises SetupError where nobody may listen: Faust would say so in a traceback."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            found: int = probe.getsockname()[1]
            return found
    except (OSError, UnicodeError) as failure:  # UnicodeError: a name no host can have
        where = f"MOODSTREAM_WEB_HOST={host} and MOODSTREAM_WEB_PORT={port}"
        why = getattr(failure, "strerror", None) or failure
        raise SetupError(f"cannot listen at {where}: {why}; another port, or 0 for a free one") from None
