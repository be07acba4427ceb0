"""What tells variants of one plain name apart: only what differs, wherever in their making it lies."""

from __future__ import annotations

from dataclasses import replace

from engine.results.variants import Origin, Variant, distinctions

FIRST = Origin("hybrid", 1, 0, "data", "base", {"rank": 8, "history": None, "k": [1, 3]}, {"unified": "u"})
BELOW = Origin("unified", 1, 0, "data", "base", {"rank": 8, "batch_size": 4}, {})


def variant(run_id: str, name: str = "hybrid") -> Variant:
    return Variant(f"id-{run_id}", name, "hybrid", {}, 1, None, (), run_id, f"t-{run_id}", False, name)


def test_only_what_is_not_the_same_for_all_is_told() -> None:
    origins = {
        "a": FIRST,
        "b": replace(FIRST, parameters={**FIRST.parameters, "history": 20}),
        "c": replace(FIRST, parameters={**FIRST.parameters, "k": [5]}, seed=1),
        "u": BELOW,
    }
    assert distinctions([variant("a"), variant("b"), variant("c")], origins) == {
        "id-a": "history none, k 1, 3, seed 0",
        "id-b": "history 20, k 1, 3, seed 0",
        "id-c": "history none, k 5, seed 1",
    }


def test_a_difference_may_lie_in_a_run_below() -> None:
    origins = {
        "a": FIRST,
        "b": replace(FIRST, upstream={"unified": "v"}),
        "u": BELOW,
        "v": replace(BELOW, parameters={"rank": 8, "batch_size": 1}, data_hash="0123456789"),
    }
    assert distinctions([variant("a"), variant("b")], origins) == {
        "id-a": "unified's batch size 4, unified's data data",
        "id-b": "unified's batch size 1, unified's data 01234567",
    }


def test_a_seed_that_goes_through_to_what_is_below_is_told_once() -> None:
    made = Origin("placebo", 1, 0, "data", "base", {}, {"of": "a"})
    origins = {
        "p": made,
        "q": replace(made, seed=1, upstream={"of": "b"}),
        "a": FIRST,
        "b": replace(FIRST, seed=1, upstream={"unified": "v"}),
        "u": BELOW,
        "v": replace(BELOW, seed=1, parameters={**BELOW.parameters, "rank": 16}),
    }
    assert distinctions([variant("p"), variant("q")], origins) == {
        "id-p": "seed 0, hybrid's unified's rank 8",
        "id-q": "seed 1, hybrid's unified's rank 16",
    }


def test_a_name_of_its_own_and_an_unknown_origin_need_no_words() -> None:
    assert distinctions([variant("a"), variant("b", "other")], {"a": FIRST, "b": BELOW}) == {}
    assert distinctions([variant("x"), variant("y")], {}) == {}
    assert distinctions([variant("a"), variant("gone")], {"a": BELOW})["id-a"].startswith("rank 8")
