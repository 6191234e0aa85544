"""Every error the product reacts to, as a tree: which branch it hangs on decides what happens next.

    MoodstreamError
    ├── SetupError        the operator must change something  → one line on stderr, exit code 2, no traceback
    ├── Rejected          one event is bad                     → one dead letter; its neighbours go on
    ├── NeighbourDown     Kafka, PostgreSQL or Redis is away   → hold the batch, retry in place with back-off
    ├── ScorerBroken      the model fails its own canary text  → hold the batch, retry; dead-letter nothing
    └── SessionLost       the clients are no longer usable     → drop both, start again from committed offsets

Anything else is a defect of ours: it crashes the worker, nothing of the batch is committed, and the supervisor
(systemd, Kubernetes) starts it again.
"""


class MoodstreamError(Exception):
    """The root; never raised itself."""


class SetupError(MoodstreamError):
    """Settings, rights, a bundle or a service that must be put right by a person. The message is one readable line."""


class Rejected(MoodstreamError):
    """One event cannot be processed.

    `reason` is a code of `schemas.events.Reason`, `where` a JSON path such as `$.text` (or `$` for the whole),
    `detail` a sentence for the person who fixes the publisher.
    """

    def __init__(self, reason: str, where: str, detail: str) -> None:
        super().__init__(f"{reason} at {where}: {detail}")
        self.reason = reason
        self.where = where
        self.detail = detail


class NeighbourDown(MoodstreamError):
    """A service beside us does not answer. `neighbour` names it; retrying the same batch is always safe."""

    def __init__(self, neighbour: str, detail: str) -> None:
        super().__init__(f"{neighbour} is not answering: {detail}")
        self.neighbour = neighbour


class ScorerBroken(MoodstreamError):
    """A batch failed and so did the model's own canary: the fault is the model's, not the events'."""


class SessionLost(MoodstreamError):
    """Fenced, expired or fatally failed clients. Nothing of the open batch was committed."""
