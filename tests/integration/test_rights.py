"""A right that is missing is said in one line, and the worker stops: no retry mends it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from schemas.topics import REVIEWS, SENTIMENT
from stream_app.flow.kafka.clients import connection
from stream_app.flow.kafka.publisher import Publisher
from stream_app.settings import Settings
from tests.e2e.test_one_review import REVIEW
from tests.worker import environment

pytestmark = pytest.mark.services


@contextmanager
def refused(settings: Settings, kind: ResourceType, name: str, operation: AclOperation) -> Iterator[None]:
    """Everything is allowed on this resource but the operation."""
    admin = AdminClient(connection(settings))
    where = (kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*")
    allow = (*where, AclOperation.ALL, AclPermissionType.ALLOW)
    deny = (*where, operation, AclPermissionType.DENY)
    for future in admin.create_acls([AclBinding(*allow), AclBinding(*deny)]).values():
        future.result()
    try:
        yield
    finally:
        for future in admin.delete_acls([AclBindingFilter(*allow), AclBindingFilter(*deny)]).values():
            future.result()


@pytest.mark.parametrize(
    ("kind", "name", "operation", "says"),
    [
        pytest.param(ResourceType.TOPIC, SENTIMENT.name, AclOperation.WRITE, "topic", id="writing the output topic"),
        pytest.param(ResourceType.TOPIC, REVIEWS.name, AclOperation.READ, "topic", id="reading the input topic"),
        pytest.param(ResourceType.GROUP, "{group}-score", AclOperation.READ, "group", id="joining the group"),
        pytest.param(
            ResourceType.TRANSACTIONAL_ID, "{group}-score-0", AclOperation.WRITE, "transactional id", id="transactions"
        ),
    ],
)
def test_a_worker_without_a_right_says_which_and_stops(
    settings: Settings, kind: ResourceType, name: str, operation: AclOperation, says: str
) -> None:
    publisher = Publisher(settings)
    publisher.send(REVIEWS.name, b"key", json.dumps(REVIEW).encode())
    publisher.flush()

    with refused(settings, kind, name.format(group=settings.group), operation):
        ran = subprocess.run(
            [sys.executable, "-m", "stream_app", "worker", "--roles", "score"],
            env=environment(settings, slot="0", log_level="error"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert ran.returncode == 2, ran.stderr
    last = ran.stderr.splitlines()[-1]
    assert last.startswith("moodstream worker: Kafka refuses")
    assert says in last
    assert "Traceback" not in ran.stderr
