"""A finished run folder, read and checked. Owns what a folder must hold to be taken in; knows no database."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.lm.effects import identity
from engine.results.variants import Declared
from engine.runs import answers, manifest
from engine.runs.protocol import in_todays_form
from engine.runs.runfolder import RunSpec, fingerprint, read_spec, read_status


class TornRun(EngineError):
    """A folder that says it is finished and does not match what it says."""


@dataclass(frozen=True, slots=True)
class Finished:
    """All that the store takes in of one run: `answers` and `scores` as engine/runs/answers.py has them, the
    answers with a column variant_id besides."""

    spec: RunSpec
    finished_at: str
    seconds: float
    summary: dict[str, Any]
    protocols: dict[str, dict[str, Any]]
    variants: tuple[Declared, ...]
    answers: pa.Table
    scores: pa.Table


def read_finished(ws: Workspace, run_id: str) -> Finished:
    """Read and check a finished run. Raises TornRun with the reason when it must not be taken in."""
    folder = ws.run_folder(run_id)
    try:
        done, spec = manifest.read(folder), read_spec(folder)
        variants = tuple(_declared(entry, spec) for entry in done["variants"])
    except EngineError as error:
        raise TornRun(error.message) from error
    except ValueError as error:
        raise TornRun(f"done.json declares a recipe that cannot be hashed: {error}") from error
    faults = manifest.faults(folder, done)
    if done.get("run_id") != run_id or spec.run_id != run_id:
        faults.append("its spec or done.json belongs to another run")
    if faults:
        raise TornRun("; ".join(faults))
    try:
        scored = answers.read(ws, run_id)
    except EngineError as error:
        raise TornRun(error.message) from error
    given = _without_doubles(_with_ids(scored.answers, variants))
    protocols = dict(in_todays_form(done["protocols"], spec).values())
    return Finished(
        spec=spec,
        finished_at=str(done["finished_at"]),
        seconds=read_status(folder).seconds,
        summary=done.get("summary", {}),
        protocols={name: {} for name in pc.unique(given["protocol"]).to_pylist()} | protocols,
        variants=variants,
        answers=given,
        scores=scored.scores,
    )


def _declared(entry: dict[str, Any], spec: RunSpec) -> Declared:
    return Declared(
        variant_id=fingerprint([identity(entry["recipe"]), spec.base, spec.base_fingerprint], 8),
        name=entry["name"],
        family=entry["family"],
        recipe=entry["recipe"],
        parameters_trained=int(entry.get("parameters_trained") or 0),
        train_seconds=entry.get("train_seconds"),
        aliases=tuple(entry.get("aliases") or ()),
    )


def _with_ids(table: pa.Table, variants: tuple[Declared, ...]) -> pa.Table:
    ids = {name: entry.variant_id for entry in variants for name in (entry.name, *entry.aliases)}
    names = table["variant"].to_pylist()
    unknown = sorted({name for name in names if name not in ids})
    if unknown:
        raise TornRun(f"scores.parquet holds variants that the run did not declare: {', '.join(unknown)}")
    return table.append_column("variant_id", pa.array([ids[name] for name in names], pa.string()))


def _without_doubles(table: pa.Table) -> pa.Table:
    """Refuse doubled rows; a variant scored once more under an alias in the same run is kept once."""
    doubled = table.num_rows - table.group_by(list(answers.KEY_COLUMNS)).aggregate([]).num_rows
    if doubled:
        raise TornRun(f"scores.parquet holds {doubled} rows twice")
    keys = ["variant_id", *answers.KEY_COLUMNS[1:]]
    if table.group_by(keys).aggregate([]).num_rows == table.num_rows:
        return table
    numbered = table.append_column("row", pa.array(range(table.num_rows)))
    return table.take(numbered.group_by(keys).aggregate([("row", "min")])["row_min"])
