"""The two moves between models.

    promote    another registered model becomes the champion
    rollback   the champion before it does, or one further back

A move is a row in `promotion` and a message on the topic `models`, in this order: 1. whoever else moves waits its turn
2. the row  3. the message  4. the row says that the message is out. Cut off in the middle, the same command again finds
the row without its message and sends that; it never moves twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemas.bundle import DEFAULT
from schemas.events import ModelPromoted
from stream_app.errors import NeighbourDown, SetupError
from stream_app.serving.registry import Entry, Promotion, Registry, check_unchanged

Publish = Callable[[ModelPromoted], None]


def promote(registry: Registry, publish: Publish, model: str, by: str, reason: str) -> Promotion:
    """A registered model becomes the champion; the one that is, is announced once more.

    `publish` returns when the message is out, and raises NeighbourDown when it is not. Raises SetupError when there is
    no such model or its files have changed.
    """
    entry = _found(registry, model)
    check_unchanged(entry)
    with registry.turn():
        last = next(iter(registry.promotions(1)), None)
        serves = last is not None and last.model == entry.model
        move = last if last is not None and serves else registry.record_promotion(entry, "promote", by, reason)
        return _announce(registry, publish, move, entry)


def rollback(registry: Registry, publish: Publish, by: str, reason: str, *, to: str | None = None) -> Promotion:
    """The champion before this one comes back, or the default bundle where there was none; `to` goes further back.

    Twice goes back twice: a model that was rolled back is no champion "before" any more. A rollback whose message did
    not get out is finished, not followed by another.
    """
    with registry.turn():
        moves = registry.promotions()
        if not moves:
            raise SetupError("nothing was ever promoted, so there is nothing to go back from")
        last = moves[0]
        if last.kind == "rollback" and last.announced_at is None and (to is None or _led_to(registry, last, to)):
            return _announce(registry, publish, last, _found(registry, last.model))
        # 1. Where from, and where to?
        *before, champion = line_of_champions(moves[::-1])
        names = [move.model for move in before]
        if to is not None and to not in names:
            known = (
                f"before {champion.model} came {', '.join(names)}" if names else f"nothing came before {champion.model}"
            )
            raise SetupError(f"cannot go back to {to}: {known}; to go elsewhere, promote it")
        entry = _found(registry, to or names[-1]) if names else None
        # 2. The default bundle is the one of today's release, whatever its name was when it served.
        if entry is None or entry.path == DEFAULT:
            entry = registry.register(DEFAULT, by)
        if not names and (champion.path == DEFAULT or champion.model == entry.model):
            raise SetupError(f"{champion.model}, the default bundle, serves already: there is nothing before it")
        # 3. Go.
        check_unchanged(entry)
        return _announce(registry, publish, registry.record_promotion(entry, "rollback", by, reason), entry)


def line_of_champions(moves: Sequence[Promotion]) -> list[Promotion]:
    """Who would come back, one rollback after the other, and last who serves; from the moves, oldest first.

    A move that nobody was told of led nowhere, unless it is the last: that one is sent yet, or superseded.
    """
    line: list[Promotion] = []
    for move in moves:
        if move.announced_at is None and move is not moves[-1]:
            continue
        if move.kind == "rollback":
            while line and not _same(line[-1], move):
                line.pop()
        if line and _same(line[-1], move):
            line.pop()
        line.append(move)
    return line


def _same(one: Promotion, other: Promotion) -> bool:
    """The default bundle takes another name with another release, and stays what "default" stands for."""
    return one.model == other.model or one.path == other.path == DEFAULT


def _led_to(registry: Registry, last: Promotion, to: str) -> bool:
    if last.model == to:
        return True
    return last.path == DEFAULT and (entry := registry.find(to)) is not None and entry.path == DEFAULT


def announcement(promotion: Promotion, entry: Entry) -> ModelPromoted:
    """The event on `models`, with the folder where the bundle is now."""
    return ModelPromoted(
        model=promotion.model,
        path=entry.path,
        promoted_at=promotion.promoted_at,
        promoted_by=promotion.promoted_by,
        reason=promotion.reason,
        previous=promotion.previous,
        metrics={f"{data}.{figure}": value for data, row in entry.metrics.items() for figure, value in row.items()},
    )


def _found(registry: Registry, model: str) -> Entry:
    if (entry := registry.find(model)) is None:
        raise SetupError(f"no model {model} is registered; `moodstream models list` shows those that are")
    return entry


def _announce(registry: Registry, publish: Publish, promotion: Promotion, entry: Entry) -> Promotion:
    try:
        publish(announcement(promotion, entry))
    except NeighbourDown as down:
        todo = f"{promotion.model} is recorded as champion, but no worker was told: run the same command again"
        raise NeighbourDown(down.neighbour, todo) from down
    registry.record_announced(promotion)
    return promotion
