"""The model card: what the bundle is, what it may not be used for, and its figures. Written from the manifest."""

from __future__ import annotations

import os
import platform

from schemas.bundle import Manifest

_COLUMNS = (
    ("texts", "labelled"),
    ("accuracy", "accuracy"),
    ("macro F1", "macro_f1"),
    ("accuracy of two", "accuracy_of_two"),
    ("neutral → negative", "neutral_called_negative"),
    ("ECE", "calibration_error"),
    ("anger AUC", "anger_auc"),
    ("anger recall", "anger_recall"),
    ("anger false alarms", "anger_false_alarms"),
)
_INTERVALS = frozenset({"accuracy", "macro_f1", "anger_auc"})


def write(manifest: Manifest) -> str:
    """The card as Markdown."""
    created = manifest.created.date().isoformat() if manifest.created else "unknown"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    temperatures = (
        f"{name}: sentiment {encoder.temperatures.sentiment}, anger {encoder.temperatures.anger}"
        for name, encoder in manifest.checkpoints.items()
    )
    return _CARD.format(
        name=manifest.name,
        created=created,
        machine=machine,
        encoders=_ENCODERS if manifest.encoders else "One encoder reads every text.",
        training="\n".join(f"    {name:24} {value}" for name, value in manifest.training.items()),
        max_tokens=manifest.max_tokens,
        text_version=manifest.text_version,
        temperatures="; ".join(temperatures),
        threshold=manifest.decisions.anger_threshold,
        cuts=", ".join(map(str, manifest.decisions.intensity_cuts)),
        licences="\n".join(f"| {name} | {licence} |" for name, licence in manifest.licences.items()),
        figures=_table(manifest.metrics),
        fingerprint=manifest.data_fingerprint,
        commit=manifest.code_commit or "not known",
    )


def _table(metrics: dict[str, dict[str, float]]) -> str:
    head = "| held-back set | " + " | ".join(title for title, _ in _COLUMNS) + " |"
    lines = [head, "|---|" + "---|" * len(_COLUMNS)]
    for name, found in metrics.items():
        lines.append(f"| {name} | " + " | ".join(_cell(found, key) for _, key in _COLUMNS) + " |")
    return "\n".join(lines)


def _cell(found: dict[str, float], key: str) -> str:
    value = found.get(key)
    if value is None:
        return "–"
    if key == "labelled":
        return f"{value:.0f}"
    if f"{key}_low" in found:
        return f"{value:.3f} ({found[key + '_low']:.3f}–{found[key + '_high']:.3f})"
    return f"{value:.3f}"


_ENCODERS = """Two encoders of one design: `zh` reads every text with a Chinese character in it, `en` the others
(`stream_app.text.language.encoder_language`). Other languages go to `en` and are marked `language: other` in the event:
expect little of those scores."""

_CARD = """# {name}

## Read first: the limits

- **Licences.** Several of the data sets below state no licence, and the Amazon, JDDC, CPED and airline sets allow
  research or non-commercial use only. Before commercial use, train on your own labelled texts (`make model DATA=…`) or
  take advice. No row of any data set is part of this bundle; the canary texts are our own.
- **One reader.** Service chat and 700 chatbot turns were labelled by one reader each, and our own training turns
  were written and labelled by few people: their idea of what is neutral, annoyed or angry is the model's.
- **Anger in service chat is rare**: a handful of the held-back real turns are truly angry, so its recall there is known
  only roughly. English service chat could not be measured at all.
- Shop reviews have no anger labels: a positive review counted as not angry, the others as unknown.
- Held-back texts come from the same sets as the training texts. Expect lower figures on other shops, topics and years.
- A mood is not a fact about a person. Do not use the scores to judge customers or employees individually.

## What it is

{encoders}

Each encoder is a BERT with one classifier over the first token and four outputs: negative, neutral, positive (softmax)
and anger (sigmoid). It reads {max_tokens} tokens at most; earlier turns go in as the second segment. Matrices are
stored in 8 bits with a scale for each row and computed with in fp32; `moodstream models export` writes plain
checkpoints for `AutoModelForSequenceClassification.from_pretrained`.

Made {created} at commit {commit}; text version {text_version}; data fingerprint {fingerprint}.
Temperatures: {temperatures}. Anger threshold {threshold}; intensity cuts {cuts}.

{training}

## Figures

Measured when the bundle was made, on {machine}; again by `moodstream train evaluate <this folder> --data DATA`.
5 % of every set was held back before training (service chat: half; people's own labels: a quarter), near-duplicates
removed across the split, customers and conversations kept whole. Half of that, by a hash, set temperatures and
thresholds; the other half gave these figures, with 95 % bootstrap intervals. "Accuracy of two": when the model must
choose between negative and positive. "Neutral → negative": share of its neutral texts called negative. ECE: expected
calibration error of sentiment, 15 bins.
own_sample: the project's sample of traffic, written and labelled by us, full of irony and of problems told without a
mood word; own_turns: the held-back twentieth of the turns we wrote.

{figures}

## Data and licences

As far as we could find out; ask the publishers before you rely on it.

| what | licence |
|---|---|
{licences}
"""
