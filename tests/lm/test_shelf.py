"""What a variant means for one persona: references are followed, and nested recipes come down to sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json
from engine.lm.effects import Own, Prompt, Recipe, Swapped, Weights, mixed, read_recipe, steered
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
    with pytest.raises(EngineError, match="mixture of probabilities"):
        shelf.sides(steered(mixed(OWN, Recipe(), 0.5), UNIFIED, 0.5), "ada")


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
