"""Which dialogues make a step, and at what learning rate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lm.batches import epoch_batches, micro_batches, schedule


@pytest.mark.parametrize(
    ("total", "warmup", "factors"),
    [
        (10, 0.2, [1 / 3, 2 / 3, *(left / 8 for left in range(8, 0, -1))]),
        (4, 0.0, [1.0, 0.75, 0.5, 0.25]),
        (3, 1.0, [0.25, 0.5, 0.75]),
        (1, 0.1, [0.5]),
    ],
)
def test_the_learning_rate_rises_and_then_falls_in_straight_lines(
    total: int, warmup: float, factors: list[float]
) -> None:
    assert [schedule(step, total, warmup) for step in range(total)] == pytest.approx(factors)
    assert schedule(total, total, warmup) == 0.0


@given(st.lists(st.integers(1, 300), min_size=1, max_size=200), st.integers(1, 9), st.integers(0, 5))
def test_an_epoch_holds_every_dialogue_once_in_as_few_batches_as_can_be(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    groups = list(epoch_batches(lengths, batch_size, seed=seed))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    assert len(groups) == math.ceil(len(lengths) / batch_size)
    assert max(map(len, groups)) <= batch_size
    assert groups == list(epoch_batches(lengths, batch_size, seed=seed))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=80), st.integers(1, 900), st.integers(1, 6))
def test_micro_batches_hold_every_row_once_and_no_more_than_their_tokens(
    lengths: list[int], tokens: int, at_least: int
) -> None:
    parts = micro_batches(lengths, tokens, at_least=at_least)
    assert sorted(index for part in parts for index in part) == list(range(len(lengths)))
    assert len(parts) >= min(at_least, len(lengths))
    assert all(len(part) == 1 or len(part) * max(lengths[i] for i in part) <= tokens for part in parts)
