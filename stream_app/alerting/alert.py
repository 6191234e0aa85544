"""The alert stage: scored events → incidents → `AlertRaised`, over a memory that a replay does not move.

In order, for each batch: decode → one read of the memory → judge → one write of the memory → publish. The loop
publishes alerts and offsets in one Kafka transaction, after the write. A worker that dies between the two left its
decisions in the memory as pending, by offset, and the next owner publishes them from there:

- a batch that begins at offset O proves that everything before O is through: pending decisions before O are dropped;
- deliveries below the memory's mark were applied before: they change nothing, their decisions come from pending;
- deliveries from the mark on are judged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from secrets import token_hex

import msgspec

from schemas import codec
from schemas.events import AlertRaised, SentimentScored
from schemas.topics import ALERTS, SENTIMENT
from stream_app import metrics
from stream_app.alerting.incidents import Decision, judge, subject
from stream_app.alerting.memory import Mark, Memory, Pending, Remembered
from stream_app.alerting.rules import Rules
from stream_app.alerting.state import NOTHING, Conversation, quoted
from stream_app.alerting.wording import Language, reason
from stream_app.flow.dead_letters import dead_letter
from stream_app.flow.delivery import Delivery, Record, Settled, TopicPartition
from stream_app.flow.stage import KafkaOffsets

log = logging.getLogger("moodstream.alert")


class _Share(msgspec.Struct):
    """One partition's part of a batch: its deliveries, and the events among them that a rule may hold for."""

    deliveries: list[Delivery]
    events: list[tuple[int, str, SentimentScored]]  # offset, subject, event


class AlertStage(KafkaOffsets):
    """Satisfies `Stage`. `now` is asked once a batch, for `raised_at` alone: rules know only the events' own time."""

    name = "alert"
    inputs = (SENTIMENT.name,)

    def __init__(self, memory: Memory, rules: Rules, now: Callable[[], datetime], *, language: Language = "en") -> None:
        self._memory = memory
        self._rules = rules
        self._version = rules.version()
        self._keep = timedelta(days=rules.memory.days)
        self._language = language
        self._now = now
        self._written: dict[TopicPartition, Mark] = {}

    def settle(self, batch: Sequence[Delivery]) -> Settled:
        now = self._now()
        # 1. Decode. What is no event becomes a dead letter, also when it comes again.
        shares, letters = self._decode(batch, now)
        # 2. Read what is known of the conversations in the batch.
        remembered = self._memory.read(
            {partition: {about for _, about, _ in share.events} for partition, share in shares.items()}
        )
        # 3. Judge and write, one partition after the other: each moves alone, and again if a later one fails.
        alerts = [
            Record(ALERTS.name, decided.key, decided.value)
            for partition, share in shares.items()
            for decided in self._advance(partition, share, remembered[partition], now)
        ]
        return Settled([*alerts, *letters])

    def close(self) -> None:
        self._memory.close()

    def _decode(self, batch: Sequence[Delivery], now: datetime) -> tuple[dict[TopicPartition, _Share], list[Record]]:
        shares: dict[TopicPartition, _Share] = {}
        letters: list[Record] = []
        for delivery in batch:
            partition = (delivery.topic, delivery.partition)
            if (share := shares.get(partition)) is None:
                share = shares[partition] = _Share([], [])
            share.deliveries.append(delivery)
            try:
                event = codec.decode(delivery.topic, delivery.value)
            except codec.Undecodable as no:
                metrics.DEAD_LETTERS.labels(self.name, no.reason).inc()
                letters.append(dead_letter(delivery, self.name, no.reason, no.where, no.detail, now))
                continue
            assert isinstance(event, SentimentScored)  # the topic carries nothing else: schemas/topics.py
            if about := subject(event):
                share.events.append((delivery.offset, about, event))
        return shares, letters

    def _advance(
        self, partition: TopicPartition, share: _Share, remembered: Remembered, now: datetime
    ) -> list[Pending]:
        """Apply what is new of the share; the decisions to publish, those of a replayed part among them."""
        first, last = share.deliveries[0], share.deliveries[-1]
        seen = remembered.mark
        start, known = self._believe(partition, share, remembered)
        # 1. Decisions of an earlier attempt that may not be through.
        pending: list[Pending] = []
        if first.offset < start.next_offset:
            pending = [one for one in self._memory.pending(partition) if one.offset >= first.offset]
        # 2. Judge what has not been applied.
        changed: dict[str, Conversation] = {}
        decisions: list[Decision] = []
        for offset, about, event in share.events:
            if offset < start.next_offset:
                continue
            before = changed.get(about) or known.get(about, NOTHING)
            changed[about], decision = judge(before, event, self._rules)
            if decision is not None:
                alert = self._alert(event, changed[about], decision, now)
                pending.append(Pending(offset, event.customer.encode(), codec.encode(alert)))
                decisions.append(decision)
        # 3. Move the memory on, all or nothing.
        mark = Mark(
            next_offset=max(start.next_offset, last.offset + 1),
            newest_ms=max(start.newest_ms, *(delivery.timestamp_ms for delivery in share.deliveries)),
            era=start.era,
            writes=start.writes + 1,
        )
        self._memory.write(partition, seen, mark, changed, pending, self._keep)
        self._written[partition] = mark
        for decision in decisions:
            metrics.ALERTS.labels(decision.finding.rule, str(decision.finding.severity)).inc()
        return [one for one in pending if one.offset <= last.offset]

    def _believe(
        self, partition: TopicPartition, share: _Share, remembered: Remembered
    ) -> tuple[Mark, dict[str, Conversation]]:
        """Where this partition stands. Memory that is missing, or of another topic, is no memory."""
        first, mark, written = share.deliveries[0], remembered.mark, self._written.get(partition)
        fresh = Mark(next_offset=first.offset, newest_ms=0, era=token_hex(4), writes=0)
        name = f"{partition[0]}-{partition[1]}"
        if mark is None:
            if first.offset > 0:
                metrics.ALERT_MEMORY_LOST.inc()
                log.warning("no alert memory for %s at offset %d: going on with an empty one", name, first.offset)
            return fresh, {}
        if any(one.offset < mark.next_offset and one.timestamp_ms > mark.newest_ms for one in share.deliveries):
            log.warning("%s is another topic than the one remembered: going on with an empty memory", name)
            return fresh, {}
        if written and written.era == mark.era and written.next_offset > mark.next_offset:
            metrics.ALERT_MEMORY_LOST.inc()
            log.warning(
                "the alert memory of %s went back from offset %d to %d: what came between is forgotten",
                name, written.next_offset, mark.next_offset,
            )  # fmt: skip
        return mark, remembered.conversations

    def _alert(self, event: SentimentScored, after: Conversation, decision: Decision, now: datetime) -> AlertRaised:
        return AlertRaised(
            alert_id=decision.alert_id,
            incident=decision.incident,
            rule=decision.finding.rule,
            severity=decision.finding.severity,
            reason=reason(self._language, decision.finding.rule, decision.finding.numbers, decision.escalation),
            event_id=event.event_id,
            event_time=event.event_time,
            raised_at=codec.milliseconds(now),
            source=event.source,
            customer=event.customer,
            turns=tuple(map(quoted, after.turns)),
            anger=event.anger,
            score=event.score,
            language=event.language,
            model=event.model,
            rules_version=self._version,
            conversation_id=event.conversation_id,
            customer_tier=event.customer_tier,
            product_id=event.product_id,
            category=event.category,
            brand=event.brand,
            channel=event.channel,
            order_id=event.order_id,
        )
