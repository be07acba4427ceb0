"""Where a reply comes from: the routes taken, the recipes that answered, their adapters and the cluster.

Reads what runs have left; decides nothing and answers nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.lm.recipes import Shelf, Side
from engine.lm.routed import ROUTES
from engine.runs.runfolder import read_spec
from engine.strategies.clusterings import FILE, read_clusters


def lineage(
    ws: Workspace, shelf: Shelf, recipe: Mapping[str, Any], sides: Sequence[Side], *, persona_id: str
) -> dict[str, Any]:
    """Return where an answer of `recipe` comes from, as a JSON object.

    routes: those followed, outermost first, each with the gain on val that chose it. sides: the plain recipes
    that answer together, each with its weight, whose it is, its adapters (run, name, experiment, weight) and
    whether it shows the profile. cluster: the persona's, where a run behind the recipe was made by cluster.
    """
    told = [_side(ws, shelf, side) for side in sides]
    runs = [run for side in sides for run, _ in side.recipe.adapters]
    return {
        "routes": list(_routes(ws, recipe, persona_id)),
        "sides": told,
        "cluster": _cluster(ws, runs, persona_id),
    }


def _routes(ws: Workspace, recipe: Mapping[str, Any], persona_id: str) -> Iterator[dict[str, Any]]:
    for part in recipe["mixture"]["parts"] if "mixture" in recipe else ():
        yield from _routes(ws, part, persona_id)
    if "route" not in recipe:
        return
    run_id = str(recipe["route"])
    found = read_json(integrity.result(ws, run_id, ROUTES))
    route = found["routes"][persona_id]
    yield {
        "run": run_id,
        "variant": route["variant"],
        "gain_val": route.get("gain_val"),
        "metric": found.get("metric"),
        "fallback": found.get("fallback"),
    }
    yield from _routes(ws, found["candidates"][route["variant"]]["recipe"], persona_id)


def _side(ws: Workspace, shelf: Shelf, side: Side) -> dict[str, Any]:
    adapters = [
        {"run": run, "name": name, "weight": weight, "experiment": _experiment(ws, run)}
        for run, name, weight in shelf.parts(side.recipe, side.persona_id)
    ]
    recipe = side.recipe
    told = {"weight": side.weight, "persona_id": side.persona_id, "adapters": adapters}
    return {**told, "profile": recipe.profile, "memories": recipe.memories}


def _experiment(ws: Workspace, run_id: str) -> str | None:
    try:
        return read_spec(ws.run_folder(run_id)).experiment
    except EngineError:
        return None  # the adapter answers without its run's folder


def _cluster(ws: Workspace, runs: Sequence[str], persona_id: str) -> dict[str, Any] | None:
    """Return the persona's cluster, by the nearest clustering that one of the runs was made from."""
    for run_id in _with_upstreams(ws, runs):
        if not (ws.run_folder(run_id) / FILE).exists():
            continue
        found = read_clusters(ws, run_id)
        number = found.assignment.get(persona_id)
        if number is not None:
            return {"run": run_id, "number": number, "personas": found.sizes[number], "of": len(found.sizes)}
    return None


def _with_upstreams(ws: Workspace, runs: Sequence[str]) -> list[str]:
    """Return the runs and, level by level, those they were made from."""
    known = list(dict.fromkeys(runs))
    for run_id in known:
        try:
            upstream = read_spec(ws.run_folder(run_id)).upstream.values()
        except EngineError:
            continue
        known += [one for one in dict.fromkeys(upstream) if one not in known]
    return known
