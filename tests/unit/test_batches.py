from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_app.scoring.batches import cut

LENGTHS = st.lists(st.integers(1, 200), max_size=80)
BUDGETS = st.integers(1, 500)


@given(LENGTHS, BUDGETS, st.booleans())
def test_every_text_is_in_exactly_one_batch(lengths: list[int], budget: int, padded: bool) -> None:
    batches = cut(lengths, budget, padded=padded)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))


@given(LENGTHS, BUDGETS)
def test_a_batch_stays_within_the_budget_unless_one_text_alone_exceeds_it(lengths: list[int], budget: int) -> None:
    for batch in cut(lengths, budget):
        assert len(batch) == 1 or sum(lengths[index] for index in batch) <= budget


@given(LENGTHS, BUDGETS)
def test_padding_counts_against_the_budget_where_it_is_computed(lengths: list[int], budget: int) -> None:
    for batch in cut(lengths, budget, padded=True):
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


@given(LENGTHS, BUDGETS)
def test_batches_are_sorted_by_length(lengths: list[int], budget: int) -> None:
    in_order = [lengths[index] for batch in cut(lengths, budget) for index in batch]
    assert in_order == sorted(lengths)


@given(LENGTHS, BUDGETS)
def test_no_two_neighbouring_batches_would_have_fitted_into_one(lengths: list[int], budget: int) -> None:
    sizes = [sum(lengths[index] for index in batch) for batch in cut(lengths, budget)]
    firsts = [lengths[batch[0]] for batch in cut(lengths, budget)]
    assert all(size + first > budget for size, first in zip(sizes, firsts[1:], strict=False))
