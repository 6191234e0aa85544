"""The files of a BERT classifier on disk, read and checked before anything computes with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError

from schemas.bundle import BundleError
from stream_app.scoring.storage import SCALE, WEIGHTS, Array, dequantise, read_tensors

__all__ = ["SCALE", "WEIGHTS", "WORDS", "BertConfig", "expected_shapes", "read_config", "read_weights"]

WORDS = "bert.embeddings.word_embeddings.weight"


class BertConfig(NamedTuple):
    """What config.json says that matters here."""

    vocabulary: int
    positions: int
    hidden: int  # E
    inner: int
    layers: int
    heads: int  # H
    epsilon: float
    outputs: dict[int, str]


def read_config(folder: Path) -> BertConfig:
    path = folder / "config.json"
    try:
        raw = json.loads(path.read_bytes())
        names = {int(number): name for number, name in raw["id2label"].items()}
        return BertConfig(
            vocabulary=int(raw["vocab_size"]),
            positions=int(raw["max_position_embeddings"]),
            hidden=int(raw["hidden_size"]),
            inner=int(raw["intermediate_size"]),
            layers=int(raw["num_hidden_layers"]),
            heads=int(raw["num_attention_heads"]),
            epsilon=float(raw["layer_norm_eps"]),
            outputs=names,
        )
    except FileNotFoundError:
        raise BundleError(f"{folder} holds no config.json: copy the bundle again.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{path} is not the config of a BERT classifier ({error!r}): copy the bundle again."
        ) from error


def expected_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor that a checkpoint of this config holds."""
    wide, inner = config.hidden, config.inner
    shapes: dict[str, tuple[int, ...]] = {
        WORDS: (config.vocabulary, wide),
        "bert.embeddings.position_embeddings.weight": (config.positions, wide),
        "bert.embeddings.token_type_embeddings.weight": (2, wide),
    }
    linears = {"bert.embeddings.LayerNorm": (wide,), "bert.pooler.dense": (wide, wide)}
    linears["classifier"] = (len(config.outputs), wide)
    for number in range(config.layers):
        at = f"bert.encoder.layer.{number}."
        linears |= {f"{at}attention.self.{part}": (wide, wide) for part in ("query", "key", "value")}
        linears |= {at + "attention.output.dense": (wide, wide), at + "attention.output.LayerNorm": (wide,)}
        linears |= {at + "intermediate.dense": (inner, wide), at + "output.dense": (wide, inner)}
        linears[at + "output.LayerNorm"] = (wide,)
    for name, shape in linears.items():
        shapes |= {name + ".weight": shape, name + ".bias": shape[:1]}
    return shapes


def read_weights(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The tensors named in `shapes`, those stored in 8 bits back in float32.

    Only the table of word embeddings stays as it is stored, with its scale (V, 1) beside it: a text looks up some rows
    of it, and in float32 it would take four times the memory.

    Raises BundleError when one is missing, shaped otherwise, or has no usable scale.
    """
    try:
        weights = read_tensors(path)
    except FileNotFoundError:
        raise BundleError(f"{path.parent} holds no {path.name}: copy the bundle again.") from None
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path} is cut short or damaged ({error}): copy the bundle again.") from error
    for name, shape in shapes.items():
        if name not in weights:
            raise BundleError(f"{path} lacks the tensor {name}: it is not the checkpoint that config.json describes.")
        if (found := tuple(weights[name].shape)) != shape:
            raise BundleError(
                f"{path}: {name} has shape {found} where config.json says {shape}: copy both files again."
            )
    try:
        usable = {name: dequantise(weights, name) for name in shapes}
    except BundleError as wrong:
        raise BundleError(f"{path}: {wrong}: copy the bundle again.") from None
    if weights[WORDS].dtype == np.int8:
        usable[WORDS], usable[WORDS + SCALE] = weights[WORDS], weights[WORDS + SCALE].reshape(-1, 1)
    return usable
