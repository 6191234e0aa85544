"""Alerts against the truth: which planted incidents were found, what was raised for nothing, how late surges were seen.

An alert claims an incident of its rule's kind (`truth.RULES`) and of its subject: a conversation, a review, a customer
or a product. In order of event time, each alert is one of these:

- *found*: the first that falls into the window of a planted incident;
- *escalation*: a later one for the same incident, more severe and under the same `incident` id;
- *duplicate*: any other later one: a second alert is open for what a person knows already;
- *beside*: no incident of its kind, but its conversation has one of the other kind of anger: true, and nothing found;
- *extra*: raised for nothing.

Precision is found / (found + extra), recall is found / planted. Where missing is no miss (`Incident.must`), an incident
counts for precision and not for recall.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from ops.world.files import Truth
from ops.world.truth import KINDS, RULES, Incident, Kind
from ops.world.verdict import Score, Timing, Verdict, timing
from schemas.events import AlertRaised


class Window(NamedTuple):
    """From when an alert counts for an incident, and how long after its end. Times are event times."""

    from_start: bool  # or from the moment it is decidable
    grace: timedelta


WINDOWS: dict[Kind, Window] = {
    "single": Window(True, timedelta(minutes=30)),
    "souring": Window(True, timedelta(0)),  # before the flag that may follow: after it anybody can tell
    "repeat": Window(False, timedelta(hours=24)),
    "unanswered": Window(True, timedelta(minutes=30)),  # an alert may carry the time of the turn or of its deadline
    "surge": Window(True, timedelta(minutes=60)),
    "grave": Window(True, timedelta(minutes=30)),
    "brushing": Window(True, timedelta(hours=6)),
}
EARLY = timedelta(minutes=5)
"""Events arrive up to five minutes out of order, so the last to arrive of several may not be the last in time."""
BESIDE: dict[Kind, Kind] = {"single": "souring", "souring": "single"}


class Known(NamedTuple):
    """The alerts an incident has had: the first, and the gravest severity so far."""

    first: AlertRaised
    severity: int


class Bench:
    """Takes alerts one by one, in order of event time."""

    def __init__(self, incidents: Iterable[Incident]) -> None:
        self.planted: dict[Kind, list[Incident]] = defaultdict(list)
        self.known: dict[str, Known] = {}
        self.extra: dict[Kind, list[AlertRaised]] = defaultdict(list)
        self.duplicates: Counter[Kind] = Counter()
        self.escalations: Counter[Kind] = Counter()
        self.beside: Counter[Kind] = Counter()
        self._about: dict[tuple[Kind, str], list[Incident]] = defaultdict(list)
        for incident in incidents:
            self.planted[incident.kind].append(incident)
            self._about[incident.kind, incident.subject].append(incident)

    def hear(self, alert: AlertRaised, kind: Kind) -> None:
        meant = self._meant(alert, kind)
        # 1. The first alert of an incident finds it.
        for incident in meant:
            if incident.incident not in self.known:
                self.known[incident.incident] = Known(alert, alert.severity)
                return
        # 2. A later one, for it or for the other kind of anger in its conversation, is a graver word or one too many.
        other = self._meant(alert, BESIDE[kind]) if kind in BESIDE else []
        for incident in [*meant, *other]:
            if (known := self.known.get(incident.incident)) is not None:
                self._again(incident, known, alert)
                return
        # 3. Nothing of this kind was planted here.
        if other:
            self.beside[kind] += 1
        else:
            self.extra[kind].append(alert)

    def score(self, kind: Kind) -> Score:
        found = [incident for incident in self.planted[kind] if incident.incident in self.known]
        must = [incident for incident in self.planted[kind] if incident.must]
        return Score(
            planted=len(must),
            found=sum(incident.must for incident in found),
            optional=sum(not incident.must for incident in found),
            extra=len(self.extra[kind]),
            duplicates=self.duplicates[kind],
            escalations=self.escalations[kind],
            beside=self.beside[kind],
        )

    def missed(self, kind: Kind) -> list[Incident]:
        return [one for one in self.planted[kind] if one.must and one.incident not in self.known]

    def surges(self) -> Timing:
        """When the surges were seen that had to be."""
        must = [incident for incident in self.planted["surge"] if incident.must]
        heard = [(one, self.known[one.incident].first.event_time) for one in must if one.incident in self.known]
        return timing(
            len(must),
            [_minutes(seen, incident.start) for incident, seen in heard],
            [_minutes(seen, incident.decidable_at) for incident, seen in heard],
        )

    def _meant(self, alert: AlertRaised, kind: Kind) -> list[Incident]:
        """The incidents of this kind that the alert can mean."""
        window = WINDOWS[kind]
        return [
            incident
            for incident in self._about.get((kind, _subject(alert, kind)), ())
            if (incident.start if window.from_start else incident.decidable_at - EARLY)
            <= alert.event_time
            <= incident.end + window.grace
        ]

    def _again(self, incident: Incident, known: Known, alert: AlertRaised) -> None:
        if alert.incident == known.first.incident and alert.severity > known.severity:
            self.escalations[incident.kind] += 1
            self.known[incident.incident] = Known(known.first, alert.severity)
        else:
            self.duplicates[incident.kind] += 1


def judge(truth: Truth, alerts: Iterable[AlertRaised], kinds: Collection[Kind] = KINDS) -> Verdict:
    """What these alerts are worth in that world. Alerts come in any order, of any rules; only `kinds` are judged."""
    bench, unknown = Bench(truth.incidents), Counter[str]()
    for alert in sorted(alerts, key=lambda alert: (alert.event_time, alert.severity, alert.alert_id)):
        if (kind := RULES.get(alert.rule)) is None:
            unknown[alert.rule] += 1
        else:
            bench.hear(alert, kind)
    settings = truth.header.settings
    return Verdict(
        settings=settings,
        scores={kind: bench.score(kind) for kind in KINDS if kind in kinds},
        surges=bench.surges(),
        false_surges=len(bench.extra["surge"]) * 1000 / (settings.products * settings.days),
        unknown_rules=dict(sorted(unknown.items())),
        missed=[incident for kind in KINDS if kind in kinds for incident in bench.missed(kind)],
        extra=[alert for kind in KINDS if kind in kinds for alert in bench.extra[kind]],
    )


def _subject(alert: AlertRaised, kind: Kind) -> str:
    if kind in ("surge", "brushing"):
        return alert.product_id or ""
    if kind == "repeat":
        return alert.customer
    return alert.conversation_id or alert.event_id


def _minutes(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds() / 60
