"""Which texts go through the model together: neighbours in length, as many as the token budget holds."""

from __future__ import annotations

from collections.abc import Sequence


def cut(lengths: Sequence[int], budget: int, *, padded: bool = False) -> list[list[int]]:
    """Indices of `lengths` in batches, shortest first; every index exactly once.

    A batch's lengths sum to `budget` at most (`padded`: count times longest does); a text longer than the whole budget
    goes alone. By tokens and not by count, because 32 pasted essays take a hundred times the memory of 32 greetings.
    """
    batches: list[list[int]] = []
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = lengths[index]
        tokens = (len(batch) + 1) * length if padded else tokens + length  # sorted: the newest is the longest
        if batch and tokens > budget:
            batches.append(batch)
            batch, tokens = [], length
        batch.append(index)
    if batch:
        batches.append(batch)
    return batches
