"""How fast a model scores, against the transformers pipeline on the same texts, cores and minute."""

from __future__ import annotations

import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from stream_app.scoring.load import default_bundle, load_scorer, output_names
from stream_app.scoring.model_scorer import ModelScorer
from stream_app.scoring.scorer import Scores
from stream_app.scoring.storage import plain_checkpoint
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
    lengths = [len(item.ids) for of_part in scorer.encode(inputs).values() for item in of_part.values()]
    with tempfile.TemporaryDirectory() as room:
        reference = Reference(scorer, folder, Path(room), cores)
        ours, _ = scorer.score(inputs[:64]), reference(inputs[:64])  # warm up
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(repeats):
            ours = _timed(lambda: scorer.score(inputs), seconds["ours"])
            theirs = _timed(lambda: reference(inputs), seconds["theirs"])
    difference = np.abs(np.array(ours) - np.array(theirs)).max()
    median = {way: len(inputs) / statistics.median(taken) for way, taken in seconds.items()}
    best = {way: len(inputs) / min(taken) for way, taken in seconds.items()}
    return {
        "bundle": scorer.name,
        "texts": len(inputs),
        "mean_tokens": round(sum(lengths) / len(inputs), 1),
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


class Reference:
    """The way most people score: `pipeline("text-classification")`, batches of 32, one pipeline a checkpoint."""

    def __init__(self, scorer: ModelScorer, folder: Path, room: Path, cores: int) -> None:
        torch.set_num_threads(cores)
        logging.getLogger("transformers").setLevel(logging.ERROR)
        self._scorer = scorer
        self._pipelines: dict[str, Any] = {}
        for name, encoder in scorer.manifest.checkpoints.items():
            plain = plain_checkpoint(folder / encoder.folder, room / name)
            model = AutoModelForSequenceClassification.from_pretrained(plain, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(plain)
            self._pipelines[name] = pipeline("text-classification", model=model, tokenizer=tokenizer)
        self._names = output_names(folder / next(iter(scorer.manifest.checkpoints.values())).folder)

    def __call__(self, inputs: Sequence[ModelInput]) -> list[Scores]:
        options = {"batch_size": PIPELINE_BATCH, "truncation": True, "top_k": None, "function_to_apply": "none"}
        scores: dict[int, Scores] = {}
        places: dict[str, list[int]] = {}
        for place, item in enumerate(inputs):
            places.setdefault(self._scorer.route(item), []).append(place)
        for name, here in places.items():
            found = self._pipelines[name]([inputs[place].text for place in here], **options)
            by_name = [{each["label"]: each["score"] for each in outputs} for outputs in found]
            logits = [[outputs[self._names[number]] for number in sorted(self._names)] for outputs in by_name]
            read = self._scorer.parts[name].outputs.scores(np.array(logits, dtype=np.float32))
            scores.update(zip(here, read, strict=True))
        return [scores[place] for place in range(len(inputs))]


def _timed(work: Callable[[], Any], seconds: list[float]) -> Any:
    started = time.perf_counter()
    found = work()
    seconds.append(time.perf_counter() - started)
    return found
