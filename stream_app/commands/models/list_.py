"""`moodstream models list`: what is registered, and what served when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from stream_app import settings as configuration
from stream_app.commands.terminal import json_option, print_json, table

if TYPE_CHECKING:
    from stream_app.serving.registry import Entry, Promotion

_FIGURES = ("macro_f1", "accuracy", "auc")  # the first of these that a set has
_SETS = 3


@click.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="So many promotions.")
@json_option
def list_(limit: int, as_json: bool) -> None:
    """List the registered models and their promotions.

    The model with a star is the champion. Where nothing was promoted yet, each worker serves with its own setting,
    MOODSTREAM_MODEL.

    \b
    moodstream models list
    moodstream models list --json | jq -r .champion
    """
    settings = configuration.load()
    configuration.need(settings, "database")
    from stream_app.serving.registry import Registry

    registry = Registry(settings.database.get_secret_value())
    models, moves = registry.list(), registry.promotions(limit)
    champion = moves[0].model if moves else None
    if as_json:
        print_json({"champion": champion, "models": models, "promotions": moves})
        return
    if not models:
        click.echo("no model is registered; `moodstream models promote PATH` registers one")
        return
    table(["", "model", "created", "registered", "by", "measured"], [_model(one, champion) for one in models])
    if moves:
        click.echo()
        table(["when (UTC)", "what", "model", "after", "by", "reason"], [_move(one) for one in moves])


def _model(entry: Entry, champion: str | None) -> list[str]:
    star = "*" if entry.model == champion else ""
    return [
        star, entry.model, _when(entry.created), _when(entry.registered_at), entry.registered_by, _key(entry.metrics),
    ]  # fmt: skip


def _move(move: Promotion) -> list[str]:
    what = move.kind if move.announced_at else f"{move.kind}, not announced"
    return [_when(move.promoted_at), what, move.model, move.previous or "", move.promoted_by, move.reason]


def _when(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else ""


def _key(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """One figure of each of the first sets; `models show` has all of them."""
    found = [
        f"{name} {figure} {row[figure]:.3g}"
        for name, row in metrics.items()
        if (figure := next((figure for figure in _FIGURES if figure in row), None))
    ]
    return ", ".join(found[:_SETS])
