"""Is Kafka there? Asked before anything else: librdkafka would try for a minute, then say less."""

import socket
from concurrent.futures import ThreadPoolExecutor

from schemas.topics import Topic
from stream_app.errors import NeighbourDown
from stream_app.settings import Settings

_CONNECT_S = 3.0


def reach_kafka(settings: Settings, *topics: Topic) -> None:
    """Raises NeighbourDown when no broker can be connected to, SetupError when one of these topics is missing."""
    brokers = [part.strip() for part in settings.kafka.split(",") if part.strip()]
    with ThreadPoolExecutor(len(brokers) or 1) as pool:
        refusals = list(pool.map(_refusal, brokers))
    if all(refusals):
        raise NeighbourDown(f"Kafka at {settings.kafka}", refusals[0] if refusals else "no broker is named")
    if topics:
        from stream_app.flow.kafka.admin import Admin
        from stream_app.flow.kafka.clients import no_topic

        if missing := Admin(settings).missing(topics):
            raise no_topic(settings, missing)


def _refusal(broker: str) -> str:
    """Why no connection comes about; empty when one does."""
    host, colon, port = broker.rpartition(":")
    if not colon or not port.isdigit():
        return f"{broker} is not host:port"
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as refused:
        return (getattr(refused, "strerror", None) or str(refused)).lower()
    return ""
