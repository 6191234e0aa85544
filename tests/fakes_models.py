"""Models for tests of what surrounds them: tiny bundles, and ears for what is promoted."""

from pathlib import Path

from schemas.events import ModelPromoted
from stream_app.errors import NeighbourDown
from tests.model.tiny import change_manifest, tiny_base, tiny_bundle


def bundle(folder: Path, name: str, seed: int = 0) -> Path:
    """Complete, and unlike the one of another seed."""
    made = tiny_bundle(folder / name, tiny_base(folder / f"{name}-base", seed))
    change_manifest(made, name=name, metrics={"reviews": {"macro_f1": 0.86}})
    return made


class Heard(list[ModelPromoted]):
    """A `publish` that works."""

    def __call__(self, promoted: ModelPromoted) -> None:
        self.append(promoted)

    @property
    def models(self) -> list[str]:
        return [promoted.model for promoted in self]


def kafka_is_away(promoted: ModelPromoted) -> None:
    raise NeighbourDown("Kafka", "publishing to models: timed out")
