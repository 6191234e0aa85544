"""The scripted world is the same for the same seed and true to itself; its judge counts what alerts are worth."""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from ops.world.commands import world as group
from ops.world.files import Truth, read_alerts, read_events, read_truth, write_world
from ops.world.judge import judge
from ops.world.make import LATEST_MS, World
from ops.world.scores import THRESHOLD
from ops.world.settings import START, Settings
from ops.world.shop import shop
from ops.world.stories import stories
from ops.world.tales import PATIENCE_MIN, REPEATS, WITHIN_H, soured_at
from ops.world.truth import KINDS, Header, Incident, Kind
from schemas import codec
from schemas.events import AlertRaised, SentimentScored
from stream_app.errors import SetupError

SMALL = Settings(seed=3, days=3, products=100, customers=4_000, events_per_day=4_000, wrong_flags=0.0)
RULE: dict[Kind, str] = {
    "single": "angry_message",
    "souring": "lasting_anger",
    "repeat": "repeat",
    "unanswered": "unanswered",
    "surge": "surge",
    "grave": "grave_words",
    "brushing": "suspicious_reviews",
}


class Made:
    """A small world, read once."""

    def __init__(self) -> None:
        self.world = World(SMALL)
        self.events = list(self.world.events())
        self.by_id = {event.event_id: event for event in self.events}
        self.truth = Truth(Header(holds="truth", settings=SMALL), self.world.incidents)

    def planted(self, kind: Kind) -> list[Incident]:
        return [incident for incident in self.truth.incidents if incident.kind == kind]

    def conversations(self) -> dict[str, list[SentimentScored]]:
        found: dict[str, list[SentimentScored]] = defaultdict(list)
        for event in sorted(self.events, key=lambda event: (event.event_time, event.turn or 0)):
            if event.conversation_id:
                found[event.conversation_id].append(event)
        return found


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


# --- the world -------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_world(tmp_path: Path) -> None:
    few = replace(SMALL, days=1, events_per_day=1_000)

    def written(name: str, settings: Settings) -> tuple[bytes, bytes]:
        events, truth = tmp_path / f"{name}.jsonl.gz", tmp_path / f"{name}-truth.jsonl"
        write_world(World(settings), events, truth)
        return events.read_bytes(), truth.read_bytes()

    once, again, other = written("a", few), written("b", few), written("c", replace(few, seed=4))
    assert once == again
    assert once[0] != other[0]
    assert once[1] != other[1]


def test_every_kind_is_planted_and_every_id_is_in_the_events(made: Made) -> None:
    products = {event.product_id for event in made.events}
    customers = {event.customer for event in made.events}
    for kind in KINDS:
        assert made.planted(kind), kind
    for incident in made.truth.incidents:
        assert incident.decided_by in made.by_id
        assert all(event in made.by_id for event in incident.events)
        assert incident.product_id in products
        assert incident.customer in customers or incident.kind in ("surge", "brushing")
        assert incident.start <= incident.decidable_at
        assert incident.start <= incident.end
    names = [incident.incident for incident in made.truth.incidents]
    assert len(set(names)) == len(names)
    assert len(made.by_id) == len(made.events)


@pytest.mark.parametrize("seed", range(5))
def test_another_seed_plants_as_much(seed: int) -> None:
    crowded = replace(SMALL, seed=seed, days=1, products=30, customers=2_000, events_per_day=20_000)
    planted = [incident for story in stories(crowded, shop(crowded)) for incident in story.incidents]
    assert {incident.kind for incident in planted} == {"single", "souring", "repeat", "unanswered", "grave"}
    heroes = {(incident.customer, incident.kind) for incident in planted if incident.kind != "single"}
    assert len(heroes) == sum(incident.kind != "single" for incident in planted)


def test_events_arrive_in_order_and_some_are_late(made: Made) -> None:
    arrivals = [event.ingested_at for event in made.events]
    assert arrivals == sorted(arrivals)
    late = [(event.ingested_at - event.event_time) / timedelta(milliseconds=1) for event in made.events]
    assert min(late) >= 0
    assert max(late) <= LATEST_MS
    times = [event.event_time for event in made.events]
    assert times != sorted(times)
    assert 0.005 < sum(each > 30_000 for each in late) / len(late) < 0.05


