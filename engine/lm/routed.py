"""What a variant means for one persona: routes followed, placebos swapped, mixtures taken apart.

Besides plain recipes (engine/lm/recipes.py) there are {"route": run}, as the run's routes.json says,
{"mixture": {"weight": w, "parts": [A, B]}}, w of A's probabilities and 1 - w of B's, and
{"placebo": {"of": A, "run": run}}, A as it is for another persona, whom the run's placebo.json names. Parts
are recipes of any kind. Chooses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.lm.recipes import NotCovered, Recipe, Shelf, Side, read_recipe

ROUTES, PLACEBO = "routes.json", "placebo.json"
Value = Mapping[str, Any]
"""A recipe as JSON."""


def mixed(first: Value, second: Value, weight: float) -> dict[str, Any]:
    """Return the recipe with `weight` of the first and the rest of the second; the plain one at 1 and 0."""
    if weight == 1 or first == second:
        return dict(first)
    if weight == 0:
        return dict(second)
    return {"mixture": {"weight": weight, "parts": [dict(first), dict(second)]}}


def remembering(value: Value, memories: int, recency: float = 0.0) -> dict[str, Any]:
    """Return the recipe with so many memories in every prompt; without any it is the recipe itself.

    Raises EngineError for recipes that are no answer of a model, such as a ceiling.
    """
    if not memories:
        return dict(value)
    if "route" in value:
        return {**value, "memories": memories, **({"recency": recency} if recency else {})}
    if "mixture" in value:
        first, second = (remembering(part, memories, recency) for part in value["mixture"]["parts"])
        return mixed(first, second, value["mixture"]["weight"])
    return replace(read_recipe(value), memories=memories, recency=recency).as_json()


def follows_routes(value: Value) -> bool:
    """Say whether routes decide anything in this recipe."""
    parts = value["mixture"]["parts"] if "mixture" in value else ()
    return "route" in value or any(follows_routes(part) for part in parts)


def sides(ws: Workspace, value: Value, persona_id: str) -> tuple[Side, ...]:
    """Return the plain recipes that answer for a persona; their weights, all above 0, sum to 1.

    Raises NotCovered when routes or pairs have no place for her, EngineError when they are gone or the recipe
    asks for something unknown.
    """
    found: dict[tuple[Recipe, str], float] = {}
    for side in _sides(ws, value, persona_id, 1.0):
        if side.weight > 0:
            key = side.recipe, side.persona_id
            found[key] = found.get(key, 0.0) + side.weight
    return tuple(Side(recipe, whose, weight) for (recipe, whose), weight in found.items())


def covers(ws: Workspace, shelf: Shelf, value: Value, persona_id: str) -> bool:
    """Say whether the variant exists for this persona: her route, and every adapter it asks for."""
    try:
        return all(shelf.covers(side.recipe, side.persona_id) for side in sides(ws, value, persona_id))
    except NotCovered:
        return False


def followed(ws: Workspace, recipe: Value, persona_id: str) -> Value:
    """Return the recipe of the variant that a persona is routed to; any other recipe as it is.

    Raises EngineError when the routes are gone, NotCovered when they have no place for this persona.
    """
    if "route" not in recipe:
        return recipe
    run_id = str(recipe["route"])
    routes = _read(ws, run_id, ROUTES, "routes")
    if persona_id not in routes["routes"]:
        raise NotCovered(
            f"{run_id} has no route for persona {persona_id}.",
            "Route again, among variants that are scored for her: python -m engine run routing",
        )
    chosen: Value = routes["candidates"][routes["routes"][persona_id]["variant"]]["recipe"]
    chosen = remembering(chosen, int(recipe.get("memories", 0)), float(recipe.get("recency", 0.0)))
    return followed(ws, chosen, persona_id)


def stand_in(ws: Workspace, run_id: str, persona_id: str) -> str:
    """Return the persona whose adapters and memories a placebo gives to this one."""
    donors: Mapping[str, str] = _read(ws, run_id, PLACEBO, "pairs")["donors"]
    if persona_id not in donors:
        raise NotCovered(
            f"{run_id} pairs persona {persona_id} with nobody.",
            "The variant that it is the placebo of is not scored for her.",
        )
    return donors[persona_id]


def _sides(ws: Workspace, value: Value, persona_id: str, weight: float) -> Iterator[Side]:
    if "placebo" in value:
        other = stand_in(ws, str(value["placebo"]["run"]), persona_id)
        yield from _sides(ws, value["placebo"]["of"], other, weight)
    elif "route" in value:
        yield from _sides(ws, followed(ws, value, persona_id), persona_id, weight)
    elif "mixture" in value:
        first, second = value["mixture"]["parts"]
        share = float(value["mixture"]["weight"])
        yield from _sides(ws, first, persona_id, weight * share)
        yield from _sides(ws, second, persona_id, weight * (1 - share))
    else:
        yield Side(read_recipe(value), persona_id, weight)


def _read(ws: Workspace, run_id: str, name: str, what: str) -> Any:
    path = integrity.result(ws, run_id, name)
    if not path.exists():
        raise EngineError(
            f"{run_id} has left no {what}.", f"Repeat the run: python -m engine resume {run_id}"
        )
    return read_json(path)
