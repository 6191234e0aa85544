"""How fast a model scores, against the transformers pipeline on the same texts, cores and minute."""

from __future__ import annotations

import logging
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from schemas.bundle import read_manifest
from stream_app.scoring.load import default_bundle, load_scorer, output_names
from stream_app.scoring.model_scorer import ModelScorer
from stream_app.scoring.outputs import Outputs
from stream_app.text.model_input import ModelInput, model_input

PIPELINE_BATCH = 32


def measure(bundle: Path | None, texts: Sequence[str], repeats: int) -> dict[str, Any]:
    """Both ways `repeats` times, in turns; medians in texts per second of wall time, best runs beside them.

    The best runs are the ones to compare on a busy machine: two intra-op threads suffer more from a neighbour than two
    threads that never wait for each other, which flatters the median ratio. The ratio also follows the texts: what is
    saved is padding, so short texts of one length give less of it than reviews among greetings.

    The same cores for both: as many scoring threads as the pipeline has torch threads. Texts are made distinct first
    and nothing is remembered between runs, so no cache of ours takes part. `max_abs_difference` is between our
    probabilities and those of the pipeline's padded fp32 logits.
    """
    folder = bundle or default_bundle()
    cores = len(os.sched_getaffinity(0))
    inputs = list(dict.fromkeys(ModelInput(model_input(text).text, None) for text in texts))
    scorer = cast(ModelScorer, load_scorer(str(folder), threads=cores, remember=0))
    reference = _pipeline(folder, cores)
    plain = [made.text for made in inputs]
    ours, theirs = scorer.score(inputs[:64]), reference(plain[:64])  # warm up
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        ours = _timed(lambda: scorer.score(inputs), seconds["ours"])
        theirs = _timed(lambda: reference(plain), seconds["theirs"])
    manifest = read_manifest(folder)
    names = output_names(folder)
    logits = np.array([[found[names[n]] for n in sorted(names)] for found in theirs], dtype=np.float32)
    difference = np.abs(np.array(ours) - np.array(Outputs(manifest, names).scores(logits))).max()
    median = {way: len(inputs) / statistics.median(taken) for way, taken in seconds.items()}
    best = {way: len(inputs) / min(taken) for way, taken in seconds.items()}
    return {
        "bundle": manifest.name,
        "texts": len(inputs),
        "mean_tokens": round(sum(len(item.ids) for item in scorer.model.encode(inputs)) / len(inputs), 1),
        "repeats": repeats,
        "cores": cores,
        "texts_per_second": round(median["ours"], 1),
        "pipeline_texts_per_second": round(median["theirs"], 1),
        "ratio": round(median["ours"] / median["theirs"], 2),
        "best_texts_per_second": round(best["ours"], 1),
        "best_pipeline_texts_per_second": round(best["theirs"], 1),
        "best_ratio": round(best["ours"] / best["theirs"], 2),
        "max_abs_difference": float(difference),
    }


def _pipeline(folder: Path, cores: int) -> Callable[[list[str]], list[dict[str, float]]]:
    """The way most people score: `pipeline("text-classification")`, batches of 32; gives logits by output name."""
    torch.set_num_threads(cores)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    classify: Any = pipeline("text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))

    def run(texts: list[str]) -> list[dict[str, float]]:
        options = {"batch_size": PIPELINE_BATCH, "truncation": True, "top_k": None, "function_to_apply": "none"}
        return [{each["label"]: each["score"] for each in found} for found in classify(texts, **options)]

    return run


def _timed(work: Callable[[], Any], seconds: list[float]) -> Any:
    started = time.perf_counter()
    found = work()
    seconds.append(time.perf_counter() - started)
    return found
