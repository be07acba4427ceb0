"""Splits: their shares, their order, their seeds, and the checks that would see a wrong one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.core.types import Dataset, Dialogue, Message, Persona, Splits
from engine.data.splits import (
    check_splits,
    choose_personas,
    export_edgesplits,
    make_splits,
    split_by_persona,
    split_by_time,
    split_statistics,
)


def dataset_of(counts: list[int]) -> Dataset:
    """A dataset with counts[i] dialogues of persona i, all different, one example each."""
    dialogues = []
    for index, count in enumerate(counts):
        name = f"persona_{index:03d}"
        for order in range(count):
            messages = (
                Message("user", f"{index} asks {order}"),
                Message("assistant", f"{order} for {index}"),
            )
            dialogues.append(Dialogue(name, f"{name}/{order:04d}", order, messages))
    return Dataset(tuple(Persona(f"persona_{index:03d}") for index in range(len(counts))), tuple(dialogues))


def failed(dataset: Dataset, splits: Splits) -> set[str]:
    return {check["name"] for check in check_splits(dataset, splits) if not check["ok"]}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(5, 60), min_size=1, max_size=8))
def test_by_time_keeps_order_and_shares_for_every_persona(counts: list[int]) -> None:
    dataset = dataset_of(counts)
    splits = split_by_time(dataset)
    assert failed(dataset, splits) <= {"balance"}
    for index, count in enumerate(counts):
        own = [splits.assignment[f"persona_{index:03d}/{order:04d}"] for order in range(count)]
        train, val, test = own.count("train"), own.count("val"), own.count("test")
        assert own == ["train"] * train + ["val"] * val + ["test"] * test
        assert (train, val) == (count * 60 // 100, count * 20 // 100)
        online = sorted(one for one in splits.online if one.startswith(f"persona_{index:03d}/"))
        assert 1 <= len(online) <= 10
        assert len(online) <= max(1, train / 3)
        assert online[-1] == f"persona_{index:03d}/{train - 1:04d}"


def test_fifty_dialogues_divide_as_in_the_study() -> None:
    dataset = dataset_of([50] * 4)
    found = split_statistics(dataset, split_by_time(dataset))
    assert [found[name]["dialogues"] for name in ("train", "val", "test", "online")] == [120, 40, 40, 40]
    assert found["test"]["examples"] == 40
    entry = export_edgesplits(dataset, split_by_time(dataset))["persona_001"]
    assert entry["train"] == list(range(50, 80))
    assert entry["online"] == list(range(70, 80))
    assert entry["test"] == list(range(90, 100))


def test_by_time_of_short_histories_suggests_by_persona() -> None:
    with pytest.raises(EngineError) as caught:
        split_by_time(dataset_of([5, 4, 9, 1]))
    assert "2 of 4 have fewer (persona_001: 4, persona_003: 1)" in caught.value.message
    assert "--split by-persona" in caught.value.hint
    assert make_splits(dataset_of([5, 4, 9, 1]), scheme="auto", seed=0).scheme == "by-persona"
    assert make_splits(dataset_of([5, 5, 9, 7]), scheme="auto", seed=0).scheme == "by-time"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 4), min_size=3, max_size=40), st.integers(0, 5))
def test_by_persona_shares_no_persona_and_leaves_none_empty(counts: list[int], seed: int) -> None:
    dataset = dataset_of(counts)
    splits = split_by_persona(dataset, seed=seed)
    assert failed(dataset, splits) <= {"balance"}
    found = split_statistics(dataset, splits)
    personas = {name: found[name]["personas"] for name in ("train", "val", "test")}
    assert sum(personas.values()) == len(counts)
    assert all(personas.values())
    assert abs(personas["train"] - 0.6 * len(counts)) <= 1.5
    assert abs(personas["test"] - 0.2 * len(counts)) <= 1.5
    assert splits == split_by_persona(dataset, seed=seed)
    assert splits.online == frozenset()


def test_by_persona_follows_its_seed_and_needs_three() -> None:
    dataset = dataset_of([2] * 30)
    assert split_by_persona(dataset, seed=1) != split_by_persona(dataset, seed=2)
    with pytest.raises(EngineError, match="at least 3 personas; there are 2"):
        split_by_persona(dataset_of([9, 9]), seed=0)


def test_a_larger_subset_holds_the_smaller() -> None:
    dataset = dataset_of([3] * 40)

    def ids(personas: int, seed: int) -> set[str]:
        return {one.persona_id for one in choose_personas(dataset, personas=personas, seed=seed).personas}

    assert ids(5, 0) < ids(12, 0)
    assert len(ids(12, 0)) == 12
    assert ids(12, 0) != ids(12, 1)
    chosen = choose_personas(dataset, personas=5, seed=0)
    assert {row.persona_id for row in chosen.dialogues} == ids(5, 0)
    assert choose_personas(dataset, personas=None, seed=0) is dataset
    with pytest.raises(EngineError, match="41 personas were asked for; there are 40"):
        choose_personas(dataset, personas=41, seed=0)


def test_the_checks_see_each_wrong_split() -> None:
    dataset = dataset_of([10] * 5)
    good = split_by_time(dataset)
    assert failed(dataset, good) == set()
    first, last = "persona_000/0000", "persona_000/0009"
    swapped = good.assignment | {first: "test", last: "train"}
    assert failed(dataset, Splits("by-time", swapped, good.online)) == {"order in time"}
    lost = {one: split for one, split in good.assignment.items() if one != first}
    assert failed(dataset, Splits("by-time", lost, good.online)) == {"every dialogue assigned"}
    assert failed(dataset, replace(good, online=frozenset({last}))) == {"online within train"}
    assert failed(dataset, Splits("by-persona", good.assignment)) == {"no overlap"}
    untested = {one: "val" if split == "test" else split for one, split in good.assignment.items()}
    assert failed(dataset, Splits("by-time", untested, good.online)) == {"coverage"}


def test_the_checks_see_repeats_and_a_persona_that_weighs_too_much() -> None:
    dataset = dataset_of([10] * 5)
    rows = list(dataset.dialogues)
    rows[9] = replace(rows[9], messages=rows[0].messages)
    repeated = Dataset(dataset.personas, tuple(rows))
    assert failed(repeated, split_by_time(repeated)) == {"no repeats"}
    lopsided = dataset_of([90, 5, 5, 5, 5])
    assert failed(lopsided, split_by_time(lopsided)) == {"balance"}
