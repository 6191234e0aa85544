"""From labelled files to a bundle that ships: the whole training run as one function, `make_bundle`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
from safetensors.numpy import load_file, save_file

from schemas.bundle import MANIFEST, Canary, Manifest, Temperatures, read_manifest, write_manifest
from stream_app.scoring.load import load_scorer
from stream_app.scoring.model_scorer import ModelScorer
from stream_app.text.model_input import TEXT_VERSION, ModelInput, model_input
from trainer import card, evaluate
from trainer.data import Row, Split, fingerprint, half, load_split, read_sample
from trainer.sources import SOURCES, sources_in
from trainer.student import OUTPUTS, is_student, make_student

CHAT = "zh_jddc_chat_unlabelled"
NOT_FOR_CALIBRATION = {source.name for source in SOURCES if source.measure_only or source.service_chat}
BASE_LICENCE = "MIT (intfloat/multilingual-e5-small; vocabulary cut, once quantised to 4 bit)"

# Own sentences, so that the bundle carries nobody's data: both languages, every mood, with and without context.
CANARY_TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("物流很快，质量也好，下次还来。", ()),
    ("收到就是坏的，客服一直不理人，太差了！", ()),
    ("请问发票什么时候能开？", ()),
    ("又是等？你们除了让人等还会干什么！", ("什么时候退款", "请您再耐心等待一下")),
    ("好的", ("请您稍等，正在为您查询",)),
    ("Works well, though the strap is a little short.", ()),
    ("I have called eight times and nobody does anything! Unbelievable!", ()),
    ("Could you check where my parcel is?", ("Hi, how can I help?",)),
)


@dataclass(frozen=True)
class Job:
    """One training run."""

    data: Path  # folder of labelled files
    start: Path  # the base model to cut a student from; or a bundle or student, which is trained further as it is
    work: Path  # checkpoints and metrics; a run started again with the same folder goes on
    out: Path  # the bundle to write; its last part is the bundle's name
    layers: tuple[int, ...] = (0, 3, 7, 11)
    """Evenly spaced: held-back loss 1.11 against 1.25 with the first four, after 9,000 texts."""
    vocabulary: int = 31_000
    epochs: int = 1
    learning_rate: float = 2e-4
    scale: float = 1.0  # of the mixture's size
    seed: int = 13


def make_bundle(job: Job) -> Manifest:
    """1. read rows  2. cut a student from the base  3. train it  4. store it as a bundle  5. calibrate  6. measure
    7. record canary texts and write the model card."""
    from trainer.train import Recipe, train  # torch, seconds to import

    split = load_split(job.data, job.seed, scale=job.scale)  # 1
    student = job.start if is_student(job.start) else job.work / "student"
    if not student.exists():  # 2
        inputs = [row.input for row in split.train]
        texts = [text for made in inputs for text in made if text]
        make_student(job.start, student, texts, layers=job.layers, vocabulary=job.vocabulary, seed=job.seed)
    recipe = Recipe(epochs=job.epochs, seed=job.seed, learning_rate=job.learning_rate)
    labelled = [row for row in split.held if row.sentiment is not None or row.anger is not None]
    trained = train(student, split.train, evaluate.at_most(labelled, 100), job.work, recipe)  # 3
    return finish_bundle(trained, student, split, job)


def finish_bundle(trained: Path, student: Path, split: Split, job: Job) -> Manifest:
    """Steps 4 to 7, for a checkpoint that is trained already."""
    store(trained, student, job.out)  # 4
    manifest = Manifest(
        name=job.out.name,
        architecture="bert-packed",
        created=datetime.now(UTC).replace(microsecond=0),
        labels={"0": "negative", "1": "neutral", "2": "positive"},
        anger_output=OUTPUTS.index("anger"),
        max_tokens=json.loads((job.out / "config.json").read_bytes())["max_position_embeddings"],
        text_version=TEXT_VERSION,
        training=training_of(job, student, len(split.train)),
        data_fingerprint=fingerprint(job.data),
        code_commit=_commit(),
        licences={"base model": BASE_LICENCE} | {source.name: source.licence for source in sources_in(job.data)},
    )
    write_manifest(job.out, manifest)
    manifest = calibrate(manifest, job.out, split.held)  # 5
    write_manifest(job.out, manifest)
    return measure_and_record(job.out, manifest, split.held)


def measure_and_record(folder: Path, manifest: Manifest, held: Sequence[Row]) -> Manifest:
    """Steps 6 and 7, for a bundle with its final temperatures and decisions."""
    metrics = measure(folder, manifest, held)  # 6
    manifest = msgspec.structs.replace(manifest, metrics=metrics, canary=record_canary(folder))  # 7
    write_manifest(folder, manifest)
    (folder / "README.md").write_text(card.write(manifest), encoding="utf-8")
    _load(folder).check_canary()
    return manifest


def training_of(job: Job, student: Path, rows: int) -> dict[str, str | int | float]:
    """What to write into the manifest about this run and, if it went on from a bundle, about the run before."""
    settings: dict[str, str | int | float] = {"rows": rows, "epochs": job.epochs, "learning_rate": job.learning_rate}
    settings |= {"scale": job.scale, "seed": job.seed}
    if student != job.start:
        return settings | {"base": job.start.name, "layers": ",".join(map(str, job.layers))}
    before = read_manifest(student).training if (student / MANIFEST).exists() else {}
    rounds = sum(name.startswith("rows") for name in before)
    return before | {f"{name}_round_{rounds + 1}": value for name, value in settings.items()}


def store(trained: Path, student: Path, out: Path) -> None:
    """The checkpoint as it ships: weights in fp16, half the size; the config says float32, to compute in."""
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    weights = {name: tensor.astype(np.float16) for name, tensor in load_file(trained / "model.safetensors").items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)  # safetensors makes it private; a worker runs under another user
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(student / name, out / name)


def calibrate(manifest: Manifest, folder: Path, held: Sequence[Row]) -> Manifest:
    """Temperatures, then thresholds, each on the calibration half of the held-back rows."""
    plain = msgspec.structs.replace(manifest, temperatures=Temperatures())
    write_manifest(folder, plain)
    rows = evaluate.at_most([row for row in held if half(row) == 0 and row.source not in NOT_FOR_CALIBRATION], 600)
    temperatures = evaluate.fit_temperatures(rows, evaluate.scores_of(_load(folder), rows))
    manifest = msgspec.structs.replace(manifest, temperatures=temperatures)
    write_manifest(folder, manifest)
    scorer = _load(folder)
    calm = [row for row in held if row.source == CHAT and half(row) == 0 and row.role == "customer"]
    mixture = evaluate.at_most(rows, 200)
    decisions = evaluate.choose_decisions(evaluate.scores_of(scorer, calm), evaluate.scores_of(scorer, mixture))
    return msgspec.structs.replace(manifest, decisions=decisions)


def measure(folder: Path, manifest: Manifest, held: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Figures on the other half of the held-back rows, which neither training nor calibration has seen."""
    scorer = _load(folder)
    rows = [row for row in held if half(row) == 1 and row.source != CHAT]
    rows += [row for row in held if row.source == CHAT and row.sentiment is not None]  # read by one of us, both halves
    rows += read_sample()
    metrics = evaluate.figures(rows, evaluate.scores_of(scorer, rows), manifest.decisions)
    for role in ("customer", "agent"):
        chat = [row for row in held if row.source == CHAT and half(row) == 1 and row.role == role]
        if chat:
            metrics[f"{CHAT}:{role}"] = evaluate.calm_figures(evaluate.scores_of(scorer, chat), manifest.decisions)
    return metrics


def record_canary(folder: Path) -> list[Canary]:
    inputs: list[ModelInput] = [model_input(text, context) for text, context in CANARY_TEXTS]
    scored = _load(folder).score(inputs)
    return [
        Canary(made.text, made.context, *(round(value, 6) for value in scores))
        for made, scores in zip(inputs, scored, strict=True)
    ]


def _load(folder: Path) -> ModelScorer:
    return cast(ModelScorer, load_scorer(str(folder)))


def _commit() -> str | None:
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return found.stdout.strip() or None
