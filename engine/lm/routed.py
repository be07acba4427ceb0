"""Which recipe a routed variant means for one persona. Reads the routes of a run; chooses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import EngineError
from engine.paths import Workspace, read_json

ROUTES = "routes.json"


def followed(ws: Workspace, recipe: Mapping[str, Any], persona_id: str) -> Mapping[str, Any]:
    """Return the recipe of the variant that a persona is routed to; any other recipe as it is.

    Raises EngineError when the routes are gone or have no place for this persona.
    """
    if "route" not in recipe:
        return recipe
    run_id = str(recipe["route"])
    path = ws.run_folder(run_id) / ROUTES
    if not path.exists():
        raise EngineError(
            f"{run_id} has left no routes.", f"Repeat the run: python -m engine resume {run_id}"
        )
    routes = read_json(path)
    if persona_id not in routes["routes"]:
        raise EngineError(
            f"{run_id} has no route for persona {persona_id}.",
            "Route again, among variants that are scored for her: python -m engine run routing",
        )
    chosen: Mapping[str, Any] = routes["candidates"][routes["routes"][persona_id]["variant"]]["recipe"]
    return followed(ws, chosen, persona_id)
