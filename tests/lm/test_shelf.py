"""What a variant means for one persona: references are followed, and nested recipes come down to sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json
from engine.lm.asking import strands
from engine.lm.effects import (
    Logits,
    Own,
    Prompt,
    Recipe,
    Swapped,
    Weights,
    mixed,
    read_recipe,
    steered,
)
from engine.lm.mixture import Lockstep
from engine.lm.recipes import NotCovered, Shelf, Side, write_personas

UNIFIED = Recipe((Weights("run-u", "unified"),))
OWN = Recipe((Own("run-p"),))
PROFILE = Recipe((Prompt(profile=True),))
ROUTED = Recipe((Own("run-r", chosen=True),))
TOLD = Prompt()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Two personas with adapters of their own, a routing for both, and a placebo that swaps them."""
    ws = Workspace(tmp_path)
    write_personas(ws, "run-p", {name: [Weights("run-p", name)] for name in ("ada", "bo")})
    candidates = {
        "unified": {"run": "run-u", "recipe": {"adapters": [{"run": "run-u", "name": "unified"}]}},
        "mix": {"run": "run-m", "recipe": mixed(UNIFIED, OWN, 0.6).as_json()},
    }
    routes = {"ada": {"variant": "mix"}, "bo": {"variant": "unified"}}
    write_json(ws.run_folder("run-r") / "routes.json", {"candidates": candidates, "routes": routes})
    write_json(ws.run_folder("run-x") / "placebo.json", {"donors": {"ada": "bo", "bo": "ada"}})
    return Shelf(ws)


def placebo(of: Recipe) -> Recipe:
    return Recipe((Swapped(of, "run-x"),))


def unified(persona: str, **more: Any) -> Side:
    return Side((Weights("run-u", "unified"),), TOLD, persona, **more)


def own(persona: str, **more: Any) -> Side:
    return Side((Weights("run-p", persona),), TOLD, persona, **more)


def test_a_plain_recipe_is_its_only_side(shelf: Shelf) -> None:
    assert shelf.sides(OWN, "ada") == (own("ada"),)
    assert shelf.sides(Recipe(), "cy") == (Side((), TOLD, "cy"),)


def test_a_mixture_has_two_sides_and_nests(shelf: Shelf) -> None:
    inner = mixed(UNIFIED, OWN, 0.5)
    assert shelf.sides(inner, "bo") == (unified("bo", weight=0.5), own("bo", weight=0.5, group=1))
    found = shelf.sides(mixed(inner, PROFILE, 0.25), "bo")
    assert [side.weight for side in found] == pytest.approx([0.125, 0.125, 0.75])
    assert [side.prompt.profile for side in found] == [False, False, True]
    twice = shelf.sides(mixed(inner, UNIFIED, 0.4), "bo")
    assert [(side.effects, side.weight) for side in twice] == [
        (unified("bo").effects, pytest.approx(0.8)),
        (own("bo").effects, pytest.approx(0.2)),
    ]


def test_at_one_and_at_zero_a_mixture_is_the_recipe_itself(shelf: Shelf) -> None:
    assert mixed(UNIFIED, OWN, 1.0) == UNIFIED
    assert mixed(UNIFIED, OWN, 0.0) == OWN
    assert mixed(UNIFIED, UNIFIED, 0.3) == UNIFIED
    written = {"mixture": {"weight": 1.0, "parts": [UNIFIED.as_json(), OWN.as_json()]}}
    assert shelf.sides(read_recipe(written), "ada") == (unified("ada"),)


def test_steering_puts_two_recipes_together_on_logits(shelf: Shelf) -> None:
    first, second = shelf.sides(steered(OWN, UNIFIED, 0.5), "ada")
    assert (first.effects, first.coefficient, second.coefficient) == (own("ada").effects, 1.5, -0.5)
    assert (first.group, first.weight) == (second.group, second.weight) == (0, 1.0)
    assert steered(OWN, UNIFIED, 0.0) == OWN
    assert steered(OWN, UNIFIED, -1.0) == UNIFIED
    assert steered(OWN, OWN, 2.0) == OWN
    with_base = shelf.sides(mixed(steered(OWN, UNIFIED, 0.5), Recipe(), 0.75), "ada")
    assert [(side.weight, side.group) for side in with_base] == [(0.75, 0), (0.75, 0), (0.25, 1)]


def test_a_mixture_is_steered_by_its_logarithm_and_not_mixed_again(shelf: Shelf) -> None:
    both = steered(mixed(OWN, Recipe(), 0.75), UNIFIED, 0.5)
    told = [(one.weight, one.group, one.pool, one.power) for one in shelf.sides(both, "ada")]
    assert told == [(0.75, 0, 0, 1.5), (0.25, 1, 0, 1.5), (1.0, 2, 1, -0.5)]
    with pytest.raises(EngineError, match="one side of another mixture"):
        shelf.sides(mixed(both, OWN, 0.5), "ada")


