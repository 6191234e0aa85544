"""Nothing is on both sides, whatever the order of the rows; and no order, file or neighbour moves a row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.errors import SetupError
from stream_app.text.model_input import model_input
from tests.unit.labelled_files import write
from trainer.corpus import Sided, plain_service_turn
from trainer.near import near_clusters
from trainer.replay import with_old_rows
from trainer.report import find_leaks
from trainer.rows import Row, group_of, half, one_in, text_key
from trainer.sources import Source
from trainer.split import Split, components, fingerprint, load_split, mix, refuse_empty_classes

SENTENCES = (
    "The parcel came a week late and nobody in your shop could tell me where it had been all that time",
    "收到的衣服颜色和图片上的完全不一样，而且袖子上还有一个很大的洞，联系客服三天了都没有人理我",
    "Could you please tell me whether the invoice will be sent by mail or whether I have to ask for it",
    "这款手机用了两个多月，续航和拍照都比我想象中的要好很多，物流也很快，第二天早上就送到家门口了",
)
MOODS = st.sampled_from((0, 1, 2))


def row(text: str, sentiment: int | None = 0, anger: float | None = None, **more: str) -> Row:
    groups = {name: more.pop(name) for name in ("customer", "conversation", "product") if name in more}
    group = group_of(**groups, at=more.get("at", ""))
    return Row("s", text_key(text), model_input(text), sentiment, anger, group=group, **more)  # type: ignore[arg-type]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Short ones that repeat, and long ones that differ from each other in one letter."""
    if draw(st.booleans()):
        return draw(st.sampled_from(("好的", "谢谢!", "ok", "OK.", "Thanks", "第{}个")).map(str)).format(
            draw(st.integers(0, 99))
        )
    sentence = draw(st.sampled_from(SENTENCES))
    place = draw(st.integers(0, len(sentence) - 1))
    return sentence[:place] + draw(st.sampled_from("xyz很")) + sentence[place + 1 :]


ROWS = st.lists(
    st.builds(
        lambda text, mood, customer, conversation, product, day: row(
            text, mood, customer=customer, conversation=conversation, product=product, at=f"2025-03-{day:02}T08:00:00"
        ),
        texts(), MOODS, *(st.sampled_from(("", "1", "2", "3", "4", "5", "6", "7", "8")) for _ in range(3)),
        st.integers(1, 28),
    ),
    max_size=60,
)  # fmt: skip
ALL_MOODS = [row(word, mood) for mood, word in enumerate(("mood one", "other two", "third"))]


