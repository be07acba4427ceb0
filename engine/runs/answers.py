"""What a run's variants answered, and the scores of their answers, as files of a run folder.

Owns their form: replies.parquet has one row an answer, scores.parquet is long (answer, metric, value). A
value of null is undefined; a metric without a row was not computed. Older runs have both in one wide
scores.parquet, a column a metric: it is turned into this form as it is read, and never rewritten. What is
computed for a finished run later lies beside it, in data/rescored/RUN/, a file a metric.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.core.errors import EngineError
from engine.core.paths import Workspace, first_link, write_atomically
from engine.domains.metric import Metric
from engine.runs import manifest
from engine.runs.protocol import in_todays_form
from engine.runs.runfolder import read_spec

REPLIES, SCORES = "replies.parquet", "scores.parquet"
_RESCORED, _OF_RUN = "rescored", "sha256 of done.json"
NO_VERSION = ""  # of a score that somebody else computed: it counts beside any version

KEY_COLUMNS = ("variant", "split", "protocol", "example_id")
ANSWER_TYPES: Mapping[str, pa.DataType] = {
    **dict.fromkeys((*KEY_COLUMNS, "persona_id", "dialogue_id"), pa.string()),
    **dict.fromkeys(("turn", "prompt_tokens", "reply_tokens", "n_examples"), pa.int64()),
    "seconds": pa.float64(),
    **dict.fromkeys(("reply", "reference", "retrieved"), pa.string()),
}
SCORE_TYPES: Mapping[str, pa.DataType] = {
    **dict.fromkeys((*KEY_COLUMNS, "metric", "version", "part"), pa.string()),
    "value": pa.float64(),
}
_REQUIRED = (*KEY_COLUMNS, "persona_id", "dialogue_id", "turn", "reply", "reference")
# Wide files tell one version for all that reads actions; the metrics that read none were of version 1.
_WITHOUT_ACTIONS = ("embedding_similarity", "length_ratio")


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The answers of a run and their scores, with the columns of ANSWER_TYPES and SCORE_TYPES."""

    answers: pa.Table
    scores: pa.Table

    def values(self, metric: Metric, *, among: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the metric's `value` by answer, as `by_answer`; answers not scored in it are left out.

        `among` are the answers wanted (rows of `answers`), by default all.
        """
        held = self.scores.filter(pc.equal(self.scores["metric"], metric.name)).to_pandas()
        held = held[held["version"].isin([metric.version, NO_VERSION])]
        named = [*KEY_COLUMNS, "persona_id"]
        whose = self.answers.select(named).to_pandas() if among is None else among[named]
        return by_answer(held.merge(whose, on=list(KEY_COLUMNS)), metric)

    def wide(self) -> pd.DataFrame:
        """Return one row an answer with a column a metric, for looking at; counts of parts are left out."""
        held, keys = self.scores.filter(pc.equal(self.scores["part"], "")).to_pandas(), list(KEY_COLUMNS)
        table = self.answers.to_pandas()
        for metric, rows in held.groupby("metric", sort=False):
            table = table.merge(rows[[*keys, "value"]].rename(columns={"value": metric}), on=keys, how="left")
        return table


def by_answer(scores: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return one metric's scores (long, with persona_id), one row an answer; `value` is NaN where undefined.

    A statistic of the whole set has no value of one answer: there is one row a persona then, her own.
    """
    if metric.total is None:
        return scores
    keys = ["variant", "split", "protocol", "persona_id"]
    sums = scores.pivot_table(index=keys, columns="part", values="value", aggfunc="sum", fill_value=0.0)
    table = sums.index.to_frame(index=False)
    parts = {str(part): sums[part].to_numpy(dtype=np.float64) for part in sums.columns}
    return table.assign(example_id="persona:" + table["persona_id"], value=metric.total(parts))


def write(folder: Path, answers: pd.DataFrame, scores: pd.DataFrame) -> None:
    """Write both files. `scores` may lack `part`, which is then none."""
    for name, table, types in ((REPLIES, answers, ANSWER_TYPES), (SCORES, scores, SCORE_TYPES)):
        write_atomically(
            folder / name, _bytes(_typed(pa.Table.from_pandas(table, preserve_index=False), types))
        )


def read(ws: Workspace, run_id: str) -> Scored:
    """Return what a run answered and scored, what was computed later included; empty where it scored nothing.

    Protocols go by the hash of today's form, whatever form the run wrote them in.

    Raises EngineError when a file cannot be read or lacks a column.
    """
    folder = ws.run_folder(run_id)
    if not (folder / SCORES).exists():
        return Scored(_schema(ANSWER_TYPES).empty_table(), _schema(SCORE_TYPES).empty_table())
    table, declared = _read(folder / SCORES), manifest.read(folder)["protocols"]
    if "metric" in table.column_names:
        answers = _read(folder / REPLIES)
        _refuse_without(answers, _REQUIRED, REPLIES)
        found = Scored(_typed(answers, ANSWER_TYPES), _as_scores(table))
    else:
        found = _from_wide(table, declared)
    today = {name: now for name, (now, _) in in_todays_form(declared, read_spec(folder)).items()}
    scores = pa.concat_tables([found.scores, *_later(ws, run_id)])
    return Scored(_renamed(found.answers, today), _renamed(scores, today))


def _renamed(table: pa.Table, today: Mapping[str, str]) -> pa.Table:
    names = [today.get(name, name) for name in table["protocol"].to_pylist()]
    place = table.column_names.index("protocol")
    return table.set_column(place, "protocol", pa.array(names, pa.string()))


def replies(folder: Path) -> pd.DataFrame:
    """Return the answers of a run, one row each, without scores, as the run wrote them."""
    path = folder / REPLIES if (folder / REPLIES).exists() else folder / SCORES
    wanted = [name for name in ANSWER_TYPES if name in pq.read_schema(path).names]
    return pq.read_table(path, columns=wanted).to_pandas()


def only(scored: Scored, chosen: pd.DataFrame) -> pd.DataFrame:
    """Return the scores (long) of those answers whose keys are in `chosen`, in its order."""
    keys = list(KEY_COLUMNS)
    return chosen[keys].merge(scored.scores.to_pandas(), on=keys)


# --- scores computed later


def rescored_runs(ws: Workspace) -> frozenset[str]:
    """Return the runs that scores may have been computed for later."""
    folder = ws.data / _RESCORED
    return frozenset(os.listdir(folder)) if folder.is_dir() and not folder.is_symlink() else frozenset()


def later_files(ws: Workspace, run_id: str) -> list[Path]:
    """Return the files of scores that were computed after the run, one a metric; none where a link is among
    them."""
    folder = ws.data / _RESCORED / run_id
    return [] if first_link(folder.parent, folder) else sorted(folder.glob("*.parquet"))


def write_later(ws: Workspace, run_id: str, metric: str, scores: pd.DataFrame) -> None:
    """Keep one metric's scores of a finished run's answers beside the run, in place of earlier ones.

    They hold for the run as it is: done again from the start, it has other answers.
    """
    table = _typed(pa.Table.from_pandas(scores, preserve_index=False), SCORE_TYPES)
    folder = ws.data / _RESCORED / run_id
    if (link := first_link(folder.parent, folder)) is not None:
        raise EngineError(f"{link} is a link, so nothing is written through it.", "Remove it and repeat.")
    table = table.replace_schema_metadata({_OF_RUN: _now(ws, run_id)})
    write_atomically(folder / f"{metric}.parquet", _bytes(table))


def superseded(ws: Workspace, run_id: str) -> list[Path]:
    """Return the files of later scores of replies that the run, done anew, has no more, or that are torn."""
    files = later_files(ws, run_id)
    now = _now(ws, run_id) if files else b""
    return [path for path in files if _told_of(path) != now]


def _now(ws: Workspace, run_id: str) -> bytes:
    """What tells the run as it stands from the same one done anew."""
    return manifest.sha256(ws.run_folder(run_id) / manifest.NAME).encode()


def _told_of(path: Path) -> bytes | None:
    try:
        return _of_run(pq.read_schema(path))
    except pa.ArrowException:
        return None


def _later(ws: Workspace, run_id: str) -> list[pa.Table]:
    files = later_files(ws, run_id)
    now = _now(ws, run_id) if files else b""
    return [_as_scores(one) for one in map(_read, files) if _of_run(one.schema) == now]


def _of_run(schema: pa.Schema) -> bytes | None:
    return (schema.metadata or {}).get(_OF_RUN.encode())


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise EngineError(f"{path.name} cannot be read: {error}") from error


def _as_scores(table: pa.Table) -> pa.Table:
    _refuse_without(table, [name for name in SCORE_TYPES if name != "part"], SCORES)
    return _typed(table, SCORE_TYPES)


def _refuse_without(table: pa.Table, wanted: Sequence[str], name: str) -> None:
    missing = [column for column in wanted if column not in table.column_names]
    if missing:
        raise EngineError(f"{name} lacks the columns {', '.join(missing)}")


def _typed(table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The table with just these columns; one that is not there is null, NaN is null as well."""
    columns: dict[str, Any] = {}
    for name, kind in types.items():
        if name in table.column_names:
            column = table[name].cast(kind)
            columns[name] = pc.if_else(pc.is_nan(column), None, column) if kind == pa.float64() else column
        else:
            columns[name] = pa.nulls(table.num_rows, kind)
    if "part" in columns:
        columns["part"] = pc.fill_null(columns["part"], "")
    return pa.table(columns)


def _from_wide(table: pa.Table, protocols: Mapping[str, Any]) -> Scored:
    _refuse_without(table, _REQUIRED, SCORES)
    answers = _typed(table, ANSWER_TYPES)
    metrics = [
        name for name in table.column_names if name not in ANSWER_TYPES and _is_number(table[name].type)
    ]
    told = {name: str(fields.get("metrics_version", "")) for name, fields in protocols.items()}
    names = answers["protocol"].to_pylist()
    parts = []
    for metric in metrics:
        versions = {name: _version(metric, told.get(name, "")) for name in set(names)}
        keys = {name: answers[name] for name in KEY_COLUMNS}
        version = pa.array([versions[name] for name in names], pa.string())
        parts.append(
            _typed(
                pa.table(
                    {
                        **keys,
                        "metric": pa.array([metric] * len(names), pa.string()),
                        "version": version,
                        "value": table[metric].cast(pa.float64()),
                    }
                ),
                SCORE_TYPES,
            )
        )
    return Scored(answers, pa.concat_tables(parts) if parts else _schema(SCORE_TYPES).empty_table())


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)


def _version(metric: str, told: str) -> str:
    """The version of a wide file's metric, by what its protocol told of all metrics: "1-1.2"."""
    if not told.startswith("1-"):
        return NO_VERSION
    return "1" if metric in _WITHOUT_ACTIONS else told.removeprefix("1-")


def _schema(types: Mapping[str, pa.DataType]) -> pa.Schema:
    return pa.schema(list(types.items()))


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()
