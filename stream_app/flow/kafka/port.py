"""The loop's door to Kafka: what it needs of one, whoever stands behind it.

Definitions, used everywhere in this room: a partition is *held* from the moment it is assigned until it is revoked or
lost; a batch is *lost* when one of its partitions was revoked after it was polled, even if it came back since.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from stream_app.flow.delivery import Delivery, Offsets, Record, TopicPartition

ResumeFrom = Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]]


class Aborted(Exception):
    """The transaction was aborted: nothing of the batch happened. Rewind and take it again."""


class Port(Protocol):
    """One session with Kafka, from `open` to `close`, used by one thread.

    Any method may raise SessionLost (close and open again: reading goes on from what was committed) or SetupError.
    """

    def open(self, resume_from: ResumeFrom) -> None:
        """Join the group. `resume_from` is asked at each assignment where to start; see Stage."""
        ...

    def joined(self) -> bool:
        """Whether the group has assigned this member its partitions, possibly none, since `open`."""
        ...

    def poll(self, most: int, wait_s: float) -> list[Delivery]:
        """The next deliveries, at most `most`, waiting at most `wait_s` for a first and again for company."""
        ...

    def holds(self, offsets: Offsets) -> bool:
        """Whether every partition here has been held without interruption since the last poll returned."""
        ...

    def commit(self, records: Sequence[Record], offsets: Offsets) -> None:
        """Publish the records and move the offsets: both or neither. Raises Aborted when neither happened."""
        ...

    def rewind(self, first: Offsets) -> None:
        """Deliver again from these offsets, in the partitions still held."""
        ...

    def keep_alive(self) -> None:
        """Stay a member of the group during a long batch; delivers nothing."""
        ...

    def close(self) -> None:
        """Leave. An open transaction is left to its timeout or to this slot's next session, which aborts it."""
        ...
