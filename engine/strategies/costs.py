"""What runs cost on this machine: seconds a unit of work, learned from runs that have ended, and estimates.

Owns the file of costs that all workspaces of a user share, so that a first run somewhere has an estimate too.
Reads run records; launches and measures nothing itself.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError
from engine.core.locks import locked
from engine.core.paths import read_if_whole, user_folder, write_json
from engine.core.wording import about
from engine.runs.records import RunRecord
from engine.runs.runfolder import RunSpec
from engine.strategies.ground import Ground
from engine.strategies.workload import NONE, workload

_KEPT = 9
_UNITS = 3
"""Raised where what a unit is changes, so that costs of the old ones are forgotten."""
_LARGE_SHARE = 0.3
"""An estimate leaves out stages that nothing is known of, up to this share of the work."""
_ANY = ""
_LIKE: Mapping[str, str] = {"sweep": "generate", "replies": "generate", "states": "generate", "fit": "train"}
"""Stages whose unit is that of another: until one is timed, it is taken to cost as much."""
NO_ESTIMATE = "no estimate before a first run"
Costs = Mapping[tuple[str, str], Sequence[float]]
"""(experiment or "" for any, stage) -> seconds a unit, newest last."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long runs should take, and one run's stages. `is_guess` says that a cost was taken from other
    experiments."""

    seconds: float
    is_guess: bool
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return about(self.seconds, rough=self.is_guess)


@dataclass(frozen=True, slots=True)
class Checked:
    """A run's estimate, made before it, beside the time it took."""

    run_id: str
    estimate_seconds: float
    seconds: float

    @property
    def error(self) -> float:
        """How far off the estimate was, as a share of the time it took."""
        return abs(self.estimate_seconds - self.seconds) / self.seconds


def learned(
    records: Iterable[RunRecord], ground: Ground, *, only: str | None = None
) -> dict[tuple[str, str], list[float]]:
    """Return the costs that the succeeded runs on the same base, or `only` one, have shown here, newest last.

    Of a run that was done elsewhere nothing can be learned about this machine.
    """
    found: dict[tuple[str, str], list[float]] = {}
    records = list(records)
    specs = {record.run_id: record.spec for record in records}
    for record in sorted(records, key=lambda one: one.status.ended_at or ""):
        if only not in (None, record.run_id):
            continue
        if record.spec is None or record.state != "succeeded" or record.spec.base != ground.base:
            continue
        if record.status.launcher != "local":
            continue
        upstream = {role: specs.get(run_id) for role, run_id in record.spec.upstream.items()}
        units = workload(record.spec, ground, {role: one for role, one in upstream.items() if one})
        for stage, seconds in record.status.stage_seconds.items():
            if stage in units:
                for experiment in (record.spec.experiment, _ANY):
                    found.setdefault((experiment, stage), []).append(seconds / units[stage])
    return found


def estimate(
    spec: RunSpec, ground: Ground, costs: Costs, elsewhere: Costs, upstream: Mapping[str, RunSpec] = NONE
) -> Estimate | None:
    """Return how long a run should take by the median of past costs; None where a large stage has none.

    `upstream` holds the specs of the runs it builds on, by role. Costs of the same experiment here come
    first, then of any experiment here, which ran under the same circumstances on the same data; then those of
    other workspaces.
    """
    is_guess, unknown, stages = False, 0.0, dict[str, float]()
    for stage, units in workload(spec, ground, upstream).items():
        keys = [
            (known, (name, kind))
            for kind in (stage, _LIKE.get(stage, stage))
            for known in (costs, elsewhere)
            for name in (spec.experiment, _ANY)
        ]
        found = next(((key, known[key]) for known, key in keys if known.get(key)), None)
        if found is None:
            unknown += spec.stages.get(stage, 0.0)
            continue
        key, seconds = found
        stages[stage] = units * statistics.median(seconds[-_KEPT:])
        is_guess = is_guess or key != (spec.experiment, stage)
    total = sum(stages.values())
    if not total or unknown > _LARGE_SHARE * sum(spec.stages.values()):
        return None
    return Estimate(total, is_guess or unknown > 0, stages)


def left(
    spec: RunSpec, record: RunRecord | None, records: Sequence[RunRecord], families: Mapping[str, str]
) -> Estimate | None:
    """Return how long a run that has not succeeded still takes; None where nothing was ever timed.

    `record` is its own, where it exists, and `families` names the family of each experiment. One under way
    says so itself; one that nothing is known of takes as long as those of its family, else as any.
    """
    if record is not None and record.state == "running" and record.status.eta_seconds is not None:
        return Estimate(record.status.eta_seconds, record.status.eta_is_rough)
    if spec.estimate_seconds is not None:
        first = not any(one.experiment == spec.experiment for one in records)
        return Estimate(spec.estimate_seconds, first, spec.expected)
    done = [one for one in records if one.state == "succeeded" and one.status.seconds > 0]
    kin = [one for one in done if families.get(one.experiment) == families.get(spec.experiment)]
    times = [one.status.seconds for one in kin or done]
    return Estimate(statistics.median(times), is_guess=True) if times else None


def together(estimates: Iterable[Estimate | None]) -> Estimate | None:
    """Return the time of several runs, one after the other; None where one has none."""
    found = list(estimates)
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    return Estimate(sum(one.seconds for one in known), any(one.is_guess for one in known))


def words(estimate: Estimate | None) -> str:
    """Word it: "about 2 min", "roughly 2 min" for a guess, "no estimate before a first run"."""
    return NO_ESTIMATE if estimate is None else estimate.words


def check(records: Iterable[RunRecord]) -> list[Checked]:
    """Return every succeeded run that had an estimate, in the order of their ending."""
    ended = sorted(records, key=lambda one: one.status.ended_at or "")
    return [
        Checked(one.run_id, one.spec.estimate_seconds, one.status.seconds)
        for one in ended
        if one.spec is not None
        and one.status.launcher == "local"
        and one.spec.estimate_seconds
        and one.state == "succeeded"
        and one.status.seconds > 0
    ]


def of_this_machine(ground: Ground) -> dict[tuple[str, str], list[float]]:
    """Return what runs on the same base have cost in any workspace of this user, if kept."""
    kept = read_if_whole(_path(ground), dict[str, list[float]]) or {}
    return {_key(name): seconds for name, seconds in kept.items()}


def keep(run_id: str, records: Iterable[RunRecord], ground: Ground) -> None:
    """Add what one of the runs has cost to this user's file; a home that cannot be written keeps nothing."""
    path = _path(ground)
    with suppress(OSError, EngineError), _open(path):
        known = of_this_machine(ground)
        for key, values in learned(records, ground, only=run_id).items():
            known[key] = [*known.get(key, []), *values][-_KEPT:]
        write_json(path, {f"{experiment}/{stage}": values for (experiment, stage), values in known.items()})


def _open(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    return locked(path.with_suffix(".lock"), what="The file of costs")


def _path(ground: Ground) -> Path:
    base = ground.base_fingerprint or ground.base.replace("/", "_")
    return user_folder("cache") / f"costs-{_UNITS}-{base}.json"


def _key(name: str) -> tuple[str, str]:
    experiment, _, stage = name.rpartition("/")
    return experiment, stage
