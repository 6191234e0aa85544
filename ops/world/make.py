"""The stream of a world: hour by hour, scored, late, and in the order in which it arrives.

1. The hour's texts are gathered: the background's and those of the stories.
2. The model reads them (`scores.py`), the network delays them: most arrive within seconds, 3 % minutes late.
3. What is there when the hour ends goes out in order of arrival; the rest waits. Memory: an hour and the stories.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from ops.world.background import Hour
from ops.world.crowds import crowds, surged
from ops.world.scores import INTENSITY_CUTS, LABELS, THRESHOLD, probabilities
from ops.world.settings import HOUR_MS, Settings, moment
from ops.world.shop import CHANNELS, LANGUAGES, TIERS, shop
from ops.world.stories import stories
from ops.world.texts import Text
from ops.world.truth import Incident
from schemas.events import Language, Position, SentimentScored
from stream_app.scoring.decisions import Decisions, judge
from stream_app.scoring.scorer import Scores

MODEL = "scripted-world"
LATEST_MS = 300_000
"""No event arrives later than this after its event time."""

_DECISIONS = Decisions(anger_threshold=THRESHOLD, intensity_cuts=INTENSITY_CUTS)
_SPOKEN: dict[str, Language] = {"zh": "zh", "en": "en", "mixed": "mixed"}
_SCORING = timedelta(milliseconds=120)  # from arrival to score


class World:
    """`events` is to be read once, to its end; then `incidents` and `wrong_flags` are complete."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.incidents: list[Incident] = []
        self.wrong_flags = 0
        self._shop = shop(settings)
        self._crowds = crowds(settings, self._shop)
        self._offset = 0

    def events(self) -> Iterator[SentimentScored]:
        told = self._told()
        waiting: list[tuple[int, str, Text, tuple[float, float, float]]] = []
        for hour in range(self.settings.hours):
            # 1. What is written in this hour.
            background = Hour(self.settings, self._shop, hour, self._crowds.conditions)
            texts = background.texts() + told.pop(hour, [])
            self.wrong_flags += background.wrong
            # 2. What the model says of it, and when it arrives.
            chance = self.settings.chance(5, hour)
            shares = probabilities(chance, np.array([text.mood for text in texts], dtype=np.int64)).tolist()
            for text, late, share in zip(texts, _delays(chance, len(texts)), shares, strict=True):
                waiting.append((text.at_ms + late, text.event_id, text, tuple(share)))
            # 3. What is there when the hour ends.
            waiting.sort()
            ends = self.settings.end_ms * 2 if hour == self.settings.hours - 1 else (hour + 1) * HOUR_MS
            kept = []
            for one in waiting:
                if one[0] < ends:
                    yield self._scored(one[2], one[0], one[3])
                else:
                    kept.append(one)
            waiting = kept
        self._conclude()

    def _told(self) -> dict[int, list[Text]]:
        """The stories' texts by hour; their incidents are known already."""
        hours: dict[int, list[Text]] = defaultdict(list)
        texts = list(self._crowds.texts)
        self.incidents += self._crowds.incidents
        for story in stories(self.settings, self._shop):
            texts += story.texts
            self.incidents += story.incidents
        for text in texts:
            hours[text.at_ms // HOUR_MS].append(text)
        return hours

    def _conclude(self) -> None:
        surges = [one for one in self._crowds.conditions if one.sort == "surge"]
        found = [surged(self.settings, self._shop, surge) for surge in surges]
        self.incidents += [incident for incident in found if incident is not None]
        self.incidents.sort(key=lambda incident: (incident.start, incident.incident))

    def _scored(self, text: Text, arrived_ms: int, shares: tuple[float, float, float]) -> SentimentScored:
        shop = self._shop
        negative, neutral, positive = shares
        judged = judge(Scores(negative, neutral, positive, text.anger), _DECISIONS)
        product = shop.products[text.product]
        chat = text.conversation is not None
        arrived = moment(arrived_ms)
        self._offset += 1
        return SentimentScored(
            event_id=text.event_id,
            event_time=moment(text.at_ms),
            scored_at=arrived + _SCORING,
            ingested_at=arrived,
            source="chat" if chat else "review",
            raw=Position("raw.chats" if chat else "raw.reviews", text.customer % 8, self._offset),
            customer=shop.customers[text.customer],
            text=text.text,
            language=_SPOKEN[LANGUAGES[shop.languages[text.customer]]],
            label=LABELS[text.mood],
            negative=negative,
            neutral=neutral,
            positive=positive,
            score=round(judged.score, 4),
            intensity=judged.intensity,
            anger=text.anger,
            angry=judged.angry,
            model=MODEL,
            text_version=1,
            conversation_id=text.conversation,
            side=text.side,
            turn=text.turn,
            customer_tier=TIERS[shop.tiers[text.customer]],
            product_id=product.id,
            category=product.category,
            brand=product.brand,
            channel="chat" if chat else CHANNELS[text.customer % len(CHANNELS)],
        )


def _delays(chance: np.random.Generator, size: int) -> list[int]:
    """Milliseconds from event time to arrival: 1.5 s on average, and a minute on average for 3 %."""
    slow = chance.random(size) < 0.03
    delays = chance.exponential(np.where(slow, 60_000, 1_500))
    late: list[int] = np.minimum(delays, LATEST_MS).astype(np.int64).tolist()
    return late
