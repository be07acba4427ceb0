"""Splits: their shares, their order, their seeds, and the checks that would see a wrong one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.core.types import Dataset, Dialogue, Message, Persona, Splits
from engine.data.checks import check_splits
from engine.data.order import Order
from engine.data.placed import split_as_placed
from engine.data.splits import (
    at_least,
    choose_personas,
    export_edgesplits,
    keep_unseen,
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
    rows = list(dataset.dialogues)
    rows[1] = replace(rows[1], messages=rows[1].messages * 90)
    endless = Dataset(dataset.personas, tuple(rows))
    (wrong,) = (one for one in check_splits(endless, split_by_time(endless)) if not one["ok"])
    assert wrong["detail"] == "persona_000 holds the most examples: 71.2 % (limit 40.0 %)"


def test_personas_kept_unseen_are_in_no_other_split() -> None:
    dataset = dataset_of([10] * 10)
    made = split_by_time(dataset)
    splits = keep_unseen(dataset, made, share=0.2, seed=4)
    assert len(splits.unseen) == 2
    for row in dataset.dialogues:
        unseen = row.persona_id in splits.unseen
        place = made.assignment[row.dialogue_id]
        held = "history" if place == "train" else "unseen"  # what would be trained on may be remembered
        assert splits.assignment[row.dialogue_id] == (held if unseen else place)
        assert not (unseen and row.dialogue_id in splits.online)
    assert failed(dataset, splits) == set()
    found = split_statistics(dataset, splits)
    assert (found["unseen"]["dialogues"], found["unseen"]["personas"]) == (8, 2)
    assert (found["history"]["dialogues"], found["history"]["personas"]) == (12, 2)
    assert found["train"]["personas"] == 8
    assert "unseen" not in split_statistics(dataset, made)
    assert export_edgesplits(dataset, splits)[min(splits.unseen)]["test"] == []
    assert keep_unseen(dataset, made, share=0.2, seed=4) == splits
    assert keep_unseen(dataset, made, share=0.2, seed=5) != splits
    with pytest.raises(EngineError, match="every test persona is unseen already"):
        keep_unseen(dataset, split_by_persona(dataset, seed=0), share=0.2, seed=0)
    with pytest.raises(EngineError, match="too few personas"):
        keep_unseen(dataset_of([9]), split_by_time(dataset_of([9])), share=0.5, seed=0)


def test_short_histories_are_left_out_on_request() -> None:
    dataset = dataset_of([10, 4, 9, 1])
    kept, short = at_least(dataset, 5)
    assert short == {"persona_001": 4, "persona_003": 1}
    assert [persona.persona_id for persona in kept.personas] == ["persona_000", "persona_002"]
    assert make_splits(kept, scheme="auto", seed=0).scheme == "by-time"


def dated_dataset(days: list[int]) -> Dataset:
    """One persona's dialogues in an order that is not that of their dates."""
    made = dataset_of([len(days)])
    rows = [
        replace(row, meta={"dated": f"2024-01-{day:02d}"})
        for row, day in zip(made.dialogues, days, strict=True)
    ]
    return Dataset(made.personas, tuple(rows))


def test_the_check_of_order_looks_at_the_dates_themselves() -> None:
    """The order in the records is what made the split, so it cannot be what proves it."""
    sorted_days = dated_dataset([1, 2, 3, 4, 5, 6])
    assert "order in time" not in failed(sorted_days, split_by_time(sorted_days))
    backwards = dated_dataset([6, 5, 4, 3, 2, 1])
    (check,) = [
        one for one in check_splits(backwards, split_by_time(backwards)) if one["name"] == "order in time"
    ]
    assert not check["ok"]
    assert "a train dialogue dated after a test dialogue: persona_000" in check["detail"]


def test_an_order_that_is_not_known_is_never_well() -> None:
    dataset = dataset_of([10] * 5)
    order = Order(dates=4, unknown=("persona_002",))
    checks = {one["name"]: one for one in check_splits(dataset, split_by_time(dataset), order)}
    assert not checks["order in time"]["ok"]
    assert "1 persona (persona_002) is not known" in checks["order in time"]["detail"]
    by_persona = {one["name"]: one for one in check_splits(dataset, split_by_persona(dataset, seed=0), order)}
    assert by_persona["order in time"]["ok"]


def places(dataset: Dataset, *names: str) -> dict[str, str]:
    """Assign the dialogues of every persona in order."""
    return {row.dialogue_id: names[row.order] for row in dataset.dialogues}


def test_a_split_in_the_data_is_honoured() -> None:
    dataset = dataset_of([5] * 4)
    placed = split_as_placed(dataset, places(dataset, "test", "train", "train", "val", "train"), seed=0)
    assert placed is not None
    assert placed.splits.scheme == "by-time"
    assert placed.splits.assignment["persona_000/0000"] == "test"
    assert "order in time" in failed(dataset, placed.splits)  # honoured, and said


def test_a_missing_validation_is_the_end_of_train() -> None:
    dataset = dataset_of([6] * 4)
    placed = split_as_placed(dataset, places(dataset, *["train"] * 5, "test"), seed=0)
    assert placed is not None
    own = [placed.splits.assignment[f"persona_001/{order:04d}"] for order in range(6)]
    assert own == ["train"] * 4 + ["val", "test"]
    assert any("names no validation split" in note for note in placed.notes)
    val_only = split_as_placed(dataset, places(dataset, *["train"] * 5, "val"), seed=0)
    assert val_only is not None
    assert val_only.splits.assignment["persona_001/0005"] == "test"


def test_personas_of_one_split_each_make_it_a_split_by_persona() -> None:
    dataset = dataset_of([3] * 12)
    told = {
        row.dialogue_id: "test" if row.persona_id > "persona_008" else "train" for row in dataset.dialogues
    }
    placed = split_as_placed(dataset, told, seed=0)
    assert placed is not None
    assert placed.splits.scheme == "by-persona"
    assert failed(dataset, placed.splits) == set()


def test_a_persona_without_a_train_dialogue_is_unseen() -> None:
    dataset = dataset_of([6] * 4)
    told = places(dataset, *["train"] * 4, "val", "test")
    told |= {one: "test" for one in told if one.startswith("persona_003")}
    placed = split_as_placed(dataset, told, seed=0)
    assert placed is not None
    assert placed.splits.unseen == {"persona_003"}
    assert placed.splits.assignment["persona_003/0000"] == "unseen"
    assert split_as_placed(dataset, dict.fromkeys(told, "train"), seed=0) is None
