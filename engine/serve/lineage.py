"""Where a reply comes from: the routes taken, the recipes that answered, their adapters and the cluster.

Reads what runs have left; decides nothing and answers nothing.
"""

from collections.abc import Sequence
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.lm.effects import Recipe
from engine.lm.recipes import Shelf, Side
from engine.runs.runfolder import read_spec
from engine.strategies.clusterings import FILE, read_clusters

_TOLD = ("variant", "gain_val", "metric", "fallback")


def lineage(ws: Workspace, shelf: Shelf, recipe: Recipe, *, persona_id: str) -> dict[str, Any]:
    """Return where an answer of `recipe` comes from, as a JSON object.

    routes: the choices followed, outermost first, each with the gain on val that made it. sides: what answers
    together, each with its weight (of probabilities) and coefficient (of logits, or of the logarithm of the
    mixture it is in), whose it is, what acts in it (`adapters`: kind, run, name, experiment, weight) and
    whether it shows the profile.
    cluster: the persona's, where a run behind the recipe was made by cluster.
    """
    sides = shelf.sides(recipe, persona_id)
    followed = list(shelf.followed(recipe, persona_id))
    runs = [one.run for one in followed if not one.told]
    runs += [effect.run for side in sides for effect in side.effects]
    routes = [
        {"run": one.run, **{name: one.told.get(name) for name in _TOLD}} for one in followed if one.told
    ]
    return {
        "routes": routes,
        "sides": [_side(ws, shelf, side) for side in sides],
        "cluster": _cluster(ws, runs, persona_id),
    }


def _side(ws: Workspace, shelf: Shelf, side: Side) -> dict[str, Any]:
    adapters = [
        {
            "run": effect.run,
            "name": effect.name,
            "kind": shelf.kind(effect),
            "weight": getattr(effect, "weight", getattr(effect, "scale", 1.0)),
            "experiment": _experiment(ws, effect.run),
        }
        for effect in side.effects
    ]
    told = {
        "weight": side.weight,
        "coefficient": side.coefficient * side.power,
        "persona_id": side.persona_id,
    }
    return {**told, "adapters": adapters, "profile": side.prompt.profile, "memories": side.prompt.memories}


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