def test_events_are_what_the_score_stage_would_publish(made: Made) -> None:
    for event in made.events[:2_000]:
        assert codec.decode("sentiment", codec.encode(event)) == event
        assert event.angry == (event.anger >= THRESHOLD)
        assert event.negative + event.neutral + event.positive == pytest.approx(1.0, abs=1e-3)
        assert getattr(event, event.label) == max(event.negative, event.neutral, event.positive)
    assert {event.language for event in made.events} == {"zh", "en", "mixed"}
    assert {event.side for event in made.events} == {None, "customer", "agent"}
    assert made.events[0].event_time >= START


def test_wrong_flags_are_as_rare_as_stated_and_in_no_truth() -> None:
    world = World(replace(SMALL, days=1, wrong_flags=0.01))
    customers = [event for event in world.events() if event.side != "agent"]
    flagged = {event.event_id for event in customers if event.angry}
    planted = {event for incident in world.incidents if incident.kind == "single" for event in incident.events}
    assert len(flagged - planted) == world.wrong_flags
    assert world.wrong_flags / len(customers) == pytest.approx(0.01, rel=0.4)


# --- near-misses are in no truth: the truth is exactly what the scores say -------------------------------------------


def test_single_is_every_flagged_review_and_conversation(made: Made) -> None:
    flagged = {
        event.conversation_id or event.event_id for event in made.events if event.angry and event.side != "agent"
    }
    assert {incident.subject for incident in made.planted("single")} == flagged
    assert any(event.angry for event in made.events if event.side == "agent")  # rude agents are there, and no truth


def test_souring_is_every_conversation_that_climbs(made: Made) -> None:
    soured = set()
    for conversation, turns in made.conversations().items():
        calm = [turn.anger for turn in turns if turn.side == "customer" and not turn.angry]
        if soured_at(calm) is not None:
            soured.add(conversation)
    assert {incident.subject for incident in made.planted("souring")} == soured


def test_repeat_is_every_customer_with_three_angry_texts_in_a_day(made: Made) -> None:
    times: dict[str, list[datetime]] = defaultdict(list)
    for event in made.events:
        if event.angry and event.side != "agent":
            times[event.customer].append(event.event_time)
    again = set()
    for customer, each in times.items():
        each.sort()
        spans = [third - first for first, third in zip(each, each[REPEATS - 1 :], strict=False)]
        if any(span < timedelta(hours=WITHIN_H) for span in spans):
            again.add(customer)
    assert {incident.subject for incident in made.planted("repeat")} == again
    assert {len(times[customer]) for customer in times.keys() - again} == {1, 2, 3}  # the near-misses


def test_unanswered_is_every_angry_turn_without_a_reply_in_ten_minutes(made: Made) -> None:
    waited = {}
    for conversation, turns in made.conversations().items():
        for turn in turns:
            if turn.angry and turn.side == "customer":
                after = [each for each in turns if each.side == "agent" and each.event_time > turn.event_time]
                waited[conversation] = after[0].event_time - turn.event_time if after else timedelta(days=1)
    late = {conversation for conversation, wait in waited.items() if wait >= timedelta(minutes=PATIENCE_MIN)}
    assert {incident.subject for incident in made.planted("unanswered")} == late
    assert any(timedelta(minutes=7) <= wait < timedelta(minutes=9) for wait in waited.values())  # the near-miss


def test_a_surge_is_a_larger_share_of_negative_texts_and_a_spike_is_not_one(made: Made) -> None:
    surges = made.planted("surge")
    assert any(incident.must for incident in surges)
    for incident in surges:
        inside: list[bool] = []
        outside: list[bool] = []
        for event in made.events:
            if event.product_id == incident.product_id and event.side != "agent":
                within = incident.start <= event.event_time < incident.end
                (inside if within else outside).append(event.label == "negative")
        if incident.must:
            assert sum(inside) / len(inside) > 1.8 * sum(outside) / len(outside)
    products = {incident.product_id for incident in [*surges, *made.planted("brushing")]}
    quiet = [one for one in made.world._crowds.conditions if one.sort in ("spike", "drift")]
    assert quiet
    assert not products & {made.world._shop.products[one.product].id for one in quiet}


# --- the judge -------------------------------------------------------------------------------------------------------


