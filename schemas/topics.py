"""The topics: one table that creates them, checks them and documents them."""

from dataclasses import dataclass
from typing import Literal

from schemas import events

DAY_MS = 86_400_000
MIB = 1024 * 1024


@dataclass(frozen=True)
class Topic:
    """One topic. `key` says what decides the partition, and so what is in order."""

    name: str
    key: str
    partitions: int
    retention_days: int | None
    cleanup: Literal["delete", "compact"]
    max_message_bytes: int
    carries: tuple[type[events.Event], ...]
    writers: tuple[str, ...]
    readers: tuple[str, ...]

    def config(self) -> dict[str, str]:
        """The broker's topic settings."""
        return {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention_days * DAY_MS if self.retention_days else -1),
            "max.message.bytes": str(self.max_message_bytes),
        }


# A raw message may be 2 MiB: a 1 MB text with its envelope gets in, is cut and scored with a flag. A dead letter holds
# the whole raw value in base64 (4/3) with its story around it.
RAW_BYTES = 2 * MIB
LETTER_BYTES = 4 * MIB

REVIEWS = Topic(
    "raw.reviews", "customer_id", 8, 7, "delete", RAW_BYTES, (events.ReviewPosted,), ("platform",), ("score",)
)
CHATS = Topic(
    "raw.chats", "conversation_id", 8, 7, "delete", RAW_BYTES, (events.ChatMessage,), ("platform",), ("score",)
)
SENTIMENT = Topic(
    "sentiment", "customer", 8, 14, "delete", MIB, (events.SentimentScored,), ("score",), ("alert", "record")
)
ALERTS = Topic(
    "alerts", "customer", 4, 30, "delete", MIB, (events.AlertRaised,), ("alert",), ("notify", "record", "ops team")
)
DEAD_LETTERS = Topic(
    "dead.letters",
    "dead_letter_id",
    4,
    30,
    "delete",
    LETTER_BYTES,
    (events.DeadLetter,),
    ("score", "alert"),
    ("record", "replay"),
)
LABELS = Topic("labels", "event_id", 4, 30, "delete", MIB, (events.LabelGiven,), ("labelling tools",), ("record",))
MODELS = Topic("models", "champion", 1, None, "compact", MIB, (events.ModelPromoted,), ("trainer",), ("models",))
# Apart from `models`, so that a worker needs no right to write what every worker acts on.
SERVING = Topic("serving", "worker", 1, None, "compact", MIB, (events.ModelServing,), ("models",), ("trainer",))

ALL: tuple[Topic, ...] = (REVIEWS, CHATS, SENTIMENT, ALERTS, DEAD_LETTERS, LABELS, MODELS, SERVING)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in ALL}
