"""Log lines: JSON for machines, coloured text for people. Set up once, by the command that runs."""

import logging
import sys
from typing import Literal

import structlog


def set_up(level: str, style: Literal["json", "console"]) -> None:
    """Everything to stderr; stdout belongs to results."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if style == "json"
        # Plain: structlog's default shows every frame's locals, and with them raw texts and passwords.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    exceptions = [structlog.processors.format_exc_info] if style == "json" else []
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *exceptions, last],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    # "stream_app" is what Faust calls the services we define; our own loggers are called moodstream.…
    handler.addFilter(Seldom())
    for noisy in ("stream_app", "alembic", "faust", "mode", "aiokafka", "kafka", "aiohttp", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class Seldom(logging.Filter):
    """Lets a library's complaint through once in `every_s`: a client without a broker repeats it ten times a second."""

    def __init__(self, every_s: float = 10.0) -> None:
        super().__init__()
        self._every_s = every_s
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("moodstream"):
            return True
        what = (record.name, str(record.msg)[:40])
        if record.created - self._said.get(what, 0.0) < self._every_s:
            return False
        self._said[what] = record.created
        return True
