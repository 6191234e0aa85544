"""What a stage promises the loop."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from stream_app.flow.delivery import Delivery, Settled, TopicPartition


class Stage(Protocol):
    """One step of the story: `score`, `alert` or `record`.

    A stage is called from one thread only, the loop's. Deliveries of one partition come in offset order; a batch may
    be delivered again, with other boundaries, after any failure.
    """

    @property
    def name(self) -> str:
        """Names the consumer group, the metrics and the dead letters."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """The topics it reads."""
        ...

    def settle(self, batch: Sequence[Delivery]) -> Settled:
        """Turn every delivery of the batch into an output or a dead letter.

        Returns only when that is true of all of them. If it raises, nothing of the batch has happened that a second
        call would not repair. May block on the model or on a neighbour.

        Raises NeighbourDown or ScorerBroken (the loop holds the batch and calls again) and nothing else on purpose.
        """
        ...

    def resume_from(self, assigned: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where to start reading these partitions, for a stage that keeps its offsets itself.

        Partitions it leaves out start at the consumer group's committed offset.
        """
        ...

    def close(self) -> None:
        """Let go of connections. Called once, from the loop's thread, when the loop ends."""
        ...


class KafkaOffsets:
    """Mixin for stages whose offsets live in Kafka and nowhere else."""

    def resume_from(self, assigned: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {}

    def close(self) -> None:
        return None
