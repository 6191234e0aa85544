"""Everything a training run reads: the sources of the data folder, our own turns, what one of us has labelled by hand.

`own_turns/*.jsonl` are texts written for this project. `read_labels/*.tsv` label rows of a source by the number at the
end of their id, without their text: a first line `# <source>: …`, then number, neg|neu|pos|skip, anger.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from stream_app.text.model_input import CONTEXT_TURNS, model_input
from trainer.extract import ANGER, Labelled, read_labelled
from trainer.files import DataError, files_in
from trainer.rows import SENTIMENTS, Labels, Row, one_in, text_key
from trainer.sources import Source, sources_in

OWN_TURNS = Path(__file__).with_name("own_turns")
READ_LABELS = Path(__file__).with_name("read_labels")
SAMPLE = Path(__file__).parent.parent / "stream_app" / "local" / "data" / "sample.jsonl"

ReadLabels = Mapping[str, Mapping[int, Labels]]


class Sided(NamedTuple):
    """A row, and whether its source wants it held back (True), trained on (False) or where the split puts it (None)."""

    row: Row
    held: bool | None


def read_folder(
    folder: Path, labels: Mapping[str, str] | None = None, read: Path = READ_LABELS
) -> Iterator[tuple[Source, list[Sided]]]:
    """Source by source. `labels`: what the files' own labels mean, see `extract.read_labelled`. Raises DataError."""
    files = files_in(folder)
    by_hand = read_labels(read)
    for source in sources_in(folder):
        yield source, list(read_source(files[source.name], source, by_hand.get(source.name, {}), labels))


def read_source(
    path: Path, source: Source, by_hand: Mapping[int, Labels], labels: Mapping[str, str] | None = None
) -> Iterator[Sided]:
    """Rows with text, in the file's order."""
    dialogue: list[str] = []
    conversation = None
    for labelled in read_labelled(path, labels):
        context = None
        if source.dialogue and labelled.conversation and not labelled.context:
            if labelled.conversation != conversation:
                dialogue, conversation = [], labelled.conversation
            if one_in(labelled.id or f"{path.name}-{labelled.row}", 2):  # half with context: serving meets both
                context = dialogue[-CONTEXT_TURNS:]
            dialogue.append(labelled.text)
        row = labelled.as_row(source.name, weight=source.weight, context=context)
        if row.key:
            held = True if source.measure_only else None
            if source.service_chat:
                held = one_in(labelled.conversation, 2)
            yield Sided(_with_labels(row, labelled, source, by_hand, held), held)


def read_own_turns(folder: Path = OWN_TURNS) -> Iterator[Row]:
    for path in sorted(folder.glob("*.jsonl")):
        for labelled in read_labelled(path):
            if labelled.sentiment is None or labelled.anger is None:
                raise DataError(path, "an own turn has both sentiment and anger", row=labelled.row)
            yield labelled.as_row("own_turns")


def read_sample(path: Path = SAMPLE) -> Iterator[Row]:
    """The project's own sample of traffic, with the moods its authors meant. For measuring only."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            sample = json.loads(line)
            if "mood" in sample:  # the broken messages of the sample have none
                made = model_input(sample["value"]["text"])
                mood = SENTIMENTS.index(sample["mood"][:3])
                yield Row("own_sample", text_key(made.text), made, mood, float(sample["angry"]))


def read_labels(folder: Path = READ_LABELS) -> ReadLabels:
    """Source -> number of the row -> its labels; (None, None) where a reader hesitated."""
    return dict(_read_table(path) for path in sorted(folder.glob("*.tsv")))


def files_fingerprint(folder: Path) -> str:
    """One short hash over the files a training run on `folder` reads."""
    files = files_in(folder)
    read = [files[source.name] for source in sources_in(folder)]
    digest = hashlib.sha256()
    for path in [*read, *sorted(OWN_TURNS.glob("*.jsonl")), *sorted(READ_LABELS.glob("*.tsv"))]:
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


def _with_labels(row: Row, labelled: Labelled, source: Source, by_hand: Mapping[int, Labels], held: bool | None) -> Row:
    """What we believe of the row's labels: a reader of ours first, then the rule for service chat, then the file."""
    if row.row in by_hand:
        sentiment, anger = by_hand[row.row]
        return row._replace(sentiment=sentiment, anger=anger, weight=max(row.weight, 1.0))
    if source.service_chat and not row.labelled:
        plain = not held and plain_service_turn(row.input.text)
        return row._replace(sentiment=SENTIMENTS.index("neu"), anger=0.0) if plain else row
    if row.anger is None and source.shop and row.sentiment == SENTIMENTS.index("pos"):
        row = row._replace(anger=0.0)
    return row._replace(sentiment=None) if labelled.label_src in source.mute else row


def _read_table(path: Path) -> tuple[str, dict[int, Labels]]:
    head, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    name = head.removeprefix("#").partition(":")[0].strip()
    if not head.startswith("#") or not name:
        raise DataError(path, "the first line names the source, as in # zh_xs_chat_auto: read by …", row=1)
    found: dict[int, Labels] = {}
    for row, line in enumerate(lines, 2):
        cells = line.split("\t")
        if line.startswith("#") or not line.strip():
            continue
        if len(cells) != 3 or not cells[0].isdigit():
            raise DataError(path, "row number, neg|neu|pos|skip and anger are needed, with tabs between", row=row)
        number, mood, anger = cells
        if mood not in (*SENTIMENTS, "skip"):
            raise DataError(path, f"unknown label {mood!r}; known are neg, neu, pos and skip", row=row, column="2")
        if anger not in ANGER:
            raise DataError(path, f"unknown label {anger!r}; known are 0, 0.5 and 1", row=row, column="3")
        found[int(number)] = (None, None) if mood == "skip" else (SENTIMENTS.index(mood), ANGER[anger])
    return name, found
