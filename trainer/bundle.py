"""From trained checkpoints to a bundle that ships: stored small, calibrated, measured, with its canary and its card."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from safetensors.numpy import load_file, save_file

from schemas.bundle import BundleError, Canary, Encoder, Language, Manifest, Temperatures, write_manifest
from stream_app.scoring.load import load_scorer
from stream_app.scoring.storage import digests, quantise
from stream_app.text.language import encoder_language
from stream_app.text.model_input import TEXT_VERSION, model_input
from trainer import card
from trainer.base import BASES
from trainer.calibrate import at_most, choose_decisions, fit_by_language, scores_with
from trainer.corpus import files_fingerprint, read_sample
from trainer.evaluate import evaluate, for_manifest
from trainer.fit import Job, calibration_rows, read_job, rows_of
from trainer.rows import Row, half
from trainer.sources import MEASURED_ONLY, SERVICE_CHAT, sources_in
from trainer.split import Split, fingerprint, load_split
from trainer.student import OUTPUTS

CHECKPOINT_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
EACH = 1_000  # rows of each source that set temperatures

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


def make_bundle(runs: Mapping[Language, Path], data: Path, out: Path) -> Manifest:
    """The runs of `moodstream train fit`, one a language, as one bundle; the folder's name is the model's.

    1. store  2. calibrate  3. measure  4. record canary and hashes, write the card  5. move into place
    """
    if out.exists():
        raise BundleError(f"{out} exists: a bundle is never written over; name another folder.")
    jobs = {language: read_job(work) for language, work in runs.items()}
    split = load_split(data, seed=0, labels=next(iter(jobs.values())).labels)  # no seed decides what is held back
    for language, job in jobs.items():
        _check(job, runs[language], language, rows_of(language, split))
    held = split.held
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for language, work in runs.items():  # 1
        store(work / "model", work / "student", fresh / language)
    manifest = Manifest(
        name=out.name,
        architecture="bert-packed",
        created=datetime.now(UTC).replace(microsecond=0),
        labels={"0": "negative", "1": "neutral", "2": "positive"},
        anger_output=OUTPUTS.index("anger"),
        encoders={language: Encoder(language) for language in runs},
        max_tokens=max(_positions(fresh / language) for language in runs),
        text_version=TEXT_VERSION,
        training=_training(runs),
        data_fingerprint=files_fingerprint(data),
        held_back=fingerprint(held),
        code_commit=code_commit(),
        licences={BASES[language].name: BASES[language].licence for language in runs}
        | {source.name: source.licence for source in sources_in(data)},
    )
    manifest = calibrate(fresh, manifest, held)  # 2
    manifest = finish(fresh, manifest, held)  # 3, 4
    os.replace(fresh, out)  # 5
    return manifest


def finish(folder: Path, manifest: Manifest, held: Sequence[Row]) -> Manifest:
    """Steps 3 and 4 for a folder with calibrated checkpoints; `held` rows were seen by no training."""
    manifest = msgspec.structs.replace(manifest, metrics=measure(folder, manifest, held), canary=record_canary(folder))
    manifest = msgspec.structs.replace(manifest, weights=digests(folder, manifest))
    write_manifest(folder, manifest)
    (folder / "README.md").write_text(card.write(manifest), encoding="utf-8")
    with closing(load_scorer(str(folder))) as scorer:
        scorer.check_canary()
    return manifest


def _check(job: Job, work: Path, language: Language, split: Split) -> None:
    """Raises BundleError for a run of another language, one that held back other rows, or one that has not ended."""
    if job.language != language:
        raise BundleError(f"{work} is a run for {job.language}, not for {language}: swap the two.")
    if job.held_back != fingerprint(split.held):
        raise BundleError(f"{work} held back other rows than {language} has now: what it saw would measure it.")
    if not (work / "model" / "model.safetensors").exists():
        raise BundleError(f"{work} has not ended: go on with `moodstream train resume {work}`.")


def store(trained: Path, student: Path, out: Path) -> None:
    """A checkpoint as it ships: matrices in 8 bits with a scale for each row, a third of fp32's size and less.

    They are computed with in float32, so a text's score depends on its batch no more than before.
    """
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    weights = quantise(load_file(trained / "model.safetensors"))
    save_file(weights, fresh / "model.safetensors", metadata={"format": "pt"})
    (fresh / "model.safetensors").chmod(0o644)  # safetensors makes it private; a worker runs under another user
    for name in CHECKPOINT_FILES:
        shutil.copyfile(student / name, fresh / name)
    os.replace(fresh, out)


def calibrate(folder: Path, manifest: Manifest, held: Sequence[Row]) -> Manifest:
    """Temperatures for each language and head, then thresholds, on the calibration half of the held-back rows."""
    plain = {language: Encoder(encoder.folder) for language, encoder in manifest.encoders.items()}
    write_manifest(folder, msgspec.structs.replace(manifest, encoders=plain, temperatures=Temperatures(), weights={}))
    mine = calibration_rows(held)
    rows = at_most(mine, EACH)
    languages = [encoder_language(*row.input) if plain else "all" for row in rows]
    fitted = fit_by_language(rows, scores_with(folder, rows), languages)
    encoders = {
        language: Encoder(encoder.folder, fitted.get(language, Temperatures())) for language, encoder in plain.items()
    }
    manifest = msgspec.structs.replace(
        manifest, encoders=encoders, temperatures=fitted.get("all", Temperatures()), weights={}
    )
    write_manifest(folder, manifest)
    calm = [row for row in mine if row.source in SERVICE_CHAT and row.role == "customer" and row.anger == 0.0]
    mixture = at_most(mine, 200)
    decisions = choose_decisions(scores_with(folder, calm), scores_with(folder, mixture))
    manifest = msgspec.structs.replace(manifest, decisions=decisions)
    write_manifest(folder, manifest)
    return manifest


def measure(folder: Path, manifest: Manifest, held: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Figures on the other half of the held-back rows, which neither training nor calibration has seen."""
    rows = [row for row in held if row.labelled and (half(row) == 1 or row.source in MEASURED_ONLY)]
    rows += read_sample()
    return for_manifest(evaluate(manifest.name, rows, scores_with(folder, rows), manifest.decisions))


def record_canary(folder: Path) -> list[Canary]:
    inputs = [model_input(text, context) for text, context in CANARY_TEXTS]
    with closing(load_scorer(str(folder))) as scorer:
        scored = scorer.score(inputs)
    return [
        Canary(made.text, made.context, *(round(value, 6) for value in scores))
        for made, scores in zip(inputs, scored, strict=True)
    ]


def _training(runs: Mapping[Language, Path]) -> dict[str, str | int | float]:
    """What a person needs to repeat the runs; the whole of it is in each run's run.json."""
    told: dict[str, str | int | float] = {}
    for language, work in runs.items():
        job = read_job(work)
        told |= {
            f"{language}_start": _name_of(job.start) if job.start else BASES[language].name,
            f"{language}_layers": ",".join(map(str, job.layers)) or "all",
            f"{language}_teachers": len(job.teachers),
            f"{language}_epochs": job.recipe.epochs,
            f"{language}_learning_rate": job.recipe.learning_rate,
            f"{language}_seed": job.recipe.seed,
        }
    return told


def _name_of(start: str) -> str:
    """A run's own name for its model/ folder."""
    return Path(start).parent.name if Path(start).name == "model" else Path(start).name


def _positions(folder: Path) -> int:
    return int(json.loads((folder / "config.json").read_bytes())["max_position_embeddings"])


def code_commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
        )
    except OSError:  # a machine without git
        return None
    return found.stdout.strip() or None
