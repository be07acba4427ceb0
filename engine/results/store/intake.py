"""A finished run folder, read and checked. Owns what a folder must hold to be taken in; knows no database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.lm.effects import identity
from engine.runs import manifest
from engine.runs.protocol import in_todays_form
from engine.runs.runfolder import RunSpec, fingerprint, read_spec, read_status

METRIC_COLUMNS = (
    "embedding_similarity",
    "device_precision",
    "device_recall",
    "device_f1",
    "param_precision",
    "param_recall",
    "param_f1",
    "numerical_precision",
    "numerical_recall",
    "numerical_mae",
    "exact_action_match",
    "length_ratio",
)
KEY_COLUMNS = ("variant", "split", "protocol", "example_id")
TEXT_COLUMNS = ("reply", "reference", "retrieved")
_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys((*KEY_COLUMNS, "persona_id", "dialogue_id"), pa.string()),
    "turn": pa.int64(),
    **dict.fromkeys(("prompt_tokens", "reply_tokens", "n_examples"), pa.int64()),
    "seconds": pa.float64(),
    **dict.fromkeys(TEXT_COLUMNS, pa.string()),
    **dict.fromkeys(METRIC_COLUMNS, pa.float64()),
}
_REQUIRED = (*KEY_COLUMNS, "persona_id", "dialogue_id", "turn", "reply", "reference")


class TornRun(EngineError):
    """A folder that says it is finished and does not match what it says."""


@dataclass(frozen=True, slots=True)
class DeclaredVariant:
    """A variant as its run declared it. Equal recipes over one base have one `variant_id`."""

    variant_id: str
    name: str
    family: str
    recipe: dict[str, Any]
    parameters_trained: int
    train_seconds: float | None
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """All that the store takes in of one run. `scores` has the columns of scores.parquet and variant_id."""

    spec: RunSpec
    finished_at: str
    seconds: float
    summary: dict[str, Any]
    protocols: dict[str, dict[str, Any]]
    variants: tuple[DeclaredVariant, ...]
    scores: pa.Table


def read_finished(ws: Workspace, run_id: str) -> Finished:
    """Read and check a finished run. Raises TornRun with the reason when it must not be taken in."""
    folder = ws.run_folder(run_id)
    try:
        done, spec = manifest.read(folder), read_spec(folder)
        variants = tuple(_declared(entry, spec) for entry in done["variants"])
    except EngineError as error:
        raise TornRun(error.message) from error
    except (KeyError, TypeError, ValueError) as error:
        raise TornRun(f"done.json declares a variant without {error}") from error
    faults = manifest.faults(folder, done)
    if done.get("run_id") != run_id or spec.run_id != run_id:
        faults.append("its spec or done.json belongs to another run")
    if faults:
        raise TornRun("; ".join(faults))
    path = folder / "scores.parquet"
    scores = _read_scores(path, variants) if path.exists() else _no_scores()
    protocols, scores = _in_todays_form(spec, done["protocols"], scores)
    return Finished(
        spec=spec,
        finished_at=str(done["finished_at"]),
        seconds=read_status(folder).seconds,
        summary=done.get("summary", {}),
        protocols=protocols,
        variants=variants,
        scores=scores,
    )


def _in_todays_form(
    spec: RunSpec, declared: dict[str, dict[str, Any]], scores: pa.Table
) -> tuple[dict[str, dict[str, Any]], pa.Table]:
    """Protocols and scores under the hashes of today's form, whatever form the run wrote them in."""
    scored = pc.unique(scores["protocol"]).to_pylist()
    undeclared: dict[str, dict[str, Any]] = {name: {} for name in scored}
    known = in_todays_form(undeclared | declared, spec)
    place = scores.column_names.index("protocol")
    column = pa.array([known[name][0] for name in scores["protocol"].to_pylist()], pa.string())
    return dict(known.values()), scores.set_column(place, "protocol", column)


def _declared(entry: dict[str, Any], spec: RunSpec) -> DeclaredVariant:
    return DeclaredVariant(
        variant_id=fingerprint([identity(entry["recipe"]), spec.base, spec.base_fingerprint], 8),
        name=entry["name"],
        family=entry["family"],
        recipe=entry["recipe"],
        parameters_trained=int(entry.get("parameters_trained") or 0),
        train_seconds=entry.get("train_seconds"),
        aliases=tuple(entry.get("aliases") or ()),
    )


def _read_scores(path: Path, variants: tuple[DeclaredVariant, ...]) -> pa.Table:
    try:
        table = pq.read_table(path)
        missing = [name for name in _REQUIRED if name not in table.column_names]
        if missing:
            raise TornRun(f"scores.parquet lacks the columns {', '.join(missing)}")
        columns = {name: _column(table, name) for name in _TYPES}
    except (pa.ArrowException, OSError) as error:
        raise TornRun(f"scores.parquet cannot be read: {error}") from error
    ids = {name: entry.variant_id for entry in variants for name in (entry.name, *entry.aliases)}
    names = columns["variant"].to_pylist()
    unknown = sorted({name for name in names if name not in ids})
    if unknown:
        raise TornRun(f"scores.parquet holds variants that the run did not declare: {', '.join(unknown)}")
    columns["variant_id"] = pa.array([ids[name] for name in names], pa.string())
    return _without_doubles(pa.table(columns))


def _column(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    if name not in table.column_names:
        return pa.nulls(table.num_rows, _TYPES[name])
    column = table[name].cast(_TYPES[name])
    return pc.if_else(pc.is_nan(column), None, column) if pa.types.is_floating(column.type) else column


def _without_doubles(table: pa.Table) -> pa.Table:
    """Refuse doubled rows; a variant scored once more under an alias in the same run is kept once."""
    doubled = table.num_rows - table.group_by(list(KEY_COLUMNS)).aggregate([]).num_rows
    if doubled:
        raise TornRun(f"scores.parquet holds {doubled} rows twice")
    keys = ["variant_id", *KEY_COLUMNS[1:]]
    if table.group_by(keys).aggregate([]).num_rows == table.num_rows:
        return table
    numbered = table.append_column("row", pa.array(range(table.num_rows)))
    first = numbered.group_by(keys).aggregate([("row", "min")])["row_min"]
    return table.take(first)


def _no_scores() -> pa.Table:
    return pa.schema([*_TYPES.items(), ("variant_id", pa.string())]).empty_table()
