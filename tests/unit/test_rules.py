"""What is worth an alert, and what is not: the rules and the life of an incident, without clock or store."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.events import SentimentScored
from stream_app.alerting.incidents import Decision, judge, subject
from stream_app.alerting.rules import AngryMessage, IncidentLife, LastingAnger, Remembering, Rules
from stream_app.alerting.rules_file import load_rules
from stream_app.alerting.state import NOTHING, TURNS_KEPT, Conversation
from stream_app.errors import SetupError
from tests.scored_events import chat, minutes, review

RULES = Rules()


def told(
    events: Sequence[SentimentScored], rules: Rules = RULES, before: Conversation = NOTHING
) -> tuple[Conversation, list[Decision]]:
    """The state after a conversation, and its decisions."""
    decisions = []
    for event in events:
        before, decision = judge(before, event, rules)
        if decision is not None:
            decisions.append(decision)
    return before, decisions


def turns(*angers: float, every_minutes: float = 1, name: str = "e") -> list[SentimentScored]:
    return [chat(f"{name}-{n}", anger, minutes(n * every_minutes)) for n, anger in enumerate(angers)]


def rules_of(decisions: Sequence[Decision]) -> list[tuple[str, int]]:
    return [(decision.finding.rule, decision.finding.severity) for decision in decisions]


# --- angry messages --------------------------------------------------------------------------------------------------


def test_an_angry_message_of_a_customer_raises_an_alert() -> None:
    _, [decision] = told(turns(0.8))

    assert decision.finding == ("angry_message", 2, {"anger": 0.8, "score": -0.8, "intensity": 5})


def test_a_very_angry_message_is_more_severe() -> None:
    _, decisions = told(turns(0.97))

    assert rules_of(decisions) == [("angry_message", 3)]


def test_an_agent_is_never_the_subject_of_an_alert() -> None:
    assert subject(chat("e-1", 0.99, side="agent")) is None


def test_a_calm_review_touches_no_memory() -> None:
    assert subject(review("r-1", 0.2)) is None
    assert subject(review("r-2", 0.9)) == "review:r-2"


def test_a_rule_that_is_switched_off_says_nothing() -> None:
    off = replace(RULES, angry_message=AngryMessage(enabled=False), lasting_anger=LastingAnger(enabled=False))

    assert told(turns(0.99, 0.99, 0.99), off)[1] == []


# --- lasting anger ---------------------------------------------------------------------------------------------------


def test_anger_that_lasts_raises_an_alert_though_no_turn_is_angry() -> None:
    _, [decision] = told(turns(0.44, 0.46, 0.51))

    assert rules_of([decision]) == [("lasting_anger", 3)]
    assert decision.finding.numbers == {
        "mean": pytest.approx(0.47),
        "count": 3,
        "turns": "0.44, 0.46, 0.51",
        "limit": 0.4,
    }


@pytest.mark.parametrize(
    "angers",
    [
        pytest.param((0.5, 0.5), id="two turns are too few"),
        pytest.param((0.5, 0.31, 0.31), id="the mean is below the level"),
        pytest.param((0.59, 0.59, 0.1), id="the customer has just calmed down"),
        pytest.param((0.59, 0.1, 0.1, 0.59, 0.31), id="only the last turns count"),
    ],
)
def test_anger_that_does_not_last_raises_nothing(angers: tuple[float, ...]) -> None:
    assert told(turns(*angers))[1] == []


def test_turns_before_a_long_silence_do_not_count_as_lasting() -> None:
    before = turns(0.5, 0.5)
    after = chat("late", 0.5, minutes(RULES.incident.quiet_minutes + 2))

    assert told([*before, after])[1] == []


# --- one open incident -----------------------------------------------------------------------------------------------


def test_while_an_incident_is_open_no_second_alert_is_raised() -> None:
    state, decisions = told(turns(0.97, 0.9, 0.98, 0.97, 0.2, 0.9, 0.9))

    assert len(decisions) == 1
    assert state.incident is not None


def test_an_incident_escalates_once_when_its_severity_rises() -> None:
    _, decisions = told(turns(0.8, 0.97, 0.8, 0.99))

    assert rules_of(decisions) == [("angry_message", 2), ("angry_message", 3)]
    assert decisions[0].incident == decisions[1].incident
    assert decisions[0].alert_id != decisions[1].alert_id
    assert [decision.escalation for decision in decisions] == [None, (2, 3)]


def test_an_incident_escalates_no_more_often_than_set() -> None:
    graver = AngryMessage(severity=1, severe_anger=0.9, severe_severity=4)
    events = turns(0.65, 0.65, 0.65, 0.95)

    once = replace(RULES, angry_message=graver)
    twice = replace(once, incident=IncidentLife(escalations=2))
    never = replace(once, incident=IncidentLife(escalations=0))

    assert [severity for _, severity in rules_of(told(events, once)[1])] == [1, 3]
    assert [severity for _, severity in rules_of(told(events, twice)[1])] == [1, 3, 4]
    assert [severity for _, severity in rules_of(told(events, never)[1])] == [1]


def test_an_incident_closes_after_calm_turns_and_the_next_anger_opens_another() -> None:
    state, first = told(turns(0.8, 0.1, 0.1, 0.1))
    assert state == NOTHING

    _, second = told([chat("again", 0.8, minutes(10))], before=state)

    assert [decision.finding.rule for decision in (*first, *second)] == ["angry_message", "angry_message"]
    assert first[0].incident != second[0].incident


def test_calm_turns_must_come_in_a_row_to_close_an_incident() -> None:
    for interruption in (0.35, 0.97):
        state, decisions = told(turns(0.97, 0.1, 0.1, interruption, 0.1, 0.1))

        assert len(decisions) == 1
        assert state.incident is not None
        assert state.incident.calm == 2


def test_an_incident_closes_in_silence_by_the_events_own_time() -> None:
    quiet = RULES.incident.quiet_minutes
    opening, soon, late = chat("a", 0.8), chat("b", 0.8, minutes(quiet)), chat("c", 0.8, minutes(2 * quiet + 1))

    _, decisions = told([opening, soon, late])

    assert [decision.alert_id for decision in decisions] == [
        told([opening])[1][0].alert_id,
        told([late])[1][0].alert_id,
    ]


def test_a_message_that_arrives_late_does_not_close_an_incident() -> None:
    state, decisions = told([chat("a", 0.97, minutes(5000)), chat("b", 0.8, minutes(0)), chat("c", 0.8, minutes(5001))])

    assert len(decisions) == 1
    assert state.newest_ms == round(minutes(5001).timestamp() * 1000)


def test_an_event_published_twice_counts_once() -> None:
    event = chat("same", 0.59)

    state, decisions = told([event, event, event])

    assert decisions == []
    assert len(state.turns) == 1


def test_ids_come_from_the_events_alone() -> None:
    _, [first] = told(turns(0.8))
    _, [again] = told(turns(0.8), replace(RULES, memory=Remembering(days=30)))
    _, [elsewhere] = told([chat("e-0", 0.8, conversation="c-2")])

    assert (first.alert_id, first.incident) == (again.alert_id, again.incident)
    assert first.incident != elsewhere.incident


def test_memory_of_a_conversation_is_bounded() -> None:
    state, _ = told([chat(f"e-{n}", 0.5, minutes(n), text="很" * 5000) for n in range(50)])

    assert len(state.turns) == TURNS_KEPT
    assert all(len(turn.text) == RULES.memory.quote_characters and turn.text[-1] == "…" for turn in state.turns)


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_shipped_file_says_what_the_defaults_are() -> None:
    assert load_rules(None) == Rules()


def test_a_file_changes_what_it_names_and_keeps_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[lasting_anger]\nturns = 5\n[memory]\ndays = 30\n")

    rules = load_rules(file)

    assert rules == Rules(lasting_anger=LastingAnger(turns=5), memory=Remembering(days=30))


def test_the_version_follows_the_settings_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("# only a comment\n[incident]\ncalm_turns = 3\n[angry_message]\nseverity = 2\n")

    assert load_rules(file).version() == Rules().version()
    assert Rules(incident=IncidentLife(calm_turns=4)).version() != Rules().version()


@pytest.mark.parametrize(
    ("content", "complaints"),
    [
        pytest.param("[lasting_anger", ["are not TOML"], id="no TOML"),
        pytest.param("[lasting]\nturns = 3", ["[lasting] is unknown; there are angry_message,"], id="unknown section"),
        pytest.param("incident = 3", ["incident must be a section, [incident]"], id="no section"),
        pytest.param("language = 'zh'", ["[language] is unknown"], id="the language is the worker's"),
        pytest.param(
            "[lasting_anger]\nturns = 1\nmean = 0.5\n[angry_message]\nseverity = 'high'",
            [
                "lasting_anger.turns = 1: Expected `int` >= 2",
                "lasting_anger.mean is unknown; there are enabled, turns, mean_anger, severity",
                "angry_message.severity = 'high': Expected `int`, got `str`",
            ],
            id="every mistake is named",
        ),
        pytest.param("[memory]\ndays = 1\n[incident]\nquiet_minutes = 3000", ["longer than memory.days"], id="forgets"),
        pytest.param("[angry_message]\nseverity = 4", ["severe_severity is below"], id="severe below severity"),
        pytest.param("[lasting_anger]\nmean_anger = 0.1", ["calm customers would be reported"], id="level below calm"),
    ],
)
def test_mistakes_in_the_file_are_one_readable_sentence_each(
    tmp_path: Path, content: str, complaints: list[str]
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(content)

    with pytest.raises(SetupError) as refused:
        load_rules(file)

    said = str(refused.value)
    assert "\n" not in said
    assert said.count(str(file)) == len(complaints)
    for complaint in complaints:
        assert complaint in said


def test_a_file_that_is_not_there_is_a_setup_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read: No such file"):
        load_rules(tmp_path / "none.toml")