def alert_for(made: Made, incident: Incident, at: datetime | None = None, /, **changes: object) -> AlertRaised:
    event = made.by_id[incident.decided_by]
    alert = AlertRaised(
        alert_id=f"alert-{incident.incident}",
        incident=f"open-{incident.subject}-{incident.kind}",
        rule=RULE[incident.kind],
        severity=2,
        reason="by hand",
        event_id=event.event_id,
        event_time=at or incident.decidable_at,
        raised_at=event.scored_at,
        source=event.source,
        customer=event.customer,
        turns=(),
        anger=event.anger,
        score=event.score,
        language=event.language,
        model=event.model,
        rules_version="by-hand",
        conversation_id=event.conversation_id,
        product_id=event.product_id,
    )
    return replace(alert, **changes)


def perfect(made: Made) -> list[AlertRaised]:
    return [alert_for(made, incident) for incident in made.truth.incidents]


def test_perfect_alerts_hold_everything(made: Made) -> None:
    verdict = judge(made.truth, reversed(perfect(made)))
    assert verdict.unmet == []
    for kind, score in verdict.scores.items():
        assert (score.precision, score.recall, score.duplicates, score.missed) == (1.0, 1.0, 0, 0), kind
    assert verdict.surges.in_time == 1.0
    assert verdict.surges.p95_after_decidable == 0.0
    assert (verdict.missed, verdict.extra) == ([], [])


def test_what_is_missing_is_missed(made: Made) -> None:
    lost = made.planted("repeat")
    verdict = judge(made.truth, [alert for alert in perfect(made) if alert.rule != "repeat"])
    assert verdict.scores["repeat"].recall == 0.0
    assert verdict.scores["repeat"].precision is None
    assert verdict.missed == lost
    assert verdict.unmet == ["repeat: recall 0.000 is below 0.95"]


def test_a_second_open_alert_is_a_duplicate_and_a_graver_one_an_escalation(made: Made) -> None:
    single = next(incident for incident in made.planted("single") if incident.conversation_id)
    later = single.decidable_at + timedelta(seconds=5)
    graver = alert_for(made, single, later, alert_id="graver", severity=3)
    verdict = judge(made.truth, [*perfect(made), graver])
    assert (verdict.scores["single"].escalations, verdict.scores["single"].duplicates) == (1, 0)
    assert verdict.unmet == []
    for second in (replace(graver, severity=2), replace(graver, incident="another")):
        verdict = judge(made.truth, [*perfect(made), second])
        assert verdict.scores["single"].duplicates == 1
        assert verdict.unmet == ["single: 1 alerts for incidents that had an open one"]


def test_lasting_anger_in_a_furious_conversation_is_true_and_finds_nothing(made: Made) -> None:
    single = next(incident for incident in made.planted("single") if incident.conversation_id)
    only = judge(made.truth, [alert_for(made, single, rule="lasting_anger")])
    assert (only.scores["souring"].beside, only.scores["souring"].extra, only.scores["single"].found) == (1, 0, 0)
    as_well = alert_for(made, single, rule="lasting_anger", incident="another")
    assert judge(made.truth, [*perfect(made), as_well]).scores["single"].duplicates == 1


@pytest.mark.parametrize(
    ("kind", "moved"),
    [
        pytest.param("repeat", timedelta(hours=-1), id="a repeat before the third text is a guess"),
        pytest.param("single", timedelta(hours=3), id="a single hours later is about something else"),
        pytest.param("surge", timedelta(hours=-13), id="a surge before it began"),
    ],
)
def test_an_alert_outside_its_incident_is_for_nothing(made: Made, kind: Kind, moved: timedelta) -> None:
    incident = made.planted(kind)[0]
    verdict = judge(made.truth, [alert_for(made, incident, incident.decidable_at + moved)])
    assert (verdict.scores[kind].found, verdict.scores[kind].extra) == (0, 1)


def test_a_late_surge_is_found_and_not_in_time(made: Made) -> None:
    must = [incident for incident in made.planted("surge") if incident.must]
    others = [alert for alert in perfect(made) if alert.rule != "surge"]
    late = [alert_for(made, one, one.start + timedelta(minutes=16)) for one in must]
    verdict = judge(made.truth, [*others, *late])
    assert verdict.scores["surge"].recall == 1.0
    assert (verdict.surges.in_time, verdict.surges.median) == (0.0, 16.0)
    assert verdict.unmet == ["surge: 0.000 found within 15 minutes, below 0.95"]


