"""What a variant means for one persona: routes, mixtures and placebos come down to plain recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json
from engine.lm.recipes import NotCovered, Recipe, Shelf, Side, write_personas
from engine.lm.routed import covers, followed, follows_routes, mixed, remembering, sides

UNIFIED = Recipe((("run-u", "unified"),))
OWN = Recipe((("run-p", ""),))
PROFILE = Recipe(profile=True)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """Two personas with adapters of their own, a routing for both, and a placebo that swaps them."""
    ws = Workspace(tmp_path)
    write_personas(ws, "run-p", {name: [("run-p", name, 1.0)] for name in ("ada", "bo")})
    candidates = {
        "unified": {"run": "run-u", "recipe": UNIFIED.as_json()},
        "mix": {"run": "run-m", "recipe": mixed(UNIFIED.as_json(), OWN.as_json(), 0.6)},
    }
    routes = {"ada": {"variant": "mix"}, "bo": {"variant": "unified"}}
    write_json(ws.run_folder("run-r") / "routes.json", {"candidates": candidates, "routes": routes})
    write_json(ws.run_folder("run-x") / "placebo.json", {"donors": {"ada": "bo", "bo": "ada"}})
    return ws


def placebo(of: dict[str, Any]) -> dict[str, Any]:
    return {"placebo": {"of": of, "run": "run-x"}}


def test_a_plain_recipe_is_its_only_side(ws: Workspace) -> None:
    assert sides(ws, OWN.as_json(), "ada") == (Side(OWN, "ada", 1.0),)


def test_a_mixture_has_two_sides_and_nests(ws: Workspace) -> None:
    inner = mixed(UNIFIED.as_json(), OWN.as_json(), 0.5)
    assert sides(ws, inner, "bo") == (Side(UNIFIED, "bo", 0.5), Side(OWN, "bo", 0.5))
    outer = mixed(inner, PROFILE.as_json(), 0.25)
    found = sides(ws, outer, "bo")
    assert [side.recipe for side in found] == [UNIFIED, OWN, PROFILE]
    assert [side.weight for side in found] == pytest.approx([0.125, 0.125, 0.75])
    twice = sides(ws, mixed(inner, UNIFIED.as_json(), 0.4), "bo")
    assert [(side.recipe, side.weight) for side in twice] == [
        (UNIFIED, pytest.approx(0.8)),
        (OWN, pytest.approx(0.2)),
    ]


def test_at_one_and_at_zero_a_mixture_is_the_recipe_itself(ws: Workspace) -> None:
    first, second = UNIFIED.as_json(), OWN.as_json()
    assert mixed(first, second, 1.0) == first
    assert mixed(first, second, 0.0) == second
    assert mixed(first, first, 0.3) == first
    written = {"mixture": {"weight": 1.0, "parts": [first, second]}}
    assert sides(ws, written, "ada") == (Side(UNIFIED, "ada", 1.0),)


def test_a_placebo_is_the_same_recipe_for_another_persona(ws: Workspace) -> None:
    assert sides(ws, placebo(OWN.as_json()), "ada") == (Side(OWN, "bo", 1.0),)
    told = Recipe(OWN.adapters, memories=3)
    assert sides(ws, placebo(told.as_json()), "bo") == (Side(told, "ada", 1.0),)
    both = sides(ws, placebo(mixed(UNIFIED.as_json(), OWN.as_json(), 0.6)), "ada")
    assert {side.persona_id for side in both} == {"bo"}


def test_a_routed_placebo_follows_the_other_persona(ws: Workspace) -> None:
    routed = {"route": "run-r"}
    assert [side.recipe for side in sides(ws, routed, "ada")] == [UNIFIED, OWN]
    assert sides(ws, placebo(routed), "ada") == (Side(UNIFIED, "bo", 1.0),)
    assert sides(ws, placebo(routed), "bo")[1] == Side(OWN, "ada", pytest.approx(0.4))
    assert follows_routes(mixed(routed, UNIFIED.as_json(), 0.5))
    assert not follows_routes(mixed(OWN.as_json(), UNIFIED.as_json(), 0.5))


def test_memories_go_into_every_side_and_behind_every_route(ws: Workspace) -> None:
    told = remembering(mixed(UNIFIED.as_json(), OWN.as_json(), 0.6), 3, 0.5)
    assert {(side.recipe.memories, side.recipe.recency) for side in sides(ws, told, "ada")} == {(3, 0.5)}
    routed = remembering({"route": "run-r"}, 2)
    assert {side.recipe.memories for name in ("ada", "bo") for side in sides(ws, routed, name)} == {2}
    assert remembering(UNIFIED.as_json(), 0, 0.5) == UNIFIED.as_json()
    assert remembering({"route": "run-r"}, 0) == {"route": "run-r"}
    with pytest.raises(EngineError, match="oracle"):
        remembering({"oracle": "knows_persona"}, 3)


def test_whom_nobody_trained_routed_or_paired_is_not_covered(ws: Workspace) -> None:
    shelf = Shelf(ws)
    for value in (OWN.as_json(), {"route": "run-r"}, placebo(UNIFIED.as_json())):
        assert covers(ws, shelf, value, "ada")
        assert not covers(ws, shelf, value, "cy")
    assert not covers(ws, shelf, mixed(UNIFIED.as_json(), OWN.as_json(), 0.5), "cy")
    with pytest.raises(NotCovered, match="no route for persona cy"):
        followed(ws, {"route": "run-r"}, "cy")
    with pytest.raises(NotCovered, match="pairs persona cy with nobody"):
        sides(ws, placebo(UNIFIED.as_json()), "cy")


def test_files_that_are_gone_are_named(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="run-0 has left no routes"):
        sides(ws, {"route": "run-0"}, "ada")
    with pytest.raises(EngineError, match="run-0 has left no pairs"):
        sides(ws, {"placebo": {"of": OWN.as_json(), "run": "run-0"}}, "ada")
