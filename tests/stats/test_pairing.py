"""Pairing example by example, against a brute-force reading of the same tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.stats.pairing import Valued, index, pair

VALUES = st.one_of(st.none(), st.integers(0, 8).map(lambda n: n / 8))


@st.composite
def two_tables(draw: st.DrawFn) -> tuple[list[Valued], list[Valued]]:
    """Return two tables over overlapping examples of up to five personas, with undefined values."""
    examples = [(f"d{n}#1", f"p{n % 5}") for n in draw(st.sets(st.integers(0, 30), max_size=25))]
    tables = []
    for _ in range(2):
        kept = draw(st.lists(st.sampled_from(examples), unique=True)) if examples else []
        tables.append([(example, persona, draw(VALUES)) for example, persona in kept])
    return tables[0], tables[1]


@settings(max_examples=150, deadline=None)
@given(two_tables())
def test_pairing_agrees_with_brute_force(tables: tuple[list[Valued], list[Valued]]) -> None:
    ours, theirs = tables
    pairing = pair(ours, theirs)
    both = [
        (persona, value, other_value)
        for example, persona, value in ours
        for other, _, other_value in theirs
        if example == other
    ]
    defined = [(persona, a, b) for persona, a, b in both if a is not None and b is not None]
    assert pairing.n_examples == len(defined)
    assert pairing.n_only_candidate == len(ours) - len(both)
    assert pairing.n_only_reference == len(theirs) - len(both)
    assert pairing.n_null_candidate == sum(a is None and b is not None for _, a, b in both)
    assert pairing.n_null_reference == sum(a is not None and b is None for _, a, b in both)
    assert pairing.n_null_both == sum(a is None and b is None for _, a, b in both)
    assert pairing.personas == tuple(sorted({persona for persona, _, _ in defined}))
    for at, persona in enumerate(pairing.personas):
        own = [(a, b) for name, a, b in defined if name == persona]
        assert pairing.candidate[at] == pytest.approx(sum(a for a, _ in own) / len(own))
        assert pairing.reference[at] == pytest.approx(sum(b for _, b in own) / len(own))
        assert pairing.differences[at] == pytest.approx(sum(a - b for a, b in own) / len(own))


@settings(max_examples=100, deadline=None)
@given(two_tables())
def test_the_order_of_rows_and_tables_does_not_matter(tables: tuple[list[Valued], list[Valued]]) -> None:
    ours, theirs = tables
    pairing, shuffled, swapped = pair(ours, theirs), pair(ours[::-1], theirs[::-1]), pair(theirs, ours)
    assert np.array_equal(pairing.differences, shuffled.differences)
    assert np.array_equal(pairing.differences, -swapped.differences)
    assert pairing.n_only_candidate == swapped.n_only_reference


def test_a_persona_mean_rests_on_the_shared_examples_only() -> None:
    ours = [("a#1", "p", 1.0), ("b#1", "p", 0.0), ("c#1", "p", 0.5)]
    theirs = [("a#1", "p", 0.5), ("b#1", "p", None), ("z#1", "p", 0.0)]
    pairing = pair(ours, theirs)
    assert pairing.candidate.tolist() == [1.0]
    assert pairing.reference.tolist() == [0.5]
    assert (pairing.n_only_candidate, pairing.n_only_reference, pairing.n_null_reference) == (1, 1, 1)


def test_rounding_is_no_difference() -> None:
    ours = [("a#1", "p", 0.1), ("b#1", "p", 0.2), ("c#1", "p", 0.3)]
    theirs = [("a#1", "p", 0.3), ("b#1", "p", 0.1), ("c#1", "p", 0.2)]
    assert pair(ours, theirs).differences.tolist() == [0.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(EngineError, match="a#1"):
        index([("a#1", "p", value)])


def test_an_example_scored_twice_is_refused() -> None:
    with pytest.raises(EngineError, match="twice"):
        index([("a#1", "p", 1.0), ("a#1", "p", 0.5)])


def test_an_example_of_two_personas_is_refused() -> None:
    with pytest.raises(EngineError, match="belongs to p in one table and to q"):
        pair([("a#1", "p", 1.0)], [("a#1", "q", 1.0)])


def test_empty_tables_pair_to_nothing() -> None:
    pairing = pair([], [])
    assert pairing.personas == ()
