"""A run asked for again: as the command line that says so, or as a plan with some things changed.

Launches nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from engine.core.command import command_line
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.runs.records import find, scan
from engine.runs.runfolder import RESUMABLE, RunSpec
from engine.strategies import registry
from engine.strategies.plan import Plan, Seen, look, plan
from engine.strategies.spec import Experiment, known_settings, validate


def settings_of(ws: Workspace, spec: RunSpec) -> dict[str, Any]:
    """Return the parameters and evaluation settings of a run, as a user would give them.

    Those that its experiment does not know any more are left out, and so is what it left to the ground.
    """
    entry = registry.get(spec.experiment, ws)
    left = set(entry.settles).difference(spec.changed)
    return {name: value for name, value in known_settings(entry, spec).items() if name not in left}


def command_of(
    spec: RunSpec,
    ws: Workspace,
    *,
    seed: int | None = None,
    upstream: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    where: Workspace | None = None,
) -> str:
    """Return the command line that asks for the same settings, those in `without` at their defaults.

    By default for the same seed too, for the very runs that it builds on, and in the same workspace, whose
    own experiments are known; `where` names another.
    """
    if spec.experiment in registry.experiments(ws):
        valid = validate(registry.get(spec.experiment, ws), settings_of(ws, spec))
        told = {**valid.parameters.model_dump(mode="json"), **valid.settings.model_dump(mode="json")}
        changed = valid.changed
    else:  # an older one, or a user's own that is not approved here
        told, changed = {**spec.parameters, **spec.protocol}, spec.changed
    settings = {name: told[name] for name in changed if name in told and name not in without}
    if seed is None and "seed" in spec.changed:
        seed = spec.seed
    options = {"seed": seed, "upstream": dict(spec.upstream if upstream is None else upstream)}
    return command_line("run", spec.experiment, ws=where or ws, settings=settings, options=options)


def clone(
    ws: Workspace, run_id: str, changes: Mapping[str, Any] | None = None, *, seed: int | None = None
) -> Plan:
    """Return the plan of a run with the parameters, seed and upstreams of another one, save for `changes`.

    An upstream is kept where the changed run still needs one of its experiment. Raises EngineError for
    unknown runs, for parameter faults, and when nothing was changed on the same ground: that run exists.
    """
    spec = find(ws, run_id).spec
    if spec is None:
        raise EngineError(f"The spec of {run_id} cannot be read.", "See: python -m engine doctor")
    settings = {**settings_of(ws, spec), **(changes or {})}
    seen = look(ws)
    upstream = _kept_upstreams(seen, spec, registry.get(spec.experiment, ws), settings)
    made = plan(
        ws, spec.experiment, settings, seed=spec.seed if seed is None else seed, upstream=upstream, seen=seen
    )
    if made.target.run_id == run_id:
        raise EngineError(
            f"That is {run_id} itself: nothing was changed.",
            "Change something, such as --set rank=16 or --seed 1.",
        )
    return naming_parent(ws, made, run_id)


def naming_parent(ws: Workspace, made: Plan, parent: str) -> Plan:
    """Return the plan whose run says that it was cloned from `parent`; as it is where that cannot be."""
    target = made.target
    known = {record.run_id: record.experiment for record in scan(ws)}
    if target.run_id == parent or known.get(parent) != made.experiment:
        return made
    cloned = replace(target, spec=replace(target.spec, cloned_from=parent))
    return replace(made, runs=tuple(cloned if run is target else run for run in made.runs))


def _kept_upstreams(
    seen: Seen, spec: RunSpec, entry: Experiment, settings: Mapping[str, Any]
) -> dict[str, str]:
    needs = {need.role: need.experiment for need in entry.needs(validate(entry, settings).parameters)}
    records = {record.run_id: record for record in seen.records}
    kept = {}
    for role, name in spec.upstream.items():
        record = records.get(name)
        if record is None or record.spec is None or record.state in RESUMABLE:
            continue
        if needs.get(role) == record.spec.experiment and seen.ground.carries(record.spec):
            kept[role] = name
    return kept
