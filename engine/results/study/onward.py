"""Ways on, as plans: from a tree that settled nothing, and to a variant's controls. Owns which those are;
launches nothing."""

from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results.study.standing import Stand
from engine.results.variants import Variant
from engine.strategies import registry
from engine.strategies.cloning import settings_of
from engine.strategies.plan import Plan, Seen, plan
from engine.strategies.spec import EvaluationSettings, is_partial
from engine.strategies.sweep import Sweep, plan_sweep, sweep_of


def best_experiment(stood: Stand) -> str | None:
    """Return the experiment of the step that stands best on val; None where none is measured."""
    known = [
        (finding.measured.delta, node.experiment)
        for node in stood.tree.nodes
        if (finding := stood.walk.findings.get(node.id)) is not None
        and node.experiment is not None
        and finding.measured is not None
        and finding.measured.delta is not None
        and finding.measured.variant != finding.measured.reference
    ]
    return max(known)[1] if known else None


def combinations(ws: Workspace, stood: Stand, seen: Seen) -> list[Plan]:
    """Return what puts together that is there and has not been run: routing among all, memories over the
    best."""
    done = {one.experiment for one in seen.records if one.state == "succeeded" and one.spec}
    among = [name for name in registry.having("routable", seen.known) if name in done]
    best = best_experiment(stood)
    asked: list[tuple[str, dict[str, Any]]] = [("routing", {"among": among})] if len(among) > 1 else []
    if best in registry.having("readable", seen.known):
        asked.append(("retrieval", {"over": best}))
    found = []
    for name, given in asked:
        try:
            planned = plan(ws, name, given, seen=seen)
        except EngineError:  # it cannot exist here
            continue
        if planned.target.state is None and planned.obstacle is None:
            found.append(planned)
    return found


def sweep_of_best(ws: Workspace, stood: Stand) -> tuple[Sweep, list[Plan]] | None:
    """Return the sweep of the best step's first parameter over the values that it may be tuned to, with its
    plans; None where there is nothing to sweep, or all of it is there."""
    name = best_experiment(stood)
    entry = registry.experiments(ws).get(name) if name is not None else None
    if entry is None:
        return None
    for parameter, values in entry.space.items():
        each = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in values]
        try:
            sweep = sweep_of(ws, entry.name, parameter, each)
            plans = plan_sweep(ws, sweep)
        except EngineError:  # two values are too few, or it cannot exist here
            continue
        if any(one.target.state is None for one in plans):
            return sweep, plans
    return None


def controls_of(ws: Workspace, variant: Variant, seen: Seen) -> Plan | None:
    """Return the plan of what a personal variant's gain is held against: its placebo, and where it trains the
    step-matched unified; None for what has none."""
    spec = next((one.spec for one in seen.records if one.run_id == variant.run_id), None)
    entry = None if spec is None else seen.known.get(spec.experiment)
    if spec is None or entry is None or not entry.traits.personal or not seen.ground.carries(spec):
        return None
    if is_partial(spec):
        return None
    settings = settings_of(ws, spec)
    try:
        if entry.traits.trains:
            made = plan(
                ws, entry.name, settings, seed=spec.seed, upstream=spec.upstream, seen=seen, controls=True
            )
            return made if made.target.run_id == spec.run_id else None
        shown = max((one.get("memories", 0) for one in variant.recipe.get("effects", ())), default=0)
        asked = {name: settings[name] for name in EvaluationSettings.model_fields if name in settings}
        given = {**asked, "of": entry.name, **({"k": shown} if shown else {})}
        return plan(ws, "placebo", given, seed=spec.seed, upstream={"of": spec.run_id}, seen=seen)
    except EngineError:  # it cannot exist here
        return None
