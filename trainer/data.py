"""From labelled files to rows the model can learn from: prepared text, known labels, an honest held-back part.

Text goes through `stream_app.text.model_input` and nothing else, so training sees what serving will see.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from stream_app.text.model_input import ModelInput, model_input
from trainer.sources import OWN_TURNS_REPEATED, Source, sources_in

SENTIMENTS = ("neg", "neu", "pos")  # the order of the model's first three outputs
OWN_TURNS = Path(__file__).with_name("own_turns.jsonl")
SAMPLE = Path(__file__).parent.parent / "stream_app" / "local" / "data" / "sample.jsonl"
READ_TURNS = Path(__file__).with_name("read_turns.json")
CONTEXT_TURNS = 2
HELD_BACK_ONE_IN = 20


class Row(NamedTuple):
    source: str
    key: str  # the normalised text: equal for texts that differ only in case, spacing and punctuation
    input: ModelInput
    sentiment: int | None  # index into SENTIMENTS; None: the source does not decide it
    anger: float | None  # 0.0, 1.0, 0.5 for "annoyed"; None: not annotated
    weight: float = 1.0
    role: str = ""  # "customer" or "agent" in service chat


Labels = tuple[int | None, float | None]  # sentiment and anger of a Row


class Split(NamedTuple):
    train: list[Row]
    held: list[Row]


def load_split(folder: Path, seed: int, scale: float = 1.0) -> Split:
    """The mixture of the sources in `folder` (each `take` times `scale`) plus our own turns.

    1. read and prepare   2. hold back 5 % by a hash of the text (service chat: half, by session)
    3. drop every exact duplicate, also across the two parts   4. take from each source, evenly over its labels

    A text that is in both parts is held back, with one exception: what is among our own turns is trained on and not
    measured, because "好的" and "no, that's all" are most of service chat and must not be kept from the model.
    """
    rng = random.Random(seed)
    train: list[Row] = []
    held: list[Row] = []
    for source in sources_in(folder):
        source_rows = [(row, is_held) for row, is_held in _read(folder, source) if row.key]  # 1, 2
        kept = _distinct(row for row, is_held in source_rows if is_held)
        held_keys = {row.key for row in kept}
        pool = _distinct(row for row, is_held in source_rows if not is_held and row.key not in held_keys)
        held += kept
        train += _fill_evenly(pool, int(source.take * scale), rng)  # 4
    own = list(read_own_turns())
    own_trained = {row.key for row in own if not _one_in(row.key, HELD_BACK_ONE_IN)}
    held = _distinct(row for row in held + own if row.key not in own_trained)  # 3
    everywhere = {row.key for row in held}
    train = _distinct(row for row in train if row.key not in everywhere)
    train += [row for row in own if row.key in own_trained] * OWN_TURNS_REPEATED
    rng.shuffle(train)
    return Split(train, held)


def read_own_turns(path: Path = OWN_TURNS) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            turn = json.loads(line)
            made = model_input(turn["text"], turn.get("context", ()))
            yield Row("own_turns", text_key(made.text), made, SENTIMENTS.index(turn["sentiment"]), turn["anger"])


def read_sample(path: Path = SAMPLE) -> Iterator[Row]:
    """The project's own sample of traffic, with the moods its authors meant. For measuring only."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            sample = json.loads(line)
            if "mood" in sample:  # the broken messages of the sample have none
                made = model_input(sample["value"]["text"])
                mood = SENTIMENTS.index(sample["mood"][:3])
                yield Row("own_sample", text_key(made.text), made, mood, float(sample["angry"]))


