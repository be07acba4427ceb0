"""What a variant cost: its own training and that of all it is built on, each run once."""

from __future__ import annotations

from collections.abc import Mapping

from engine.results.variants import Origin, Outlay, Variant, outlays
from engine.strategies.budgets import MATCHED_TO


def variant(name: str, run_id: str, parameters: int = 0, seconds: float | None = None) -> Variant:
    return Variant(f"id-{name}", name, "family", {}, parameters, seconds, (), run_id, "2026", True, name)


def origin(**upstream: str) -> Origin:
    return Origin("any", 1, 0, "data", "base", {}, upstream)


MADE = (
    variant("unified", "u", 100, 60.0),
    variant("hybrid", "h", 400, 30.0),
    variant("retrieval-1", "r"),
    variant("retrieval-3", "r"),
    variant("mixture", "m"),
    variant("base", "b"),
)
ORIGINS: Mapping[str, Origin] = {
    "u": origin(),
    "h": origin(unified="u"),
    "r": origin(over="h"),
    "m": origin(first="u", second="h"),
    "b": origin(),
}


def test_what_nothing_was_trained_for_costs_nothing() -> None:
    assert outlays(MADE, ORIGINS)["base"] == Outlay(0, 0.0)


def test_memories_over_an_adapter_cost_the_adapter_and_what_it_is_built_on() -> None:
    found = outlays(MADE, ORIGINS)
    assert found["hybrid"] == Outlay(500, 90.0)
    assert found["retrieval-1"] == found["retrieval-3"] == found["hybrid"]


def test_a_run_met_twice_counts_once() -> None:
    assert outlays(MADE, ORIGINS)["mixture"] == Outlay(500, 90.0)


def test_a_control_does_not_cost_what_it_is_matched_to() -> None:
    made = (*MADE, variant("unified~hybrid-steps", "c", 100, 80.0))
    found = outlays(made, {**ORIGINS, "c": origin(**{MATCHED_TO: "h"})})
    assert found["unified~hybrid-steps"] == Outlay(100, 80.0)


def test_a_training_without_a_time_leaves_the_time_open() -> None:
    made = (variant("unified", "u", 100, None), *MADE[1:])
    found = outlays(made, ORIGINS)
    assert found["hybrid"] == Outlay(500, None)
    assert found["base"].seconds == 0.0
