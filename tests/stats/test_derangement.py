"""Placebos: nobody gets what is her own, whatever the groups and the seed."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from engine.stats.derangement import derange

sizes = st.lists(st.integers(1, 9), min_size=2, max_size=6)


def people(sizes: list[int]) -> dict[str, int]:
    return {f"p{kind}-{number}": kind for kind, size in enumerate(sizes) for number in range(size)}


@given(sizes=sizes, seed=st.integers(0, 99))
def test_every_stand_in_is_of_another_kind(sizes: list[int], seed: int) -> None:
    kinds = people(sizes)
    found = derange(kinds, seed=seed)
    assert found is not None
    assert set(found.donors) == set(kinds)
    assert all(kinds[persona] != kinds[donor] for persona, donor in found.donors.items())


@given(sizes=sizes, seed=st.integers(0, 99))
def test_everybody_stands_in_once_unless_one_kind_is_more_than_half(sizes: list[int], seed: int) -> None:
    found = derange(people(sizes), seed=seed)
    assert found is not None
    assert found.is_permutation == (2 * max(sizes) <= sum(sizes))
    times = Counter(found.donors.values())
    assert (max(times.values()) == 1) == found.is_permutation
    rest = sum(sizes) - max(sizes)
    assert max(times.values()) == max(1, -(-max(sizes) // rest))  # shared as evenly as it goes


@given(count=st.integers(2, 60), seed=st.integers(0, 99))
def test_where_each_is_a_kind_of_her_own_it_has_no_fixed_point(count: int, seed: int) -> None:
    found = derange({f"p{number}": number for number in range(count)}, seed=seed)
    assert found is not None
    assert found.is_permutation
    assert all(persona != donor for persona, donor in found.donors.items())


def test_the_pairing_is_fixed_by_its_seed_and_not_by_the_order_it_is_asked_in() -> None:
    kinds = people([3, 4, 5])
    backwards = dict(reversed(list(kinds.items())))
    assert derange(kinds, seed=1) == derange(backwards, seed=1)
    assert derange(kinds, seed=1) != derange(kinds, seed=2)


def test_there_is_no_placebo_among_those_who_are_all_alike() -> None:
    assert derange(people([7]), seed=0) is None
    assert derange({}, seed=0) is None
