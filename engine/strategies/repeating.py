"""The same study from other seeds: the reference, what is built on it, and each upstream between them.

Owns which runs are repeated and that seeds are crossed: every run of a seed stands on the runs of that same
seed. Launches nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.core.command import command_line
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.core.wording import count
from engine.runs import runfolder
from engine.runs.records import RunRecord
from engine.runs.runfolder import RunSpec
from engine.strategies import reference
from engine.strategies.plan import Plan, PlannedRun, Seen, look
from engine.strategies.spec import is_partial

SEEDS = 3
MOST_SEEDS = 20


def plan_repeats(
    ws: Workspace, run_ids: Sequence[str] = (), *, seeds: int = SEEDS, seen: Seen | None = None
) -> Plan:
    """Return the runs that are missing until each of `run_ids` is there from so many seeds.

    By default these are the reference and all that is built on it, for all personas; a run that is named
    brings the reference along. Runs keep their parameters, whatever today's defaults are. An estimate is what
    the first of each took. Raises EngineError without a reference, for unknown runs and for those that did
    not succeed.
    """
    if not 2 <= seeds <= MOST_SEEDS:
        raise EngineError(f"{seeds} seeds cannot be made.", f"From 2 to {MOST_SEEDS}, the first one counted.")
    seen = seen or look(ws)
    known = {record.run_id: record for record in seen.records if record.spec is not None}
    first = _reference(ws, seen, known)
    chosen = [_given(run_id, known, seen) for run_id in run_ids] or _built_on(first, known, seen)
    wanted = _with_upstreams([first, *chosen], known)
    planned: list[PlannedRun] = []
    for seed in range(first.seed + 1, first.seed + seeds):
        again: dict[str, str] = {}
        for spec in wanted:
            made = _again(spec, known[spec.run_id], seed, again)
            again[spec.run_id] = made.run_id
            planned.append(seen.planned(made, "asked"))
    names = dict.fromkeys(spec.experiment for spec in wanted)
    told = f"{count(seeds, 'seed')} of {', '.join(names)}, the first of each counted."
    return Plan(reference.EXPERIMENT, tuple(planned), (told,))


def command_of(ws: Workspace, run_ids: Sequence[str] = (), *, seeds: int = SEEDS) -> str:
    """Return the command line that repeats these runs."""
    return command_line("repeat", *run_ids, ws=ws, options={"seeds": None if seeds == SEEDS else seeds})


def _reference(ws: Workspace, seen: Seen, known: Mapping[str, RunRecord]) -> RunSpec:
    """The reference on this ground; it is chosen now where nobody has read results yet."""
    if seen.reference is None:
        done = [record.spec for record in known.values() if record.spec and record.state == "succeeded"]
        built = Counter(run_id for spec in done for run_id in spec.upstream.values())
        made = {spec.run_id: spec for spec in done if spec.experiment == reference.EXPERIMENT}
        reference.settle(ws, made, built)
    found = reference.reference_on(ws, seen.ground)
    record = known.get(found.run_id) if found else None
    if record is None or record.spec is None:
        raise EngineError(
            "There is no reference yet, so nothing to repeat.", "Make it first: python -m engine run unified"
        )
    return record.spec


def _given(run_id: str, known: Mapping[str, RunRecord], seen: Seen) -> RunSpec:
    record = known.get(run_id)
    if record is None or record.spec is None:
        raise unknown_name("run", run_id, known)
    if record.state != "succeeded" or not seen.ground.carries(record.spec):
        raise EngineError(
            f"{run_id} cannot be repeated: it is {record.state}, or was made on another ground.",
            "A run is repeated once it has succeeded on today's data and base.",
        )
    return record.spec


def _built_on(first: RunSpec, known: Mapping[str, RunRecord], seen: Seen) -> list[RunSpec]:
    """What stands on the reference and is of its seed, oldest first."""
    stands = {first.run_id}
    found = []
    for record in sorted(known.values(), key=lambda record: record.order):
        spec = record.spec
        if spec is None or record.state != "succeeded" or not seen.ground.carries(spec):
            continue
        if stands.intersection(spec.upstream.values()):
            stands.add(spec.run_id)
            if spec.seed == first.seed and not is_partial(spec):
                found.append(spec)
    return found


def _with_upstreams(chosen: Sequence[RunSpec], known: Mapping[str, RunRecord]) -> list[RunSpec]:
    """These and all that they are built on, each after its own upstreams."""
    found: dict[str, RunSpec] = {}

    def add(spec: RunSpec) -> None:
        for run_id in spec.upstream.values():
            below = known.get(run_id)
            if below is None or below.spec is None:
                raise EngineError(
                    f"{spec.run_id} is built on {run_id}, which is gone.", "It cannot be made again."
                )
            add(below.spec)
        found.setdefault(spec.run_id, spec)

    for spec in chosen:
        add(spec)
    return list(found.values())


def _again(spec: RunSpec, record: RunRecord, seed: int, again: Mapping[str, str]) -> RunSpec:
    upstream = {role: again[run_id] for role, run_id in spec.upstream.items()}
    changed = dict.fromkeys((*spec.changed, "seed", *(f"{role}.seed" for role in upstream)))
    return replace(
        spec,
        seed=seed,
        upstream=upstream,
        changed=tuple(changed),
        created_at=runfolder.now(),
        estimate_seconds=record.status.seconds or spec.estimate_seconds,
        expected=dict(record.status.stage_seconds) or spec.expected,
    )
