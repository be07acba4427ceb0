"""The reference: the one run of unified that all variants on its ground are compared with and built on.

Owns data/references.json. A reference is chosen once, the first time that results are read: the run made with
default parameters, else the one that most is built on, else the first. It stays until somebody changes it on
purpose: no newer run, and no repeat from another seed, takes its place. Judges nothing.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from engine.core.errors import EngineError
from engine.core.locks import locked
from engine.core.machine import changes, read_only
from engine.core.paths import Workspace, read_record, write_json
from engine.runs.records import RunRecord, find
from engine.runs.runfolder import RunSpec, fingerprint, now
from engine.strategies.ground import Ground
from engine.strategies.spec import is_partial

EXPERIMENT = "unified"
FILE = "references.json"


@dataclass(frozen=True, slots=True)
class Reference:
    """A chosen run. `by` says whether it was the first to be there or somebody's choice; then `instead_of`
    names the run that was it before. `at` is for people."""

    run_id: str
    at: str
    by: Literal["first", "choice"] = "first"
    instead_of: str | None = None


def references(ws: Workspace) -> dict[str, Reference]:
    """Return the chosen references, by their ground. Raises EngineError where the file is torn."""
    try:
        return read_record(_path(ws), dict[str, Reference])
    except FileNotFoundError:
        return {}


def reference_on(ws: Workspace, ground: Ground) -> Reference | None:
    """Return the reference on the workspace's present ground; None before one is chosen."""
    parts = (ground.base_fingerprint, ground.data_hash, ground.split_hash, ground.domain.identity)
    return references(ws).get(_key(*parts))


def settle(ws: Workspace, runs: Mapping[str, RunSpec], built_on: Counter[str]) -> dict[str, Reference]:
    """Choose a reference for every ground that has none; return all of them.

    `runs` are the finished runs of unified, `built_on` how many runs stand on each. Side effect: writes what
    was chosen, save in a read-only workspace.
    """
    kept = {ground: one for ground, one in references(ws).items() if one.run_id in runs}
    grounds: dict[str, list[RunSpec]] = {}
    for spec in runs.values():
        if is_candidate(spec):
            grounds.setdefault(ground_of(spec), []).append(spec)
    fresh = {ground: specs for ground, specs in grounds.items() if ground not in kept}
    if not fresh:
        return kept
    for ground, specs in fresh.items():
        first = min(specs, key=lambda spec: (not spec.has_defaults, -built_on[spec.run_id], spec.created_at))
        kept[ground] = Reference(first.run_id, now())
    if not read_only(ws):
        _write(ws, kept)
    return kept


@changes("change the reference")
def choose(ws: Workspace, run_id: str) -> Reference:
    """Make a finished run of unified the reference on its ground, and return it.

    Raises EngineError for any other run.
    """
    record = find(ws, run_id)
    spec = _chosen(record)
    with locked(_path(ws).with_name(".references.lock"), what="The record of the references"):
        known, ground = references(ws), ground_of(spec)
        before = known.get(ground)
        if before is not None and before.run_id == run_id:
            return before
        made = Reference(run_id, now(), "choice", before.run_id if before else None)
        _write(ws, {**known, ground: made})
    return made


def is_candidate(spec: RunSpec) -> bool:
    """Say whether a run may be the reference: it is unified's, for all personas, on their own dialogues."""
    whole = not is_partial(spec) and not spec.parameters.get("use_augmented")
    return spec.experiment == EXPERIMENT and whole


def ground_of(spec: RunSpec) -> str:
    """Return what tells a run's ground from others: base, data, split and domain."""
    told = spec.protocol
    base = spec.base_fingerprint or spec.base
    return _key(base, spec.data_hash, told.get("split_hash"), told.get("domain", ""))


def _chosen(record: RunRecord) -> RunSpec:
    if record.spec is None or record.state != "succeeded" or not is_candidate(record.spec):
        raise EngineError(
            f"{record.run_id} cannot be the reference.",
            "It must be a finished run of unified for all personas: python -m engine status",
        )
    return record.spec


def _key(*parts: Any) -> str:
    return fingerprint(list(parts), 16)


def _write(ws: Workspace, known: Mapping[str, Reference]) -> None:
    write_json(_path(ws), {ground: asdict(one) for ground, one in sorted(known.items())})


def _path(ws: Workspace) -> Path:
    return ws.data / FILE
