"""`score` and `clean`: one answer a line, in order, whatever the lines are."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stream_app.cli import main
from stream_app.commands import texts
from stream_app.scoring.quick import QuickScorer
from stream_app.scoring.score_texts import NOTHING_SAID, score_texts
from stream_app.scoring.scorer import CanaryFailed, Scores, ScoringError
from stream_app.text.model_input import ModelInput, model_input, prepare

FIELDS = ["id", "label", "negative", "neutral", "positive", "score", "intensity", "anger", "angry", "language", "text"]


def run(command: str, *lines: Any, arguments: tuple[str, ...] = ()) -> Result:
    raw = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    env = {"MOODSTREAM_MODEL": "quick"} if command == "score" else {}
    return CliRunner().invoke(main, [command, *arguments], input=raw, env=env)


def answers(outcome: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.stdout.splitlines()]


class Recorder(QuickScorer):
    """Keeps what it was given; fails on texts that hold a word, and on its canary if told to."""

    def __init__(self, fails_on: str = "\0", canary_fails: bool = False) -> None:
        self.seen: list[ModelInput] = []
        self._fails_on = fails_on
        self._canary_fails = canary_fails

    def score(self, inputs: Any) -> list[Scores]:
        self.seen += inputs
        if any(self._fails_on in text for text, _ in inputs):
            raise ScoringError("this text is too much")
        return super().score(inputs)

    def check_canary(self) -> None:
        if self._canary_fails:
            raise CanaryFailed("off by 0.3")


# --- score_texts ------------------------------------------------------------------------------------------------------


def test_texts_are_scored_as_the_model_input_says() -> None:
    items = [
        ("三天了！！！<b>骗子</b>", ["在吗", "", "<img>", "您好", "请稍等"]),
        ("great phone, call 13800138000", []),
        ("行吧", ["", " "]),
    ]
    scorer = Recorder()
    scored = score_texts(scorer, items)
    assert scorer.seen == [model_input(text, context) for text, context in items]
    assert [one.prepared for one in scored] == [prepare(text) for text, _ in items]


def test_a_text_with_no_words_left_is_calm_and_not_scored() -> None:
    scorer = Recorder()
    first, nothing, last = score_texts(scorer, [("好", []), ("<br>", ["你们这些骗子"]), ("差", [])])
    assert [text for text, _ in scorer.seen] == ["好", "差"]
    assert nothing.scores == NOTHING_SAID
    assert (nothing.judgement.label, nothing.judgement.angry) == ("neutral", False)
    assert (first.judgement.label, last.judgement.label) == ("positive", "negative")


# --- the commands -----------------------------------------------------------------------------------------------------


def test_scores_come_in_order_with_every_field() -> None:
    outcome = run("score", *({"id": n, "text": "好" if n % 2 else "差"} for n in range(2000)))
    found = answers(outcome)
    assert outcome.exit_code == 0
    assert [answer["id"] for answer in found] == list(range(2000))
    assert {answer["label"] for answer in found[1::2]} == {"positive"}
    assert list(found[0]) == [*FIELDS, "model"]


def test_scores_equal_those_of_the_stage_function() -> None:
    text, context = "三天了还没发货，投诉！", ["在吗", "您好"]
    (answer,) = answers(run("score", {"id": "a", "text": text, "context": context}))
    (scored,) = score_texts(QuickScorer(), [(text, context)])
    assert Scores(*(answer[name] for name in Scores._fields)) == scored.scores
    assert answer["score"] == scored.judgement.score


@pytest.mark.parametrize("context", ["在吗 ||| 您好", ["在吗", "您好"]], ids=["a string", "a list"])
def test_context_may_be_a_string_or_a_list(context: Any) -> None:
    item = texts._read(1, json.dumps({"id": 1, "text": "x", "context": context}).encode())
    assert isinstance(item, texts.Item)
    assert list(item.context) == ["在吗", "您好"]


BAD_LINES = {
    "not JSON": (b"hello", None, "not JSON"),
    "not UTF-8": (b'{"id":1,"text":"\xff"}', None, "not UTF-8 at byte 16"),
    "no object": (b"[1]", None, "not a JSON object"),
    "no id": ({"text": "x"}, None, 'no "id"'),
    "no text": ({"id": "a"}, "a", 'no "text"'),
    "text is null": ({"id": "a", "text": None}, "a", '"text" must be a string'),
    "text is a number": ({"id": 7, "text": 5}, 7, '"text" must be a string'),
    "context is a number": ({"id": "a", "text": "x", "context": 5}, "a", '"context" must be'),
    "context holds a number": ({"id": "a", "text": "x", "context": ["y", 5]}, "a", '"context" must be'),
}


@pytest.mark.parametrize("command", ["score", "clean"])
@pytest.mark.parametrize(("line", "name", "said"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_is_answered_in_its_place(command: str, line: Any, name: Any, said: str) -> None:
    outcome = run(command, {"id": 1, "text": "好"}, b"", line, {"id": 3, "text": "好"})
    first, bad, last = answers(outcome)
    assert (first["id"], last["id"]) == (1, 3)
    assert (bad["id"], bad["line"]) == (name, 3)
    assert said in bad["error"]
    assert outcome.exit_code == 1
    assert outcome.stderr.count("\n") == 1
    assert "1 of 3 lines" in outcome.stderr


def test_a_text_the_model_chokes_on_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_app.model.load_model", lambda settings: Recorder(fails_on="poison"))
    outcome = run("score", *({"id": n, "text": "poison" if n == 7 else "好"} for n in range(20)))
    found = answers(outcome)
    assert [answer["id"] for answer in found] == list(range(20))
    assert found[7]["error"] == "scoring failed: this text is too much"
    assert sum("error" in answer for answer in found) == 1
    assert outcome.exit_code == 1


def test_a_broken_model_ends_the_command_and_blames_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Recorder(fails_on="", canary_fails=True)
    monkeypatch.setattr("stream_app.model.load_model", lambda settings: broken)
    outcome = run("score", {"id": 1, "text": "好"}, {"id": 2, "text": "好"})
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr == "moodstream score: model quick-stand-in is broken: off by 0.3\n"


def test_clean_takes_personal_data_out() -> None:
    (answer,) = answers(run("clean", {"id": "x", "text": "<p>电话13800138000</p>"}))
    assert list(answer) == ["id", "text", "flags", "language"]
    assert "13800138000" not in answer["text"]
    assert {"html", "redacted:phone"} <= set(answer["flags"])


def test_files_in_and_out(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('\ufeff{"id":1,"text":"好"}\r\n{"id":2,"text":"差"}', encoding="utf-8")
    outcome = run("score", arguments=("-i", str(source), "-o", str(target)))
    assert (outcome.exit_code, outcome.stdout) == (0, "")
    assert [json.loads(line)["label"] for line in target.read_text().splitlines()] == ["positive", "negative"]


def test_the_input_is_not_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id":1,"text":"好"}\n')
    outcome = run("score", arguments=("-i", str(source), "-o", str(source)))
    assert outcome.exit_code == 2
    assert source.read_text() == '{"id":1,"text":"好"}\n'


def test_no_lines_no_answers() -> None:
    outcome = run("score")
    assert (outcome.exit_code, outcome.output) == (0, "")
