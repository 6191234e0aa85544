"""The score stage: a micro-batch of raw deliveries → sentiment events and dead letters.

In order: decode → clean and take personal data out → batches by tokens → BERT → `SentimentScored`. What cannot be read
or scored becomes a dead letter; everything else of the batch is scored.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

from schemas.codec import Undecodable, decode, encode, from_epoch_ms, milliseconds
from schemas.events import ChatMessage, Position, RawEvent, SentimentScored
from schemas.topics import CHATS, REVIEWS, SENTIMENT
from stream_app import metrics
from stream_app.errors import Rejected, ScorerBroken
from stream_app.flow.dead_letters import dead_letter
from stream_app.flow.delivery import Delivery, Record, Settled
from stream_app.flow.stage import KafkaOffsets
from stream_app.scoring.score_texts import Scored, score_texts
from stream_app.scoring.scorer import LoadedScorer, Scorer

log = logging.getLogger("moodstream.score")

_NUL = b"\\u0000"  # how a NUL is written in JSON; PostgreSQL cannot store one


class ScoreStage(KafkaOffsets):
    """Satisfies `Stage`. `now` is asked once a batch; `max_age` and `max_ahead` bound event_time around it."""

    name = "score"
    inputs = (REVIEWS.name, CHATS.name)

    def __init__(
        self,
        scorer: LoadedScorer,
        pseudonym_key: bytes,
        now: Callable[[], datetime],
        *,
        max_age: timedelta,
        max_ahead: timedelta,
    ) -> None:
        self._scorer = scorer
        self._batch = threading.Lock()  # held while a batch is scored
        self._key = pseudonym_key
        self._now = now
        self._max_age = max_age
        self._max_ahead = max_ahead
        metrics.MODEL.labels(scorer.name).set(1)

    @property
    def model(self) -> str:
        """The name of the model that scores the next batch."""
        return self._scorer.name

    def switch(self, scorer: LoadedScorer) -> None:
        """Serve with another model from the next batch on, and close the one before it. From any thread but the loop's.

        Blocks until the batch at hand is scored: when this returns, nothing is scored by the old model any more.
        """
        with self._batch:
            before, self._scorer = self._scorer, scorer
            metrics.MODEL.clear()
            metrics.MODEL.labels(scorer.name).set(1)
        log.info("model %s serves from now on, after %s", scorer.name, before.name)
        before.close()

    def settle(self, batch: Sequence[Delivery]) -> Settled:
        with self._batch:
            return self._settle(batch, self._scorer)

    def _settle(self, batch: Sequence[Delivery], scorer: Scorer) -> Settled:
        now = self._now()
        oldest, newest = now - self._max_age, now + self._max_ahead
        records: list[Record] = []
        readable: list[tuple[Delivery, RawEvent]] = []
        # 1. Decode. What is no event becomes a dead letter here.
        for delivery in batch:
            try:
                readable.append((delivery, _read(delivery, oldest, newest)))
            except (Undecodable, Rejected) as no:
                records.append(self._reject(delivery, no.reason, no.where, no.detail, now))
        # 2. Clean, tokenise, score: all texts together, or, if that fails, all but the ones that fail alone.
        texts = [_text(event) for _, event in readable]
        moods: Counter[tuple[str, str]] = Counter()
        for (delivery, event), scored in zip(readable, self._score(scorer, texts), strict=True):
            if isinstance(scored, Exception):
                detail = f"{type(scored).__name__}: {scored}"
                records.append(self._reject(delivery, "scoring_failed", "$.text", detail, now))
            else:
                records.append(self._record(delivery, event, scored, scorer, now))
                moods[scored.prepared.language, scored.judgement.label] += 1
        for mood, count in moods.items():
            metrics.TEXTS.labels(*mood).inc(count)
        return Settled(records)

    def _score(self, scorer: Scorer, texts: Sequence[tuple[str, Sequence[str]]]) -> list[Scored | Exception]:
        """One result per text; an exception for a text that fails alone.

        Raises ScorerBroken when the model fails its own canary: then the texts are innocent.
        """
        try:
            return list(score_texts(scorer, texts))
        except Exception as failure:  # whatever it is, the question is the same: whose fault?
            if len(texts) == 1:
                self._blame(scorer, failure)
                return [failure]
            log.warning("a batch of %d texts failed, looking for the one at fault: %r", len(texts), failure)
            half = len(texts) // 2
            return self._score(scorer, texts[:half]) + self._score(scorer, texts[half:])

    @staticmethod
    def _blame(scorer: Scorer, failure: Exception) -> None:
        try:
            scorer.check_canary()
        except Exception as broken:
            metrics.SCORER_BROKEN.inc()
            raise ScorerBroken(
                f"{scorer.name} fails its own canary ({broken}) as well as a text ({failure})"
            ) from broken

    def _reject(self, delivery: Delivery, reason: object, where: str, detail: str, now: datetime) -> Record:
        metrics.DEAD_LETTERS.labels(self.name, reason).inc()
        return dead_letter(delivery, self.name, reason, where, detail, now)  # type: ignore[arg-type]

    def _record(self, delivery: Delivery, event: RawEvent, scored: Scored, scorer: Scorer, now: datetime) -> Record:
        prepared, scores, judgement = scored
        customer = self._pseudonym(event)
        chat = event if isinstance(event, ChatMessage) else None
        sentiment = SentimentScored(
            event_id=event.event_id,
            event_time=milliseconds(event.event_time),
            scored_at=now,
            ingested_at=from_epoch_ms(delivery.timestamp_ms),
            source="chat" if chat else "review",
            raw=Position(delivery.topic, delivery.partition, delivery.offset),
            customer=customer,
            text=prepared.text,
            flags=prepared.flags,
            language=prepared.language,  # type: ignore[arg-type]
            label=judgement.label,  # type: ignore[arg-type]
            negative=scores.negative,
            neutral=scores.neutral,
            positive=scores.positive,
            score=judgement.score,
            intensity=judgement.intensity,
            anger=scores.anger,
            angry=judgement.angry,
            model=scorer.name,
            text_version=scorer.text_version,
            conversation_id=chat.conversation_id if chat else None,
            side=chat.side if chat else None,
            turn=chat.turn if chat else None,
            customer_tier=event.customer_tier,
            product_id=event.product_id,
            category=event.category,
            brand=event.brand,
            channel=event.channel,
            order_id=event.order_id,
            rating=None if chat else event.rating,  # type: ignore[union-attr]
        )
        return Record(SENTIMENT.name, customer.encode(), encode(sentiment))

    def _pseudonym(self, event: RawEvent) -> str:
        """The same customer, the same pseudonym; without the key nobody gets back from it.

        Where a publisher knows no customer, the conversation stands for one, or the review for itself: both sides of a
        conversation stay in one partition either way.
        """
        who = event.customer_id
        if who is None:
            who = (
                f"conversation:{event.conversation_id}" if isinstance(event, ChatMessage) else f"event:{event.event_id}"
            )
        return blake2b(who.encode(), key=self._key, digest_size=12).hexdigest()


def _text(event: RawEvent) -> tuple[str, Sequence[str]]:
    return event.text, event.context if isinstance(event, ChatMessage) else ()


def _read(delivery: Delivery, oldest: datetime, newest: datetime) -> RawEvent:
    """The event, within its bounds. Raises Undecodable or Rejected."""
    event = decode(delivery.topic, delivery.value)
    assert isinstance(event, RawEvent)  # a raw topic carries nothing else: schemas/topics.py
    if event.event_time < oldest:
        raise Rejected("time_out_of_range", "$.event_time", f"before {oldest:%Y-%m-%d %H:%M} UTC")
    if event.event_time > newest:
        raise Rejected("time_out_of_range", "$.event_time", f"after {newest:%Y-%m-%d %H:%M} UTC: ahead of this clock")
    if _NUL in (delivery.value or b""):
        for name in event.__struct_fields__:
            if name != "text" and isinstance(value := getattr(event, name), str) and "\0" in value:
                raise Rejected("invalid_field", f"$.{name}", "contains a NUL character")
    return event