LEAVES = (UNIFIED, OWN, PROFILE, Recipe())
STRENGTHS = st.sampled_from([-2.0, -0.5, 0.5, 1.0, 2.0])
ON_LOGITS = st.recursive(
    st.sampled_from(LEAVES), lambda some: st.builds(steered, some, some, STRENGTHS), max_leaves=4
)
MIXED = st.recursive(
    ON_LOGITS, lambda some: st.builds(mixed, some, some, st.sampled_from([0.0, 0.3, 0.5, 1.0])), max_leaves=4
)
ANY = st.recursive(MIXED, lambda some: st.builds(steered, some, some, STRENGTHS), max_leaves=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(ANY, min_size=1, max_size=3), st.integers(0, 2**31))
def test_any_recipe_says_what_its_formula_says(shelf: Shelf, recipes: list[Recipe], seed: int) -> None:
    """Of random logits of the leaves, alone and beside other requests in a batch, to 1e-4."""
    drawn = torch.Generator().manual_seed(seed)
    logits_of = {leaf: torch.randn(7, generator=drawn) for leaf in LEAVES}
    leaf_of = {(side.effects, side.prompt): leaf for leaf in LEAVES for side in shelf.sides(leaf, "ada")}

    def formula(recipe: Recipe) -> torch.Tensor:
        """Return the logarithm of its probabilities."""
        if not isinstance(both := next(iter(recipe.effects), None), Logits):
            return logits_of[recipe].log_softmax(-1)
        first, second = formula(both.first), formula(both.second)
        if both.on == "probabilities":
            return (both.weight * first.exp() + (1 - both.weight) * second.exp()).log()
        return ((1 + both.weight) * first - both.weight * second).log_softmax(-1)

    sides = [shelf.sides(recipe, "ada") for recipe in recipes]
    requests = [strands(found, lambda _: ((), None)) for found in sides]
    logits = torch.stack([logits_of[leaf_of[one.effects, one.prompt]] for some in sides for one in some])
    shares, _ = Lockstep(requests, logits.device).shares(logits, range(len(logits)))
    torch.testing.assert_close(
        shares, torch.stack([formula(one).exp() for one in recipes]), atol=1e-4, rtol=0
    )


def test_a_placebo_is_the_same_recipe_for_another_persona(shelf: Shelf) -> None:
    assert shelf.sides(placebo(OWN), "ada") == (own("bo"),)
    (told,) = shelf.sides(placebo(OWN.with_prompt(memories=3)), "bo")
    assert (told.effects, told.prompt, told.persona_id) == (own("ada").effects, Prompt(memories=3), "ada")
    both = shelf.sides(placebo(mixed(UNIFIED, OWN, 0.6)), "ada")
    assert {side.persona_id for side in both} == {"bo"}


def test_a_routed_placebo_follows_the_other_persona(shelf: Shelf) -> None:
    assert [side.effects for side in shelf.sides(ROUTED, "ada")] == [unified("").effects, own("ada").effects]
    assert shelf.sides(placebo(ROUTED), "ada") == (unified("bo"),)
    assert shelf.sides(placebo(ROUTED), "bo")[1] == own("ada", weight=pytest.approx(0.4), group=1)
    assert [one.told.get("variant") for one in shelf.followed(mixed(ROUTED, UNIFIED, 0.5), "ada")] == [
        "mix",
        None,
    ]
    assert [one.told for one in shelf.followed(mixed(OWN, UNIFIED, 0.5), "ada")] == [{}]


def test_memories_go_into_every_side_and_behind_every_route(shelf: Shelf) -> None:
    told = mixed(UNIFIED, OWN, 0.6).with_prompt(memories=3, recency=0.5)
    assert {side.prompt for side in shelf.sides(told, "ada")} == {Prompt(memories=3, recency=0.5)}
    routed = ROUTED.with_prompt(memories=2)
    assert {side.prompt.memories for name in ("ada", "bo") for side in shelf.sides(routed, name)} == {2}
    assert UNIFIED.with_prompt(memories=0, recency=0.5) == UNIFIED
    assert ROUTED.with_prompt() == ROUTED


def test_whom_nobody_trained_routed_or_paired_is_not_covered(shelf: Shelf) -> None:
    for recipe in (OWN, ROUTED, placebo(UNIFIED)):
        assert shelf.covers(recipe, "ada")
        assert not shelf.covers(recipe, "cy")
    assert not shelf.covers(mixed(UNIFIED, OWN, 0.5), "cy")
    with pytest.raises(NotCovered, match="no route for persona cy"):
        shelf.sides(ROUTED, "cy")
    with pytest.raises(NotCovered, match="pairs persona cy with nobody"):
        shelf.sides(placebo(UNIFIED), "cy")


def test_files_that_are_gone_are_named(shelf: Shelf) -> None:
    with pytest.raises(EngineError, match="run-0 has left no routes"):
        shelf.sides(Recipe((Own("run-0", chosen=True),)), "ada")
    with pytest.raises(EngineError, match="run-0 has left no pairs"):
        shelf.sides(Recipe((Swapped(OWN, "run-0"),)), "ada")
