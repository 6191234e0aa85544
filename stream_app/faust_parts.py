"""The parts of Faust a worker is made of, set as we need them. The only file that imports faust.

Its known traps are answered here: uvloop, read committed, crash on failure, a login, a stop that is said.
"""

import asyncio
import logging
import ssl
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import mode.loop

mode.loop.use("uvloop")  # must come before faust is imported; through faust's own option it is silently ignored

import faust  # noqa: E402
from faust import App, Service  # noqa: E402
from faust.transport.drivers import aiokafka as driver  # noqa: E402
from faust.web import Request, Response, View  # noqa: E402
from mode.supervisors import CrashingSupervisor  # noqa: E402

from stream_app.errors import SetupError  # noqa: E402
from stream_app.flow.loop import Loop  # noqa: E402
from stream_app.settings import Settings  # noqa: E402

__all__ = ["App", "Request", "Response", "Service", "View", "Worker", "loop_service", "make_app"]

log = logging.getLogger("moodstream.worker")


def make_app(settings: Settings, name: str, **options: Any) -> faust.App:
    """A Faust app whose consumer group is the product's group and this name; bytes in, bytes out, nothing kept."""
    app = faust.App(
        f"{settings.group}-{name}",
        broker_credentials=_credentials(settings),
        broker=[f"kafka://{address.strip()}" for address in settings.kafka.split(",")],
        autodiscover=False,
        datadir=tempfile.gettempdir(),  # nothing is kept there: no tables
        agent_supervisor=CrashingSupervisor,
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        topic_allow_declare=False,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_commit_interval=1.0,
        web_bind=settings.web_host,
        web_host=settings.web_host,
        key_serializer="raw",
        value_serializer="raw",
        **options,
    )
    app.transport = ReadCommittedTransport(app.conf.broker_consumer, app)
    return app


def _credentials(settings: Settings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """The same login for the agents' clients as for librdkafka's."""
    protocol = settings.kafka_security_protocol
    ca_file = str(settings.kafka_ca_file) if settings.kafka_ca_file else None
    context = ssl.create_default_context(cafile=ca_file) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.kafka_username,
            password=settings.kafka_password.get_secret_value(),
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


class Worker(faust.Worker):
    """Says when it begins to stop."""

    on_stop_begun: Callable[[], None]

    async def stop(self) -> None:
        self.on_stop_begun()
        await super().stop()


def loop_service(loop: Loop, failed: Callable[[BaseException], None]) -> type[faust.Service]:
    """A Faust service that owns the loop's thread: the thread's end is the worker's end."""

    class LoopService(faust.Service):
        async def on_start(self) -> None:
            self._thread = threading.Thread(target=self._run, name=loop.stage.name, daemon=True)
            self._thread.start()

        async def on_stop(self) -> None:
            loop.stop()
            await asyncio.to_thread(self._thread.join)

        def _run(self) -> None:
            try:
                loop.run()
            except BaseException as failure:
                failed(failure)
                if not isinstance(failure, SetupError):
                    log.exception("%s ended", loop.stage.name)
                asyncio.run_coroutine_threadsafe(self.crash(failure), self.loop)

    LoopService.__name__ = f"{loop.stage.name.title()}Loop"
    return LoopService


# --- Faust's Kafka driver, with two settings it does not let one choose ----------------------------------------------


class _ReadCommittedThread(driver.AIOKafkaConsumerThread):
    """Faust reads uncommitted unless it writes transactions itself, and waits 1.5 s for a fetch."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = 100
        return consumer


class _ReadCommittedConsumer(driver.Consumer):
    def _new_consumer_thread(self) -> Any:
        return _ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)


class ReadCommittedTransport(driver.Transport):
    """Agents never see a record of an aborted transaction."""

    Consumer = _ReadCommittedConsumer
