"""How a bundle lies on disk: weights in 8 bits, the files that make it up, and the hashes that tell it from others."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import load_file, save_file

from schemas.bundle import MANIFEST, BundleError, Manifest, read_manifest

Array = NDArray[Any]
WEIGHTS = "model.safetensors"
SCALE = ".scale"  # after a tensor's name: the factors of its rows
_KINDS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8",
    "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_LEVELS = 127  # symmetric: -127 … 127, so that nothing is gained by a sign
# Beside a checkpoint, and no part of its tokenizer: weights in any form, and what they are indexed by; cards; code.
_NO_TOKENIZER = (
    ".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".ot", ".pt", ".pth", ".index.json", ".md", ".py",
)  # fmt: skip
_SMALLEST = 10_000  # entries from which on a matrix is stored in 8 bits; smaller ones save nothing
# The last two multiplications: 1 % of the weights, and their rounding is not averaged out by a layer behind them.
_KEPT_FINE = ("classifier.", "pooler.")


def quantise(weights: Mapping[str, Array]) -> dict[str, Array]:
    """Large matrices (R, C) as int8 with `<name>.scale` (R, 1) in fp16 beside each, everything else in fp16.

    Raises BundleError for a value that fp16 cannot hold, NaN among them, and for what is in 8 bits already.
    """
    stored: dict[str, Array] = {}
    for name, weight in weights.items():
        if weight.dtype == np.int8:
            raise BundleError(f"{name} is stored in 8 bits already: quantise the trained weights.")
        if weight.ndim == 2 and weight.size > _SMALLEST and not any(part in name for part in _KEPT_FINE):
            largest = np.abs(weight).max(axis=1, keepdims=True).astype(np.float32)
            scale = _fine(largest / _LEVELS, name)
            # a row of zeros has no scale; dividing by the rounded one keeps the rounding out of the result
            steps = weight / np.where(scale == 0, 1, scale).astype(np.float32)
            stored[name] = np.clip(np.rint(steps), -_LEVELS, _LEVELS).astype(np.int8)
            stored[name + SCALE] = scale
        else:
            stored[name] = _fine(weight, name)
    return stored


def dequantise(weights: Mapping[str, Array], name: str) -> Array:
    """The tensor `name` to compute with: float32 from int8 and its scale, or as it is stored.

    Raises BundleError, without a place, when an int8 tensor's scale is missing or cannot be used.
    """
    weight = weights[name]
    if weight.dtype != np.int8:
        return weight
    scale = weights.get(name + SCALE)
    rows = weight.shape[:1]
    if scale is None:
        raise BundleError(f"{name} is stored in 8 bits without {name + SCALE}")
    if weight.ndim != 2 or scale.shape not in (rows, (*rows, 1)):
        raise BundleError(f"{name + SCALE} has shape {scale.shape} for a tensor of shape {weight.shape}")
    if not np.issubdtype(scale.dtype, np.floating) or not np.isfinite(scale).all():
        raise BundleError(f"{name + SCALE} holds values that are no numbers")
    return np.multiply(weight, scale.reshape(-1, 1), dtype=np.float32)


def read_tensors(path: Path) -> dict[str, Array]:
    """Every tensor of a safetensors file as it is stored; bfloat16, which numpy lacks, as the same numbers in float32.

    Raises OSError or SafetensorError for a file that is missing or damaged, BundleError for a kind of number that
    neither holds.
    """
    with safe_open(path, framework="numpy") as file:
        kinds = {name: str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118
    if unknown := sorted(set(kinds.values()) - {*_KINDS, "BF16"}):
        raise BundleError(f"{path} holds numbers of the kind {', '.join(unknown)}: save the weights in float32.")
    if "BF16" not in kinds.values():
        return load_file(path)
    return {name: _tensor(**stored) for name, stored in deserialize(path.read_bytes())}  # type: ignore[no-untyped-call]


def _tensor(dtype: str, shape: list[int], data: bytes) -> Array:
    if dtype != "BF16":
        return np.frombuffer(data, _KINDS[dtype]).reshape(shape)
    upper = np.frombuffer(data, "<u2").astype(np.uint32)  # bfloat16 is float32 without its lower half
    return (upper << 16).view(np.float32).reshape(shape)


def plain_checkpoint(checkpoint: Path, out: Path) -> Path:
    """Write `out`: the checkpoint in float32 with its tokenizer, as transformers loads it and training needs it.

    Raises BundleError for a missing or damaged file.
    """
    try:
        stored = read_tensors(checkpoint / WEIGHTS)
        out.mkdir(parents=True)
        for path in checkpoint.iterdir():
            beside = path.name == MANIFEST or path.name.startswith(".") or path.name.endswith(_NO_TOKENIZER)
            if path.is_file() and not beside:
                shutil.copyfile(path, out / path.name)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{checkpoint} cannot be copied as a plain checkpoint ({error}).") from error
    names = [name for name in stored if name.removesuffix(SCALE) == name or name.removesuffix(SCALE) not in stored]
    weights = {name: _in_float32(dequantise(stored, name)) for name in names}
    save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    (out / WEIGHTS).chmod(0o644)  # safetensors makes it private
    return out


def _in_float32(weight: Array) -> Array:
    """Whole numbers, such as positions, stay whole."""
    return weight.astype(np.float32) if np.issubdtype(weight.dtype, np.floating) else weight


def bundle_files(folder: Path, manifest: Manifest) -> list[str]:
    """The files that a model is made of, relative to `folder`, sorted: what stands beside them is for people."""
    found = {MANIFEST} if (folder / MANIFEST).exists() else set()
    for encoder in manifest.checkpoints.values():
        for path in (folder / encoder.folder).glob("*"):
            if path.is_file() and path.suffix != ".md" and not path.name.startswith("."):
                found.add(path.relative_to(folder).as_posix())
    return sorted(found)


def digests(folder: Path, manifest: Manifest) -> dict[str, str]:
    """For `Manifest.weights`: the SHA-256 of every file but the manifest itself."""
    return {name: _sha256(folder, name) for name in bundle_files(folder, manifest) if name != MANIFEST}


def check_digests(folder: Path, manifest: Manifest) -> None:
    """Raises BundleError for a file that is not the one the manifest was written for. 0.1 s for 45 MB."""
    if not manifest.weights:
        return
    for encoder in manifest.checkpoints.values():
        name = (Path(encoder.folder) / WEIGHTS).as_posix()
        if name not in manifest.weights and (folder / name).exists():
            raise BundleError(f"{folder / MANIFEST} has no hash of {name}: copy the bundle again.")
    for name, expected in manifest.weights.items():
        if _sha256(folder, name) != expected:
            raise BundleError(f"{folder / name} is not the file that {MANIFEST} describes: copy the bundle again.")


def fingerprint(folder: Path) -> str:
    """One SHA-256 over the names and contents of all files of the bundle, its manifest included."""
    described = (folder / MANIFEST).exists() or not folder.is_dir()
    manifest = read_manifest(folder) if described else Manifest(name=folder.name, labels={})
    whole = hashlib.sha256()
    for name in bundle_files(folder, manifest):
        whole.update(f"{name}\0{_sha256(folder, name)}\n".encode())
    return whole.hexdigest()


def _sha256(folder: Path, name: str) -> str:
    try:
        with (folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise BundleError(f"{folder} holds no {name}: copy the bundle again.") from None
    except OSError as error:
        raise BundleError(f"{folder / name} cannot be read ({error.strerror}): copy the bundle again.") from error


def _fine(values: Array, name: str) -> Array:
    with np.errstate(over="ignore"):
        stored = values.astype(np.float16)
    if not np.isfinite(stored).all():
        raise BundleError(f"{name} holds values that fp16 cannot: the training went wrong.")
    return stored
