"""The runs that a plan finds there. Owns which of them is built on, and what is said of the choice."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.core.errors import EngineError, unknown_name
from engine.runs.records import RunRecord
from engine.runs.runfolder import RESUMABLE, RunSpec
from engine.strategies.ground import Ground
from engine.strategies.spec import PARTIAL, Experiment, Upstream, known_settings, validate


class Existing:
    """The runs of a workspace, its ground, and the id of the run chosen as the reference on it."""

    def __init__(self, ground: Ground, records: Sequence[RunRecord], reference: str | None) -> None:
        self._ground, self._reference = ground, reference
        self._runs = [(record.spec, record) for record in records if record.spec is not None]

    def spec_of(self, run_id: str | None) -> RunSpec | None:
        """Return what a run was asked, None where there is no such run."""
        return next((spec for spec, record in self._runs if record.run_id == run_id), None)

    def is_under_way(self, run_id: str) -> bool:
        """Say whether a run is done, waits or works."""
        return any(one.run_id == run_id and one.state not in RESUMABLE for _, one in self._runs)

    def made_before(self, entry: Experiment, spec: RunSpec) -> RunSpec | None:
        """Return the run that asked for this same thing before sets were put in order; None without one."""
        whole = spec.hash
        if self.spec_of(spec.run_id) is not None:
            return None
        alike = (
            known
            for known, _ in reversed(self._runs)
            if known.experiment == spec.experiment
            and (known.seed, known.data_hash, known.upstream) == (spec.seed, spec.data_hash, spec.upstream)
            and _in_one_form(entry, known).hash == whole
        )
        return next(alike, None)

    def newest(
        self, experiment: str, parameters: Mapping[str, Any], *, protocol: Mapping[str, Any] | None = None
    ) -> RunSpec | None:
        """Return the fitting run that was made with the fewest surprises: the reference first, then default
        parameters, then the fewest changed; succeeded before under way, then the newest."""
        fitting = [
            (
                record.run_id == self._reference,
                -len(_unasked(spec, parameters)),
                record.state == "succeeded",
                record.order,
                spec,
            )
            for spec, record in self._runs
            if spec.experiment == experiment
            and record.state in ("succeeded", "queued", "running")
            and not record.blocked
            and not record.elsewhere
            and self._ground.carries(spec)
            and (protocol is None or spec.protocol == protocol)
            and all(spec.parameters.get(name) == value for name, value in parameters.items())
            and all(name in parameters or spec.parameters.get(name) is None for name in PARTIAL)
        ]
        return max(fitting, key=lambda found: found[:4])[4] if fitting else None

    def given(self, need: Upstream, run_id: str) -> RunSpec:
        """Return a run that was named. Raises EngineError where it cannot be built on."""
        fitting = [record.run_id for spec, record in self._runs if spec.experiment == need.experiment]
        spec, record = next((pair for pair in self._runs if pair[1].run_id == run_id), (None, None))
        if spec is None or record is None:
            raise unknown_name("run", run_id, fitting)
        if spec.experiment != need.experiment:
            raise EngineError(
                f"{run_id} is a run of {spec.experiment}; {need.role!r} needs one of {need.experiment}.",
                f"Known: {', '.join(fitting) or 'none yet'}.",
            )
        if not self._ground.carries(spec):
            raise EngineError(f"{run_id} was made on other data, another split or another base model.")
        if record.state in RESUMABLE:
            raise EngineError(
                f"{run_id} is {record.state}.", f"Resume it first: python -m engine resume {run_id}"
            )
        return spec

    def changes(self, need: Upstream, spec: RunSpec) -> list[str]:
        """Return what whoever builds on a run should know: that it is no default one."""
        changed = _unasked(spec, need.parameters)
        if not changed:
            return []
        if spec.run_id == self._reference:
            return [f"{need.role}: it is built on the reference, {spec.run_id}."]
        values = spec.parameters | {"seed": spec.seed}
        named = [f"{name}={values[name]}" if name in values else f"{name} changed" for name in changed]
        return [
            f"{need.role}: there is no run of {need.experiment} with default parameters;"
            f" {spec.run_id} is used ({', '.join(named)})."
        ]

    def over_other_weights(self, need: Upstream, spec: RunSpec) -> list[str]:
        """Return why a run that is there is not built on: its adapters mean nothing over other weights."""
        made = [
            record.run_id
            for known, record in self._runs
            if known.experiment == need.experiment
            and record.state == "succeeded"
            and known.data_hash == spec.data_hash
            and known.base_fingerprint != spec.base_fingerprint
        ]
        return [
            f"{need.role}: {run_id} was made over other weights than today's base model has;"
            f" {spec.run_id} is made anew."
            for run_id in made[-1:]
        ]


def _in_one_form(entry: Experiment, spec: RunSpec) -> RunSpec:
    """A spec as it would be made today; as it is where its parameters are unknown.

    Its sets are in order, and parameters that came later are at their defaults, which change nothing.
    """
    known = known_settings(entry, spec)
    try:
        valid = validate(entry, known)
    except EngineError:
        return spec
    return replace(
        spec,
        parameters={**spec.parameters, **valid.parameters.model_dump(mode="json")},
        protocol={**spec.protocol, **valid.settings.model_dump(mode="json", include=set(known))},
    )


def _unasked(spec: RunSpec, asked: Mapping[str, Any]) -> list[str]:
    """What a run changed from the defaults, beside what was asked for and how it was scored."""
    return [
        name
        for name in spec.changed
        if name not in asked and name.rpartition(".")[2] not in (*asked, *spec.protocol)
    ]
