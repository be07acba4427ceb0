"""Which variants can answer for a persona, told from what runs have left, before any model is loaded.

Follows a recipe as engine/lm/recipes.py does, by the files' names alone; what those files are worth is found
out when they are loaded.
"""

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.lm.effects import Logits, Own, Recipe, Stored, Swapped, Value, read_recipe


class _CannotAnswer(Exception):
    """Why a recipe has nobody to answer with."""


def obstacle(ws: Workspace, recipe: Value, persona_id: str) -> str:
    """Return why a recipe cannot answer for this persona here; "" where nothing stands in the way."""
    read = cache(_read)  # several references of one recipe lead to one file
    try:
        _follow(ws, read_recipe(recipe), persona_id, read)
    except (_CannotAnswer, EngineError) as error:
        return str(error)
    return ""


def _follow(ws: Workspace, recipe: Recipe, persona_id: str, read: Any) -> None:
    if recipe.remote is not None:
        raise _CannotAnswer("a model elsewhere, which answers in runs only")
    for effect in recipe.effects:
        if isinstance(effect, Own) and not effect.chosen:
            _place(read(ws.adapters(effect.run) / "personas.json"), persona_id, "trained for")
        elif isinstance(effect, Own):
            routes = read(ws.run_folder(effect.run) / "routes.json")
            route = _place(routes["routes"], persona_id, "routed for")
            _follow(ws, read_recipe(routes["candidates"][route["variant"]]["recipe"]), persona_id, read)
        elif isinstance(effect, Swapped):
            donors = read(ws.run_folder(effect.run) / "placebo.json")["donors"]
            _follow(ws, effect.of, _place(donors, persona_id, "paired for"), read)
        elif isinstance(effect, Logits):
            _follow(ws, effect.first, persona_id, read)
            _follow(ws, effect.second, persona_id, read)
        elif isinstance(effect, Stored) and not ws.adapter(effect.run, effect.name).is_dir():
            raise _CannotAnswer(f"{effect.name} of {effect.run} is gone")


def _place(held: Any, persona_id: str, done: str) -> Any:
    if persona_id not in held:
        raise _CannotAnswer(f"not {done} {persona_id}")
    return held[persona_id]


def _read(path: Path) -> Any:
    with suppress(FileNotFoundError):
        return read_json(path)
    raise _CannotAnswer(f"{path.name} of {path.parent.name} is gone")
