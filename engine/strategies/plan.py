"""From an experiment's name to the runs it asks for. Owns the order of a plan and what a spec freezes.

Launches nothing. What cannot exist in a workspace is refused here, before anything is launched. Which of the
runs that there are is built on: engine/strategies/existing.py.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from types import MappingProxyType
from typing import Any, Literal

from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.data.splits import UNSEEN
from engine.domains import metrics
from engine.runs import runfolder
from engine.runs.records import RunRecord, scan
from engine.runs.room import Room, beside
from engine.runs.runfolder import RunSpec, State
from engine.strategies import costs, matched, reference, registry
from engine.strategies.budgets import MATCHED_TO
from engine.strategies.costs import Costs, Estimate
from engine.strategies.existing import Existing
from engine.strategies.foreseen import refuse_hopeless
from engine.strategies.ground import Ground, read_ground
from engine.strategies.room import room
from engine.strategies.spec import (
    EvaluationSettings,
    Experiment,
    Outlook,
    Upstream,
    Valid,
    Wish,
    is_partial,
    known_settings,
    validate,
)

Purpose = Literal["upstream", "beside", "asked", "control"]

_INHERITED = ("target_modules",)
"""What a run's new upstreams, and new runs beside it, are made with too: they stand on the same layers."""
_RECORDED_VERSIONS = ("torch", "transformers", "peft", "numpy")


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of a plan: why it is there, the state of the run when it exists already, and the time that it
    still takes, where anything is known of that."""

    spec: RunSpec
    purpose: Purpose
    state: State | None
    left: Estimate | None = None
    room: Room = Room()
    """The memory and disk that it takes at least, where it is still to be begun."""

    @property
    def run_id(self) -> str:
        return self.spec.run_id


@dataclass(frozen=True, slots=True)
class Plan:
    """What a launch will do, in order: missing upstreams, runs to compare with, then what was asked for and,
    where they are wanted, its controls."""

    experiment: str
    runs: tuple[PlannedRun, ...]
    notes: tuple[str, ...] = ()
    """What whoever launches should know: upstreams that were not made with default parameters, costs."""
    obstacle: EngineError | None = None
    """What stands in the way of a launch, such as a key that is missing."""

    @property
    def specs(self) -> tuple[RunSpec, ...]:
        return tuple(run.spec for run in self.runs)

    @property
    def target(self) -> PlannedRun:
        """The run that was asked for."""
        return next(run for run in self.runs if run.purpose == "asked")

    @property
    def left(self) -> Estimate | None:
        """Time of the runs still to be done; None when any of them has no estimate."""
        return costs.together(run.left for run in self.runs if run.state != "succeeded")

    @property
    def room(self) -> Room:
        """The memory and disk that the runs still to be begun take at least."""
        return beside(run.room for run in self.runs)

    @property
    def estimate_seconds(self) -> float | None:
        """The same in seconds."""
        return None if self.left is None else self.left.seconds


@dataclass(frozen=True, slots=True)
class Seen:
    """A workspace as it was looked at once: its ground, its runs, and what runs cost, here and elsewhere.

    `known` holds the experiments that can be run there, `reference` is the run chosen as such on the ground.
    """

    ground: Ground
    records: Sequence[RunRecord]
    costs: Costs = field(default_factory=dict)
    elsewhere: Costs = field(default_factory=dict)
    known: Mapping[str, Experiment] = field(default_factory=lambda: registry.EXPERIMENTS)
    reference: str | None = None

    def planned(self, spec: RunSpec, purpose: Purpose) -> PlannedRun:
        """Return a run as part of a plan, beside what is there of it."""
        run_id = spec.run_id  # reckoned anew each time it is asked for
        record = next((one for one in self.records if one.run_id == run_id and one.spec), None)
        families = {name: entry.family for name, entry in self.known.items()}
        left = costs.left(spec, record, self.records, families)
        state = record.state if record else None
        is_begun = state in ("succeeded", "queued", "running")
        return PlannedRun(spec, purpose, state, left, Room() if is_begun else room([spec], self.ground))


def look(ws: Workspace) -> Seen:
    """Read the ground and the runs. Raises EngineError without data or without the base model."""
    metrics.of_study(ws)  # a user's own can be chosen by
    ground, records = read_ground(ws), scan(ws)
    learned, elsewhere = costs.learned(records, ground), costs.of_this_machine(ground)
    found = reference.reference_on(ws, ground)
    chosen = found.run_id if found else None
    return Seen(ground, records, learned, elsewhere, registry.experiments(ws), chosen)


def plan(
    ws: Workspace,
    experiment: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int | None = None,
    upstream: Mapping[str, str] | None = None,
    needing: Mapping[str, Mapping[str, Any]] | None = None,
    seen: Seen | None = None,
    controls: bool = False,
) -> Plan:
    """Return the runs that `experiment` asks for, in the order of their execution.

    With `controls`, what trains adapters for some personas only gets its step-matched unified and its placebo
    beside it, save in a pilot.

    `parameters` holds the experiment's own and the evaluation settings (splits, examples_per_persona,
    max_new_tokens). `seed` is by default the workspace's. `upstream` maps a role to a run id; a role
    not given takes the reference where that is asked for, else a run of its experiment with default
    parameters, else, with a note, the newest with others that leaves nobody out (succeeded before under way),
    else a new default one. `needing` maps a role to parameters that its run has to have been made with.
    `seen` saves reading the workspace again, for many plans at once. Raises EngineError for unknown names,
    for all parameter faults at once, and where the experiment cannot exist here.
    """
    entry = registry.get(experiment, ws)
    seen = seen or look(ws)
    valid = validate(entry, parameters or {})
    asked = {name: value for name, value in (parameters or {}).items() if name in _INHERITED}
    planner = _Planner(ws, seen, valid.settings, asked)
    spec = planner.spec(
        entry,
        valid,
        given=upstream or {},
        needing=needing or {},
        seed=planner.ground.seed if seed is None else seed,
    )
    for name in entry.beside:
        planner.add_beside(planner.entry(name), spec.protocol)
    planner.add(spec, "asked")
    outlook = _outlook(ws, entry, planner.runs[-1])
    if controls:
        planner.add_controls(entry, spec)
    return Plan(entry.name, tuple(planner.runs), (*planner.notes, *outlook.notes), outlook.obstacle)


def as_one(plans: Sequence[Plan]) -> Plan:
    """Return several plans as one, each run once: they are launched together, or not at all."""
    runs = {run.run_id: run for one in plans for run in one.runs}
    notes = dict.fromkeys(line for one in plans for line in one.notes)
    obstacle = next((one.obstacle for one in plans if one.obstacle is not None), None)
    return Plan(plans[0].experiment, tuple(runs.values()), tuple(notes), obstacle)


def _outlook(ws: Workspace, entry: Experiment, target: PlannedRun) -> Outlook:
    """Return what an experiment has to say before a launch; nothing where it is launched already."""
    if entry.outlook is None or target.state in ("succeeded", "queued", "running"):
        return Outlook()
    return entry.outlook(ws, target.spec)


def inapplicable(ws: Workspace, experiment: str) -> str | None:
    """Return why an experiment cannot exist in this workspace (beside a greyed-out choice), else None."""
    entry = registry.get(experiment, ws)
    try:
        ground = read_ground(ws)
        ground.needs_dialogues()
        entry.applies(entry.parameters(), ground)
    except EngineError as error:
        return error.message
    return None


class _Planner:
    """One planning: the workspace's ground and runs, read once, and the runs planned so far."""

    def __init__(
        self, ws: Workspace, seen: Seen, settings: EvaluationSettings, asked: Mapping[str, Any]
    ) -> None:
        """`asked` are the parameters that runs planned on the way inherit."""
        self.ws = ws
        self.seen, self.ground = seen, seen.ground
        self.settings = settings
        self.asked = asked
        self.existing = Existing(seen.ground, seen.records, seen.reference)
        self.runs: list[PlannedRun] = []
        self.notes: list[str] = []

    def entry(self, name: str) -> Experiment:
        """Return an experiment that another builds on. Raises EngineError with the nearest known name."""
        if name not in self.seen.known:
            raise unknown_name("experiment", name, self.seen.known)
        return self.seen.known[name]

    def spec(
        self,
        entry: Experiment,
        valid: Valid,
        *,
        given: Mapping[str, str],
        seed: int,
        needing: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> RunSpec:
        """Freeze one run; plans the upstreams it lacks."""
        self.ground.needs_dialogues()
        entry.applies(valid.parameters, self.ground)
        valid = _settled(entry, valid, self.ground)
        needs = [
            replace(need, parameters={**need.parameters, **needing.get(need.role, {})})
            for need in entry.needs(valid.parameters)
        ]
        for role in given:
            if role not in {need.role for need in needs}:
                raise unknown_name("upstream role", role, [need.role for need in needs])
        chosen = {need.role: self._upstream(need, given.get(need.role)) for need in needs}
        inherited = [
            f"{need.role}.{name}"
            for need in needs
            for name in chosen[need.role].changed
            if name not in need.parameters
        ]
        other_seed = ["seed"] if seed != self.ground.seed else []
        spec = RunSpec(
            experiment=entry.name,
            version=entry.version,
            parameters={**entry.fixed, **valid.parameters.model_dump(mode="json")},
            seed=seed,
            data_hash=self.ground.data_hash,
            base=self.ground.base,
            upstream={role: spec.run_id for role, spec in chosen.items()},
            protocol=self._protocol(),
            base_fingerprint=self.ground.base_fingerprint,
            stages=dict(entry.stages),
            changed=(*valid.changed, *other_seed, *inherited),
            created_at=runfolder.now(),
            versions=dict(_versions()),
        )
        before = self.existing.made_before(entry, spec)
        if before is not None:
            return before
        if not self.existing.is_under_way(spec.run_id):
            refuse_hopeless(entry, Wish(self.ws, spec, self.ground, chosen))
        expected = costs.estimate(spec, self.ground, self.seen.costs, self.seen.elsewhere, chosen)
        if expected is None:
            return spec
        return replace(spec, estimate_seconds=expected.seconds, expected=dict(expected.stages))

    def add(self, spec: RunSpec, purpose: Purpose) -> None:
        """Put a run at the end of the plan, once."""
        if spec.run_id not in {run.run_id for run in self.runs}:
            self.runs.append(self.seen.planned(spec, purpose))

    def add_beside(self, entry: Experiment, protocol: Mapping[str, Any]) -> None:
        """Plan a run to compare with, unless one is planned or there under the same protocol."""
        planned = any(run.spec.experiment == entry.name for run in self.runs)
        if not planned and self.existing.newest(entry.name, {}, protocol=protocol) is None:
            self.add(self._like_reference(entry) or self._default_spec(entry, {}), "beside")

    def _like_reference(self, entry: Experiment) -> RunSpec | None:
        """The reference again, to be scored as this plan is; None where it is of another experiment."""
        chosen = self._spec_of(self.seen.reference)
        if chosen is None or chosen.experiment != entry.name:
            return None
        valid = validate(entry, {**known_settings(entry, chosen), **self.settings.model_dump()})
        return self.spec(entry, valid, given=chosen.upstream, seed=chosen.seed)

    def add_controls(self, entry: Experiment, target: RunSpec) -> None:
        """Plan the step-matched unified and the placebo of a run that trains adapters."""
        if not entry.traits.trains or is_partial(target):
            return
        like = self._spec_of(target.upstream.get(reference.EXPERIMENT) or self.seen.reference)
        settings = matched.parameters_like(like.parameters if like else self.asked, entry.name)
        for name, given, role in (("matched", settings, MATCHED_TO), ("placebo", {"of": entry.name}, "of")):
            control = self.entry(name)
            try:
                valid = validate(control, {**given, **self.settings.model_dump()})
                made = self.spec(control, valid, given={role: target.run_id}, seed=target.seed)
            except EngineError as error:
                self.notes.append(f"Without its {name}: {error.message}")
                continue
            self.add(made, "control")

    def _spec_of(self, run_id: str | None) -> RunSpec | None:
        planned = next((run.spec for run in self.runs if run.run_id == run_id), None)
        return planned or self.existing.spec_of(run_id)

    def _protocol(self) -> dict[str, Any]:
        ground = self.ground
        data = {"data_hash": ground.data_hash, "split": ground.scheme, "split_hash": ground.split_hash}
        if ground.domain.identity:
            data["domain"] = ground.domain.identity
        settings = self.settings.model_dump(mode="json")
        scored = [split for split in settings["splits"] if split != UNSEEN]
        if ground.unseen and "test" in scored:
            scored.append(UNSEEN)
        return {**data, **settings, "splits": scored, "decoding": "greedy"}

    def _upstream(self, need: Upstream, run_id: str | None) -> RunSpec:
        if run_id is not None:
            planned = {run.run_id: run.spec for run in self.runs if run.spec.experiment == need.experiment}
            return planned.get(run_id) or self.existing.given(need, run_id)
        protocol = self._protocol() if need.same_protocol else None
        found = self.existing.newest(need.experiment, need.parameters, protocol=protocol)
        if found is not None:
            self.notes += self.existing.changes(need, found)
            return found
        spec = self._default_spec(self.entry(need.experiment), need.parameters, apart=need.apart)
        self.notes += self.existing.over_other_weights(need, spec)
        self.add(spec, "upstream")
        return spec

    def _default_spec(
        self, entry: Experiment, parameters: Mapping[str, Any], *, apart: bool = False
    ) -> RunSpec:
        inherited = {} if apart else self.asked
        asked = {name: value for name, value in inherited.items() if name in entry.parameters.model_fields}
        valid = validate(entry, {**asked, **parameters, **self.settings.model_dump()})
        return self.spec(entry, valid, given={}, seed=self.ground.seed)


def _settled(entry: Experiment, valid: Valid, ground: Ground) -> Valid:
    """Return the parameters settled; one that comes to what its default comes to was not changed."""
    settled = entry.settle(valid.parameters, ground)

    def is_usual(name: str) -> bool:
        field = type(settled).model_fields.get(name)
        if field is None:
            return False
        default = valid.parameters.model_copy(update={name: field.get_default(call_default_factory=True)})
        try:
            return bool(getattr(entry.settle(default, ground), name) == getattr(settled, name))
        except EngineError:  # the default means nothing on this ground
            return False

    return replace(
        valid, parameters=settled, changed=tuple(name for name in valid.changed if not is_usual(name))
    )


@functools.cache
def _versions() -> Mapping[str, str]:
    found = {}
    for name in _RECORDED_VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
