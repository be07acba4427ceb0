"""What a spec on disk may start: the step that the registry names for its experiment, and nothing else.

A spec is a file, so it may have been written by anybody. Owns its checking against the registry: name,
version, parameters, evaluation settings, upstreams. What runs is decided here, never by a file.
"""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace, first_link
from engine.runs import worker
from engine.runs.records import scan
from engine.runs.registry import Divisible, Registry, Step
from engine.runs.runfolder import RunSpec
from engine.strategies import costs, registry
from engine.strategies.ground import read_ground
from engine.strategies.spec import EvaluationSettings, Experiment, validate


def runnable(ws: Workspace, run_id: str, spec: RunSpec) -> Experiment:
    """Return the experiment that a run's spec asks for. Raises EngineError unless all of it is sound."""
    if link := first_link(ws.run_folder(run_id), ws.adapters(run_id), deep=True):
        raise _refused(run_id, f"{link.name} is a link, which no run makes")
    if spec.run_id != run_id:
        raise _refused(run_id, f"its spec is that of {spec.run_id}")
    entry = registry.experiments(ws).get(spec.experiment)
    if entry is None:
        raise _refused(run_id, f"there is no experiment {spec.experiment!r} here")
    if spec.version != entry.version:
        reason = f"it was made for version {spec.version} of {entry.name}, and here is {entry.version}"
        raise _refused(run_id, reason)
    try:
        _check_parameters(entry, spec)
        roles = _check_upstreams(entry, spec)
    except EngineError as error:
        raise _refused(run_id, error.message) from error
    if set(spec.upstream) != roles:
        raise _refused(run_id, f"it needs {_listed(roles)} and names {_listed(spec.upstream)}")
    return entry


class _Registered:
    """The registry as runs ask for it (engine/runs/registry.py)."""

    def step(self, ws: Workspace, spec: RunSpec) -> Step:
        """Return the step of a run's experiment, the code loaded that it imports when it is called."""
        with _collecting_no_garbage():
            return registry.loaded(runnable(ws, spec.run_id, spec))

    def divisible(self, ws: Workspace, spec: RunSpec) -> frozenset[Divisible]:
        """Return what the strategy says of itself; everything else is done whole."""
        return frozenset(runnable(ws, spec.run_id, spec).traits.divides)

    def learn(self, ws: Workspace, run_id: str) -> None:
        """Keep a run's costs for the estimates of the next ones."""
        costs.keep(run_id, scan(ws), read_ground(ws))


REGISTERED: Registry = _Registered()
execute = partial(worker.execute, registry=REGISTERED)
"""Do a run in this process, as its worker would; see there."""


@contextmanager
def _collecting_no_garbage() -> Iterator[None]:
    """Leave what is loaded inside alone: looking through it for garbage takes a fifth of the loading."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _check_parameters(entry: Experiment, spec: RunSpec) -> None:
    given = _own(entry, spec)
    known = EvaluationSettings.model_fields
    settings = {name: value for name, value in spec.protocol.items() if name in known}
    valid = validate(entry, {**given, **settings})
    normal = valid.parameters.model_dump(mode="json")
    odd = [name for name, value in given.items() if normal[name] != value or _kinds(normal[name], value)]
    odd += [name for name, value in entry.fixed.items() if spec.parameters.get(name) != value]
    if odd:
        raise EngineError(f"{entry.name} cannot have these values: {', '.join(odd)}")
    if not isinstance(spec.seed, int) or not isinstance(spec.stages, dict):
        raise EngineError("its seed or its stages are of another form")


def _check_upstreams(entry: Experiment, spec: RunSpec) -> set[str]:
    """Return the roles that the spec's parameters ask for."""
    parameters = validate(entry, _own(entry, spec)).parameters
    return {need.role for need in entry.needs(parameters)}


def _own(entry: Experiment, spec: RunSpec) -> Mapping[str, Any]:
    return {name: value for name, value in spec.parameters.items() if name not in entry.fixed}


def _kinds(normal: Any, value: Any) -> bool:
    """Whether two equal values are of different kinds: True is no 1."""
    return isinstance(normal, bool) != isinstance(value, bool)


def _listed(names: Any) -> str:
    return ", ".join(sorted(map(str, names))) or "nothing"


def _refused(run_id: str, reason: str) -> EngineError:
    return EngineError(
        f"{run_id} cannot run here: {reason}.",
        "It was changed, or comes from elsewhere. Launch the experiment again: python -m engine experiments",
    )
