"""The model card: what the bundle is, what it may not be used for, and its figures. Written from the manifest."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable

from schemas.bundle import Manifest

_COLUMNS = (
    ("texts", "texts"),
    ("accuracy", "accuracy"),
    ("macro F1", "macro_f1"),
    ("accuracy of two", "accuracy_of_two"),
    ("wrongly negative", "called_negative_wrongly"),
    ("ECE", "calibration_error"),
    ("anger AUC", "anger_auc"),
    ("anger recall", "anger_recall"),
    ("anger false alarms", "anger_false_alarms"),
)
_CALM_COLUMNS = (
    ("texts", "texts"),
    ("called negative", "called_negative"),
    ("called positive", "called_positive"),
    ("called angry", "called_angry"),
)


def write(manifest: Manifest) -> str:
    """The card as Markdown."""
    labelled = {name: found for name, found in manifest.metrics.items() if "called_negative" not in found}
    calm = {name: found for name, found in manifest.metrics.items() if "called_negative" in found}
    created = manifest.created.date().isoformat() if manifest.created else "unknown"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return _CARD.format(
        name=manifest.name,
        created=created,
        machine=machine,
        training=", ".join(f"{name} {value}" for name, value in manifest.training.items()),
        max_tokens=manifest.max_tokens,
        text_version=manifest.text_version,
        temperatures=f"sentiment {manifest.temperatures.sentiment}, anger {manifest.temperatures.anger}",
        threshold=manifest.decisions.anger_threshold,
        cuts=", ".join(map(str, manifest.decisions.intensity_cuts)),
        licences="\n".join(f"| {name} | {licence} |" for name, licence in manifest.licences.items()),
        figures=_table(_COLUMNS, labelled),
        calm=_table(_CALM_COLUMNS, calm),
        fingerprint=manifest.data_fingerprint,
    )


def _table(columns: Iterable[tuple[str, str]], metrics: dict[str, dict[str, float]]) -> str:
    columns = list(columns)
    head = "| held-back set | " + " | ".join(title for title, _ in columns) + " |"
    lines = [head, "|---|" + "---|" * len(columns)]
    for name, found in metrics.items():
        lines.append(f"| {name} | " + " | ".join(_cell(found.get(key)) for _, key in columns) + " |")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 2 else f"{value:.3f}"


_CARD = """# {name}

## Read first: the limits

- **Licences.** Several of the data sets below state no licence, and the Amazon, JDDC and airline sets allow research or
  non-commercial use only. Before commercial use, retrain on your own labelled texts (`moodstream train bundle`) or take
  advice. No row of any data set is part of this bundle; the canary texts are our own.
- **Ordinary service talk.** No public set holds labelled calm service turns; a rule over unlabelled chat and
  600 sentences of our own stand in for them. The second table shows what is left of the error: shares of *all*
  held-back turns of real Chinese service chat, unlabelled, most of them neither negative nor angry. English service
  chat could not be measured at all.
- **Anger** was learnt from Weibo, Reddit, chat and TV dialogue, not from service chat. Recall below is at the threshold
  that keeps false alarms on held-back real service turns near 1 %; sarcasm and cold anger are mostly missed.
- Shop reviews have no anger labels: a positive review counted as not angry, the others as unknown.
- Other languages than Chinese and English are not supported: their pieces are not in the vocabulary.
- Held-back texts come from the same sets as the training texts. Expect lower figures on other shops, topics and years.
- A mood is not a fact about a person. Do not use the scores to judge customers or employees individually.

## What it is

BERT, 4 layers × 384, 12 heads, from multilingual-e5-small (vocabulary cut to Chinese and English); one classifier over
the first token with four outputs: negative, neutral, positive (softmax) and anger (sigmoid). It reads {max_tokens}
tokens at most; earlier turns go in as the second segment. Weights are stored in fp16 and computed in fp32. A plain
`BertForSequenceClassification` checkpoint: `AutoModelForSequenceClassification.from_pretrained` loads it.

Made {created} with `moodstream train bundle`; text version {text_version}; data fingerprint {fingerprint}.
Training: {training}.
Temperatures: {temperatures}. Anger threshold {threshold}; intensity cuts {cuts}.

## Figures

Command: `moodstream train measure --data DATA <this folder>`, on {machine}.
5 % of every set was held back by a hash of the text before training, exact duplicates removed across the split; half of
that (by hash) set temperatures and thresholds, the other half gave these figures. "Accuracy of two": for sets without
neutral, when the model must choose between negative and positive. "Wrongly negative": share of its texts labelled
neutral or positive that are called negative. ECE: expected calibration error, 15 bins. zh_jddc_chat_unlabelled in this
table: customer turns of held-back sessions that one of us has read and labelled (`trainer/read_turns.json`). The
commonest turns ("好的", "没有了") are among our own turns, trained on, and so in neither table.
own_sample: the project's sample of traffic, written and labelled by us, full of irony and of problems told without a
mood word. Neither of the two was trained on, but the author of half of our own turns had read an earlier model's errors
on both before writing them, and some turns are alike: development sets, not tests.

{figures}

Service chat, half of the sessions held back, no labels:

{calm}

## Data and licences

As far as we could find out; ask the publishers before you rely on it.

| what | licence |
|---|---|
{licences}
"""
