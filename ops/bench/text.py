"""How long a text takes from raw to model input, step by step. `moodstream bench text` calls `measure`."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

from stream_app.text.clean import clean
from stream_app.text.language import guess
from stream_app.text.model_input import prepare
from stream_app.text.redact import redact

_REPEATS: Final = 5


def measure(texts: Sequence[str]) -> dict[str, float]:
    """CPU microseconds per text, the median of five passes; redact and language are given cleaned texts.

    Raises:
        ValueError: there are no texts.
    """
    if not texts:
        raise ValueError("no texts to measure")
    cleaned = [clean(text).text for text in texts]
    return {
        "clean": _microseconds(clean, texts),
        "redact": _microseconds(redact, cleaned),
        "language": _microseconds(guess, cleaned),
        "prepare": _microseconds(prepare, texts),
    }


def _microseconds(step: Callable[[str], object], texts: Sequence[str]) -> float:
    # the thread's own time: neighbours on the machine do not count
    passes = []
    for _ in range(_REPEATS):
        start = time.thread_time()
        for text in texts:
            step(text)
        passes.append((time.thread_time() - start) / len(texts) * 1e6)
    return statistics.median(passes)