def read_plain(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def text_key(text: str) -> str:
    """What makes two texts "the same": letters and digits, caseless. Emoji-only texts keep themselves as key."""
    return re.sub(r"[\W_]+", "", text.casefold()) or text


def fingerprint(folder: Path) -> str:
    """One short hash over everything a training run reads."""
    digest = hashlib.sha256()
    for path in [*(folder / f"{source.name}.csv.gz" for source in sources_in(folder)), OWN_TURNS]:
        digest.update(path.name.encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def plain_service_turn(text: str) -> bool:
    """Whether a service-chat turn is plain business: no word of either mood in it.

    Most turns of real service chat ask, answer and thank; no public set labels them. This rule labels them neutral and
    not angry and stays silent about the rest. It errs on the silent side: one mood word and the turn is not used.
    """
    return not _MOOD_WORDS.search(text)


_MOOD_WORDS = re.compile(
    "投诉|垃圾|骗|坑|差|烂|坏|破|气|烦|恶|怒|滚|妈|死|无语|失望|糟|太慢|慢死|催|等了|还没|没人|没有收到|没收到|凭什么|什么意思|怎么回事|到底"
    "|不满|不行|不好|不能|不给|不到|假|退|赔|举报|曝光|差评|鸟用|白买|倒霉|后悔|难受|着急|急|问题|错|抱歉|对不起|遗憾|不是说"
    "|喜欢|满意|太好|真好|很好|不错|棒|赞|感谢|开心|高兴|爱你|厉害|给力|完美|辛苦"
    "|[!！]{2,}|[?？]{3,}|😡|😠|🤬|😊|❤|👍"
)


def _read(folder: Path, source: Source) -> Iterator[tuple[Row, bool]]:
    dialogue: list[str] = []
    dialogue_id = None
    for record in read_plain(folder / f"{source.name}.csv.gz"):
        raw = record["text"]
        context = [turn.strip() for turn in (record.get("context") or "").split("|||") if turn.strip()]
        if source.session:
            if record[source.session] != dialogue_id:
                dialogue, dialogue_id = [], record[source.session]
            if _one_in(record["id"], 2):  # half with context, half without: serving meets both
                context = dialogue[-CONTEXT_TURNS:]
            dialogue.append(raw)
        made = model_input(raw, context)
        key = text_key(made.text)
        if source.service_chat:
            held = _one_in(record["session"], 2)
            sentiment, anger = _read_labels().get(record["id"], (None, None)) if held else _rule_labels(made.text)
        else:
            held = source.measure_only or _one_in(key, HELD_BACK_ONE_IN)
            sentiment, anger = _labels(record, source)
        yield Row(source.name, key, made, sentiment, anger, source.weight, record.get("role") or ""), held


def _rule_labels(text: str) -> Labels:
    return (SENTIMENTS.index("neu"), 0.0) if plain_service_turn(text) else (None, None)


@cache
def _read_labels() -> dict[str, Labels]:
    """Labels by id of the held-back service turns that one of us has read."""
    read = json.loads(READ_TURNS.read_text(encoding="utf-8"))
    moods = {number: SENTIMENTS.index(mood) for mood in SENTIMENTS for number in read[mood]}
    return {f"{read['source']}-{number}": (mood, float(number in read["angry"])) for number, mood in moods.items()}


def _labels(record: Mapping[str, str], source: Source) -> Labels:
    believed = record["sentiment"] and record.get("label_src") not in source.mute
    sentiment = SENTIMENTS.index(record["sentiment"]) if believed else None
    if record.get("anger"):
        return sentiment, float(record["anger"])
    return sentiment, 0.0 if source.shop and record["sentiment"] == "pos" else None


def _one_in(key: str, parts: int) -> bool:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) % parts == 0


def _distinct(rows: Iterable[Row]) -> list[Row]:
    """One row a text: the first that has a label, else the first."""
    kept: dict[str, Row] = {}
    for row in rows:
        known = kept.get(row.key)
        if known is None or (known.sentiment is None and known.anger is None):
            kept[row.key] = row
    return list(kept.values())


def _fill_evenly(rows: list[Row], take: int, rng: random.Random) -> list[Row]:
    """Up to `take` labelled rows, each label group giving the same number as long as it has any."""
    groups: dict[tuple[int | None, float | None], list[Row]] = defaultdict(list)
    for row in rows:
        if row.sentiment is not None or row.anger is not None:
            groups[row.sentiment, row.anger].append(row)
    chosen: list[Row] = []
    by_size = sorted(groups.values(), key=len)
    for position, group in enumerate(by_size):
        share = (take - len(chosen)) // (len(by_size) - position)
        rng.shuffle(group)
        chosen += group[:share]
    return chosen


def half(row: Row) -> int:
    """0 or 1, by a hash of the text: which half of the held-back rows it belongs to (calibrate on 0, report on 1)."""
    return int(_one_in("half:" + row.key, 2))