def split_of(rows: Iterable[Row], held_one_in: int = 20) -> Split:
    """All of these rows as one source of the mixture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.split.HELD_BACK_ONE_IN", held_one_in)
        return mix([(Source("s", 10**9, "x"), [Sided(each, None) for each in rows])], [], seed=1)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, order=st.randoms())
def test_nothing_is_on_both_sides_whatever_the_order(rows: list[Row], order: object) -> None:
    rows = rows + ALL_MOODS * 3
    split = split_of(rows, 3)
    assert not find_leaks(split).any()
    shuffled = list(rows)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [sorted(side) for side in split_of(shuffled, 3)] == [sorted(side) for side in split]
    assert fingerprint(shuffled) == fingerprint(rows)
    keys = [found.key for found in (*split.train, *split.held)]
    assert len(set(near_clusters(keys).tolist())) == len(keys), "one row a cluster"


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, order=st.randoms())
def test_clusters_do_not_depend_on_the_order(rows: list[Row], order: object) -> None:
    keys = [found.key for found in rows]
    places = list(range(len(keys)))
    order.shuffle(places)  # type: ignore[attr-defined]
    assert near_clusters([keys[place] for place in places]).tolist() == near_clusters(keys)[places].tolist()


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_text_with_a_letter_changed_is_a_near_duplicate(sentence: str) -> None:
    changed = [sentence[:n] + "#" + sentence[n + 1 :] for n in range(len(sentence))]
    keys = [text_key(text) for text in (sentence, *changed, *(other for other in SENTENCES if other != sentence))]
    clusters = near_clusters(keys).tolist()
    assert len(set(clusters[: 1 + len(changed)])) == 1
    assert len(set(clusters)) == len(SENTENCES)


def test_short_answers_are_not_each_others_duplicates() -> None:
    answers = ["好的", "好", "好的谢谢", "不好", "谢谢", "ok", "no", "", "😊", "😡"]
    assert len(set(near_clusters(answers).tolist())) == len(answers)
    assert near_clusters([]).tolist() == []


def test_a_chain_of_customers_and_conversations_stays_together() -> None:
    rows = [
        row("one", customer="a"),
        row("two", customer="a", conversation="x"),
        row("three", conversation="x", product="p", at="2025-03-01T08:00:00"),
        row("four", product="p", at="2025-03-01T20:00:00"),
        row("five", product="p", at="2025-03-02T08:00:00"),  # another day
        row("six", product="p"),  # no day known
        row("seven", customer="x"),  # not the conversation x
    ]
    found = components(rows).tolist()
    assert len(set(found[:4])) == 1
    assert len(set(found)) == 4


def test_a_row_stays_on_its_side_when_others_come() -> None:
    some = [row(f"text number {n}, {n * n} times", n % 3) for n in range(300)]
    more = [row(f"another thing, {n * 7} of them", n % 3) for n in range(300)]
    before, later = split_of(some), split_of(some + more)
    assert 5 <= len(before.held) <= 30
    assert set(before.held) <= set(later.held)
    assert set(before.train) <= set(later.train)
    assert set(before.held) == {each for each in some if one_in(each.key, 20)}, "its text alone decides"


@pytest.mark.parametrize("kind", ["customer", "conversation"])
def test_who_writes_again_stays_on_its_side(kind: str) -> None:
    def said(n: int, time: int) -> Row:
        name = group_of(**{kind: f"w{n}"})
        return row(f"visit {time} by {n * 7919}: {n * n} things", n % 3)._replace(group=name)

    first = [said(n, 1) for n in range(400)]
    again = [said(n, time) for time in range(2, 7) for n in range(400)]
    before, later = split_of(first), split_of(first + again)
    assert 8 <= len(before.held) <= 40
    assert set(before.held) <= set(later.held)
    assert set(before.train) <= set(later.train)
    assert len(later.held) == 6 * len(before.held)


def test_another_conversation_moves_no_customer() -> None:
    """Nor does another product: who wrote it decides, where that is known."""

    def said(n: int, time: int) -> Row:
        names = group_of(customer=f"w{n}", conversation=f"{n}/{time}", product=f"p{n}", at=f"2025-03-0{time}")
        return row(f"visit {time} by {n * 7919}: {n * n} things", n % 3)._replace(group=names)

    first = [said(n, 1) for n in range(400)]
    before, later = split_of(first), split_of([*first, *(said(n, time) for time in range(2, 7) for n in range(400))])
    assert 8 <= len(before.held) <= 40
    assert set(before.held) <= set(later.held)
    assert set(before.train) <= set(later.train)


def test_a_copy_that_is_left_out_still_ties_its_group_together() -> None:
    """Of a customer's only turn in a conversation another's copy may be kept: the conversation stays the customer's."""
    rows = []
    for n in range(200):
        rows += [
            row(f"customer {n * 7919} asks {n * n}", customer=f"w{n}"),
            row("谢谢", customer=f"w{n}", conversation=f"x{n}"),
            row(f"agent says {n * 104729} of {n}", conversation=f"x{n}"),
        ]
    split = split_of(rows)
    held = {number for number, each in enumerate(rows) if each in set(split.held)}
    assert 2 <= sum(number % 3 == 0 for number in held) <= 25
    assert {number // 3 for number in held if number % 3 == 0} == {number // 3 for number in held if number % 3 == 2}


def test_a_trusted_label_stands_for_its_duplicates() -> None:
    doubtful, trusted = row("same text", 0)._replace(weight=0.3), row("Same, text!", 2)
    unlabelled = row("same text", None)
    for order in ([doubtful, trusted, unlabelled], [unlabelled, trusted, doubtful]):
        split = split_of(order + ALL_MOODS * 2, 1 << 62)
        assert [found.sentiment for found in split.train if found.key == "sametext"] == [2]


def test_a_mood_without_rows_is_refused() -> None:
    with pytest.raises(SetupError, match="none of the 2 rows to train on is labelled neu or pos"):
        refuse_empty_classes([row("a"), row("b")])
    with pytest.raises(SetupError, match=r"labelled angry \(1\)"):
        refuse_empty_classes([found._replace(anger=0.0) for found in ALL_MOODS])
    refuse_empty_classes(ALL_MOODS)


def test_own_turns_are_trained_on_and_their_copies_are_not_measured() -> None:
    own = [row(f"own turn {n} says {n * n}")._replace(source="own_turns") for n in range(200)]
    copies = [Sided(row(turn.input.text.upper() + "!!", 2), None) for turn in own]
    measured = [Sided(row(f"elsewhere {n} was {n * n}")._replace(source="m"), True) for n in range(20)]
    seen_again = [Sided(row(sided.row.input.text), None) for sided in measured]
    read = [(Source("s", 1000, "x"), [*copies, *seen_again]), (Source("m", 0, "x", measure_only=True), measured)]
    split = mix(read, own, seed=1)
    assert not find_leaks(split).any()
    assert not [found for found in (*split.train, *split.held) if found.source == "s"]
    assert sum(found.source == "m" for found in split.held) == 20
    assert 2 <= sum(found.source == "own_turns" for found in split.held) <= 25
    assert mix(read, own, seed=1) == split


def test_one_text_with_two_contexts_stays_two_own_turns_on_one_side() -> None:
    said = [("calm", "你们辛苦了"), ("angry", "第五次让我等")]
    own = [
        Row("own_turns", f"行吧{n}", model_input(f"行吧{n}", [context]), int(mood == "calm"), 0.0)
        for n in range(50)
        for mood, context in said
    ]
    split = mix([], own, seed=1)
    assert len(set(split.train)) + len(split.held) == 100
    assert not find_leaks(split).any()


def test_halves_are_halves() -> None:
    halves = [half(row(f"text {n}")) for n in range(1000)]
    assert 430 < sum(halves) < 570


def test_the_fingerprint_is_of_the_content() -> None:
    rows = [row("one"), row("two", 1)]
    assert fingerprint(rows) == fingerprint(rows[::-1])
    assert fingerprint(rows) != fingerprint(rows[:1])
    assert fingerprint(rows) != fingerprint([rows[0], rows[1]._replace(sentiment=2)])


def write_source(folder: Path, name: str, texts: list[tuple[str, str]]) -> None:
    write(folder / name, [{"id": f"x-{n}", "text": text, "sentiment": mood} for n, (text, mood) in enumerate(texts)])


def test_no_text_is_in_both_parts_even_when_two_sources_share_it(tmp_path: Path) -> None:
    texts = [(f"The parcel number {n} came {n * n} late", "neg") for n in range(400)]
    write_source(tmp_path, "one.csv", texts)
    write_source(tmp_path, "other.jsonl", [(text.upper() + "!", mood) for text, mood in texts])
    split = load_split(tmp_path, 1)
    assert not find_leaks(split).any()
    assert 5 <= sum(found.source != "own_turns" for found in split.held) <= 40
    keys = [found.key for found in split.train if found.source != "own_turns"]
    assert len(keys) == len(set(keys)), "and none twice in training"
    assert load_split(tmp_path, 1) == split


def test_a_rare_mood_is_not_drowned(tmp_path: Path) -> None:
    texts = [(f"bad {n} times", "neg") for n in range(900)] + [(f"fine {n} times", "neu") for n in range(100)]
    write_source(tmp_path, "one.csv", texts)
    moods = [found.sentiment for found in load_split(tmp_path, 1, scale=0.01).train if found.source == "one"]
    assert moods.count(1) > 80


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("请问什么时候发货", True),
        ("好的，谢谢", True),
        ("你们这是骗子", False),
        ("怎么还没发货", False),
        ("太好了！！", False),
    ],
)
def test_the_rule_for_service_chat_is_silent_about_moods(text: str, plain: bool) -> None:
    assert plain_service_turn(text) is plain


def people(count: int, text: str, turns: str, mood: int, *, first: int = 0) -> list[Row]:
    return [
        Row("labels_chat", text_key(text), model_input(text, [turns]), mood, 1.0, group=group_of(customer=f"c-{n}"))
        for n in range(first, first + count)
    ]


def test_twenty_customers_with_one_text_are_twenty_labels_and_no_copy_measures_them() -> None:
    labelled = [
        *people(20, "行吧", "不能退", 0),
        *people(20, "三天了还是没有人来取件", "您好", 0, first=20),
        *people(20, "三天了还是没有人来取件", "已经到了", 2, first=40),
        *people(60, "谢谢你们的回复和帮助", "您好", 1, first=60),
    ]
    split = with_old_rows(labelled, None, seed=1)

    def of(part: list[Row], text: str) -> int:
        return sum(row.input.text == text for row in part if row.source == "labels_chat")

    for text in {row.input.text for row in labelled}:
        assert of(split.train, text) >= 10
        assert of(split.held, text) == 0
