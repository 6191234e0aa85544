"""The options of `trainer/recipe.py`, one each, with its default and the reason from its docstring."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from typing import Any

import click

from trainer import recipe as recipe_module
from trainer.recipe import Recipe

CHOICES = {"precision": ("bf16", "fp32"), "device": ("cpu", "cuda")}
OWN_WORDS = {
    "epochs": "How often every text is seen.",
    "learning_rate": "Of the top layer; see --layer-decay and --head-rate.",
    "warm_up": "Share of the steps in which the rate rises from 0.",
    "weight_decay": "AdamW's, on matrices only.",
    "clip": "Largest norm of the gradient.",
    "seed": "Of the mixture, the order, dropout and augmentation.",
    "checkpoint_every": "Steps.",
    "max_tokens": "Of a text with its context, in training.",
    "device": "cpu or cuda.",
    "teacher_temperature": "Softens the teacher's opinion.",
}


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an option for every field of Recipe, as `--name-with-dashes`."""
    told = _docstrings()
    for each in reversed(fields(Recipe)):
        kind: Any = click.Choice(CHOICES[each.name]) if each.name in CHOICES else type(each.default)
        text = OWN_WORDS.get(each.name) or told[each.name].split("\n")[0]
        option = click.option(
            "--" + each.name.replace("_", "-"), type=kind, default=each.default, show_default=True, help=text
        )
        command = option(command)
    return command


def recipe_from(options: dict[str, Any]) -> Recipe:
    """Takes the recipe's fields out of a command's options."""
    return Recipe(**{each.name: options.pop(each.name) for each in fields(Recipe)})


def _docstrings() -> dict[str, str]:
    """Field -> the string below it."""
    [body] = [node.body for node in ast.parse(inspect.getsource(recipe_module)).body if isinstance(node, ast.ClassDef)]
    found: dict[str, str] = {}
    for before, node in pairwise(body):
        if isinstance(before, ast.AnnAssign) and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[ast.unparse(before.target)] = " ".join(str(node.value.value).split())
    return found
