"""What a larger model, or several together, think of every text: the soft labels a small student learns from.

Soft labels say more than hard ones (how sure, and what else it could have been; Hinton et al. 2015), and they exist for
both heads of every text, also where its source labels only one of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from schemas.bundle import Manifest, Sentiment
from stream_app.scoring.batches import cut
from stream_app.scoring.bert import PackedBert
from trainer.rows import Row

CHUNK = 2_000  # texts between two savings
MAX_TOKENS = 160  # as in training: what a teacher has not seen it cannot teach
Logits = NDArray[np.float32]


def teach(teachers: Sequence[Path], rows: Sequence[Row], cache: Path, *, threads: int = 2) -> list[Row]:
    """`rows` with the mean logits of `teachers`, checkpoints with our four outputs.

    Logits are kept in `cache`, a folder with one file a teacher, so a run that was killed goes on and a second student
    costs nothing. A file belongs to one content of a teacher's folder and a logit to one text; the rest is computed.
    """
    cache.mkdir(parents=True, exist_ok=True)
    opinions = [_logits_of(teacher, rows, cache / f"{_name(teacher)}.npz", threads) for teacher in teachers]
    mean = np.mean(opinions, axis=0)
    return [row._replace(teacher=tuple(float(each) for each in logits)) for row, logits in zip(rows, mean, strict=True)]


def _logits_of(teacher: Path, rows: Sequence[Row], path: Path, threads: int) -> Logits:
    """(N, 4), in the order of `rows`."""
    known = _read(path)
    wanted = list({_key(row): row for row in rows if _key(row) not in known}.values())
    if wanted:
        moods: dict[str, Sentiment] = {"0": "negative", "1": "neutral", "2": "positive"}
        model = PackedBert(teacher, Manifest(name=teacher.name, labels=moods, max_tokens=MAX_TOKENS))
        with ThreadPoolExecutor(threads, initializer=model.prepare_thread) as pool:
            for start in track(range(0, len(wanted), CHUNK), description=f"asking {teacher.parent.name}"):
                part = wanted[start : start + CHUNK]
                encoded = model.encode([row.input for row in part])
                batches = cut([len(tokens.ids) for tokens in encoded], 2_048)
                found = pool.map(model.forward, ([encoded[i] for i in batch] for batch in batches))
                for batch, logits in zip(batches, found, strict=True):
                    known.update((_key(part[i]), each) for i, each in zip(batch, logits, strict=True))
                _write(path, known)
    return np.stack([known[_key(row)] for row in rows])


def _name(teacher: Path) -> str:
    digest = blake2b(digest_size=6)
    for name in ("model.safetensors", "tokenizer.json"):
        digest.update((teacher / name).read_bytes())
    return f"{teacher.parent.name}-{digest.hexdigest()}"


def _key(row: Row) -> str:
    return blake2b(f"{row.input.text}\n{row.input.context or ''}".encode(), digest_size=16).hexdigest()


def _read(path: Path) -> dict[str, NDArray[np.float32]]:
    if not path.exists():
        return {}
    with np.load(path) as stored:
        return dict(zip(stored["keys"].tolist(), stored["logits"], strict=True))


def _write(path: Path, known: dict[str, NDArray[np.float32]]) -> None:
    fresh = path.with_suffix(f".{os.getpid()}.new.npz")  # two students of one teacher may ask at once
    known = _read(path) | known
    np.savez(fresh, keys=np.array(list(known)), logits=np.stack(list(known.values())))
    os.replace(fresh, path)
