"""A delivery nobody can process becomes one record on `dead.letters`, whole and with its reason."""

from datetime import datetime

from schemas.codec import encode, from_epoch_ms
from schemas.events import DeadLetter, Position, Reason
from schemas.topics import DEAD_LETTERS
from stream_app.flow.delivery import Delivery, Record


def dead_letter(delivery: Delivery, stage: str, reason: Reason, where: str, detail: str, now: datetime) -> Record:
    """The record to publish.

    Its id is the delivery's position and time: a replay writes the same letter again, not another; a topic that was
    deleted and made again has the same positions at other times.
    """
    letter_id = f"{stage}-{delivery.topic}-{delivery.partition}-{delivery.offset}-{delivery.timestamp_ms}"
    letter = DeadLetter(
        dead_letter_id=letter_id,
        reason=reason,
        where=where,
        detail=detail[:1000],
        raw=Position(delivery.topic, delivery.partition, delivery.offset),
        ingested_at=from_epoch_ms(delivery.timestamp_ms),
        failed_at=now,
        stage=stage,
        key=delivery.key,
        payload=delivery.value,
    )
    return Record(DEAD_LETTERS.name, letter_id.encode(), encode(letter))