def test_false_surges_are_counted_by_product_days_and_bought_reviews_are_no_surge(made: Made) -> None:
    bought = made.planted("brushing")[0]
    false = alert_for(made, bought, rule="surge", alert_id="false")
    verdict = judge(made.truth, [*perfect(made), false])
    assert verdict.scores["surge"].extra == 1
    assert verdict.false_surges == pytest.approx(1000 / (SMALL.products * SMALL.days))
    assert verdict.unmet == ["surge: 3.33 false in 1,000 product-days, above 1"]


def test_a_small_surge_may_be_missed_and_may_be_found(made: Made) -> None:
    incidents = [replace(one, must=False) if one.kind == "surge" else one for one in made.truth.incidents]
    truth = made.truth._replace(incidents=incidents)
    found = judge(truth, perfect(made)).scores["surge"]
    assert (found.planted, found.extra, found.precision) == (0, 0, 1.0)
    assert judge(truth, [alert for alert in perfect(made) if alert.rule != "surge"]).unmet == []


# --- files and commands ----------------------------------------------------------------------------------------------


def write(path: Path, lines: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def test_a_world_is_written_read_and_judged(tmp_path: Path) -> None:
    events, truth, alerts = tmp_path / "events.jsonl.gz", tmp_path / "truth.jsonl", tmp_path / "alerts.jsonl"
    size = ("--days", "1", "--products", "30", "--customers", "500", "--events-per-day", "500")
    made = run("make", "--seed", "5", *size, "--out", events, "--truth", truth, "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.output)["events"] == sum(1 for _ in read_events(events))
    with gzip.open(events) as lines:
        assert json.loads(next(lines))["settings"]["seed"] == 5
    assert read_truth(truth).header.settings.days == 1
    write(alerts, [])
    judged = run("judge", "--truth", truth, "--alerts", alerts)
    assert judged.exit_code == 3
    assert "✗ single: recall 0.000 is below 0.95" in judged.output
    assert run("judge", "--truth", truth, "--alerts", alerts, "--kind", "grave").exit_code == 0
    figures = json.loads(run("judge", "--truth", truth, "--alerts", alerts, "--json").output)
    assert figures["kinds"]["single"]["found"] == 0
    assert figures["passed"] is False


@pytest.mark.parametrize(
    ("read", "lines", "says"),
    [
        pytest.param(read_truth, [], "is empty", id="nothing"),
        pytest.param(read_truth, [b"{"], "line 1 is not the first line of a world's truth", id="not JSON"),
        pytest.param(read_truth, [b"HEAD", b'{"incident": 1}'], "line 2 is not an incident", id="not an incident"),
        pytest.param(read_truth, [b"EVENTS"], "holds a world's events, not its truth", id="the other file"),
        pytest.param(read_alerts, [b"", b'{"topic": "alerts"}'], "line 2 is not an alert", id="not an alert"),
        pytest.param(read_alerts, [b"\xff"], "line 1 is not an alert", id="not UTF-8"),
    ],
)
def test_a_file_that_is_something_else_is_one_line_with_its_number(
    tmp_path: Path, read: Callable[[Path], object], lines: list[bytes], says: str
) -> None:
    heads = {
        b"HEAD": b'{"type":"world","version":1,"holds":"truth","settings":{}}',
        b"EVENTS": b'{"type":"world","version":1,"holds":"events","settings":{}}',
    }
    path = write(tmp_path / "given.jsonl", [heads.get(line, line) for line in lines])
    with pytest.raises(SetupError, match=says) as refused:
        list(read(path))  # type: ignore[call-overload]
    assert "\n" not in str(refused.value)


def test_a_broken_gzip_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * 100)[:-9])
    with pytest.raises(SetupError, match="gzip file is broken"):
        list(read_alerts(path))


def test_the_answers_do_not_go_into_the_events(tmp_path: Path) -> None:
    same = run("make", "--out", tmp_path / "one", "--truth", tmp_path / "one")
    assert same.exit_code != 0
    assert "same file" in same.output
    assert not (tmp_path / "one").exists()
