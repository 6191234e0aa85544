"""Everything about scoring that is not a model: repeats, routes, batches, threads, order, the canary."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from schemas.bundle import Decisions, Manifest
from stream_app.scoring.batches import cut
from stream_app.scoring.outputs import Logits, Outputs
from stream_app.scoring.scorer import CanaryFailed, Scores, ScoringError
from stream_app.scoring.tokens import Tokens
from stream_app.text.model_input import TEXT_VERSION, ModelInput

CANARY_TOLERANCE = 1e-3
_WINDOW = 4096  # inputs tokenised at a time: bounds the memory of a call, however long its list is
_SMALLEST_BATCH = 256  # tokens below which splitting a window for a second thread costs more than it gains
_LONGEST_REMEMBERED = 200  # characters: what repeats in service chat is short, and the memory stays below a megabyte


class Model(Protocol):
    """The two phases of a model that differ between architectures; both are called from several threads at once."""

    padded: bool
    """Whether `forward` pads its batch to the longest text (then padding counts against the token budget)."""

    def prepare_thread(self) -> None:
        """Called once in every scoring thread before its first `forward`."""

    def encode(self, inputs: Sequence[ModelInput]) -> list[Tokens]:
        """Token ids of each input, cut to what the model takes."""

    def forward(self, batch: Sequence[Tokens]) -> Logits:
        """Raw outputs (B, outputs) of a batch that is sorted by length."""


class Part(NamedTuple):
    """A model and how to read its outputs."""

    model: Model
    outputs: Outputs


Route = Callable[[ModelInput], str]


class ModelScorer:
    """A `Scorer` over one or several parts, each text read by the part that `route` names.

    Two threads over one copy of the weights beat two intra-op threads: 322 against 253 texts/s on two cores.

    `hits` counts inputs answered without a model: repeats inside a call and among the last `remember` distinct texts.
    """

    def __init__(
        self,
        parts: Mapping[str, Part],
        route: Route,
        manifest: Manifest,
        *,
        threads: int,
        token_budget: int,
        remember: int,
    ) -> None:
        self.name: str = manifest.name
        self.text_version: int = TEXT_VERSION if manifest.text_version is None else manifest.text_version
        self.decisions: Decisions = manifest.decisions
        self.manifest = manifest
        self.parts = parts
        self.route = route
        self._threads = threads
        self._token_budget = token_budget
        self._recent = _Recent(remember)
        # Nothing here may refer back to the scorer: a model must be gone with its last user, not at the next full
        # collection, which a worker puts off for hours and which never sees what was there at its start.
        models = [part.model for part in parts.values()]
        self._pool = ThreadPoolExecutor(threads, f"score-{manifest.name}", partial(_prepare_thread, models))

    @property
    def hits(self) -> int:
        return self._recent.hits

    def score(self, inputs: Sequence[ModelInput]) -> list[Scores]:
        known, wanted = self._recent.split(inputs)
        fresh = dict(zip(wanted, self._compute(wanted), strict=True))
        self._recent.add(fresh)
        known.update(fresh)
        return [known[item] for item in inputs]

    def check_canary(self) -> None:
        canary = self.manifest.canary
        # an imported model may have no scores to compare with, but it must at least answer
        texts = [ModelInput(text.text, text.context) for text in canary] or [ModelInput("好 good", None)]
        try:
            found = self._compute(texts)
        except ScoringError as broken:
            raise CanaryFailed(f"{self.name} cannot score its canary texts: {broken}") from broken
        for text, scores in zip(canary, found[: len(canary)], strict=True):
            recorded = Scores(text.negative, text.neutral, text.positive, text.anger)
            worst = float(np.abs(np.subtract(scores, recorded)).max())
            if not worst <= CANARY_TOLERANCE:  # so that it fails on NaN, too
                raise CanaryFailed(f"{self.name} is off by {worst:.4f} on its canary text {text.text[:40]!r}.")

    def encode(self, inputs: Sequence[ModelInput]) -> dict[str, dict[int, Tokens]]:
        """Part -> place among the inputs -> token ids: who reads which text, as what."""
        places: dict[str, list[int]] = {}
        for place, item in enumerate(inputs):
            places.setdefault(self.route(item), []).append(place)
        return {
            name: dict(zip(here, self.parts[name].model.encode([inputs[place] for place in here]), strict=True))
            for name, here in places.items()
        }

    def close(self) -> None:
        """End the scoring threads; `score` fails from here on."""
        self._pool.shutdown()

    def _compute(self, inputs: Sequence[ModelInput]) -> list[Scores]:
        try:
            return [
                scores for at in range(0, len(inputs), _WINDOW) for scores in self._window(inputs[at : at + _WINDOW])
            ]
        except ScoringError:
            raise
        except Exception as error:  # whatever torch or the tokeniser raise, the stage needs one name for it
            raise ScoringError(f"{self.name} failed on {len(inputs)} texts: {error}") from error

    def _window(self, inputs: Sequence[ModelInput]) -> list[Scores]:
        """1. Route and tokenise  2. cut batches, each for one part  3. run them all  4. restore the order."""
        # 1. Route and tokenise.
        routed = self.encode(inputs)
        # 2. Cut batches, small enough that no thread idles on a small window.
        tokens = sum(len(item.ids) for encoded in routed.values() for item in encoded.values())
        budget = min(self._token_budget, max(_SMALLEST_BATCH, -(-tokens // self._threads)))
        batches = [batch for name, encoded in routed.items() for batch in _cut(self.parts[name], encoded, budget)]
        # 3. Run them; `map` keeps order, whichever thread is done first.
        results = self._pool.map(lambda batch: batch.part.model.forward(batch.tokens), batches)
        # 4. Restore the order.
        placed: dict[int, Scores] = {}
        for batch, logits in zip(batches, results, strict=True):
            placed.update(zip(batch.places, batch.part.outputs.scores(logits), strict=True))
        return [placed[place] for place in range(len(inputs))]


def _prepare_thread(models: Sequence[Model]) -> None:
    for model in models:
        model.prepare_thread()


class _Batch(NamedTuple):
    part: Part
    places: list[int]  # of the texts among the window's inputs
    tokens: list[Tokens]  # sorted by length


def _cut(part: Part, encoded: Mapping[int, Tokens], budget: int) -> list[_Batch]:
    places = list(encoded)
    cuts = cut([len(item.ids) for item in encoded.values()], budget, padded=part.model.padded)
    chosen = ([places[index] for index in indices] for indices in cuts)
    return [_Batch(part, these, [encoded[place] for place in these]) for these in chosen]


class _Recent:
    """Scores of the last texts seen, least recently used first out. Thread-safe."""

    def __init__(self, size: int) -> None:
        self.hits = 0
        self._size = size
        self._scores: OrderedDict[ModelInput, Scores] = OrderedDict()
        self._lock = threading.Lock()

    def split(self, inputs: Sequence[ModelInput]) -> tuple[dict[ModelInput, Scores], list[ModelInput]]:
        """What is known already, and the distinct inputs that are not."""
        known: dict[ModelInput, Scores] = {}
        wanted: dict[ModelInput, None] = {}
        with self._lock:
            for item in inputs:
                if (scores := self._scores.get(item)) is not None:
                    known[item] = scores
                    self._scores.move_to_end(item)
                else:
                    wanted[item] = None
            self.hits += len(inputs) - len(wanted)
        return known, list(wanted)

    def add(self, fresh: dict[ModelInput, Scores]) -> None:
        with self._lock:
            for item, scores in fresh.items():
                if len(item.text) + len(item.context or "") <= _LONGEST_REMEMBERED:
                    self._scores[item] = scores
            while len(self._scores) > self._size:
                self._scores.popitem(last=False)
