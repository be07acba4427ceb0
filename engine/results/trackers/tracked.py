"""A run as a tracker sees it: parameters, numbers over steps, final scores, tags, and the run it stands on.

Owns what of a run goes out, under which name. Scores are validation's: those of test are shown where looks at
them are counted. Writes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from engine.core.command import typed
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.runs import answers
from engine.runs.records import RunRecord
from engine.runs.runfolder import losses_once, read_events

_SPLIT = "val"
_BESIDE = ("t", "kind", "step", "epoch", "split", "training")


@dataclass(frozen=True, slots=True)
class Point:
    """One number: its name, its step, and when it was told (seconds since 1970)."""

    name: str
    step: int
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Tracked:
    """One run. Times are seconds since 1970; `parent` is the run it stands on, "" for none."""

    run_id: str
    experiment: str
    state: str
    began: float
    ended: float | None
    parent: str
    parameters: Mapping[str, str]
    points: tuple[Point, ...]
    tags: Mapping[str, str]


def tracked(ws: Workspace, records: Iterable[RunRecord]) -> Iterator[Tracked]:
    """Yield each of the runs, which have begun."""
    shown = metrics.of_study(ws)
    for record in records:
        yield _tracked(ws, record, shown)


def has_begun(record: RunRecord) -> bool:
    """Say whether there is anything to tell of a run: one whose spec cannot be read has nothing."""
    return record.spec is not None and record.status.attempt > 0


def _tracked(ws: Workspace, record: RunRecord, shown: Mapping[str, Metric]) -> Tracked:
    spec, status = record.spec, record.status
    assert spec is not None
    began = _seconds(status.started_at or spec.created_at) or 0.0
    ended = _seconds(status.ended_at)
    told = read_events(ws.run_folder(record.run_id))
    others = (event for event in told if event.get("kind") != "loss")
    points = list(_over_steps([*losses_once(told), *others], began))
    last, at = max((one.step for one in points), default=0), ended or began
    if record.state == "succeeded":
        found = _scores(ws, record.run_id, shown)
        points += [Point(name, last, value, at) for name, value in found.items()]
    parents = list(spec.upstream.values())
    tags = {
        "experiment": record.experiment,
        "state": record.state,
        "seed": str(spec.seed),
        "base": spec.base,
        "data_hash": spec.data_hash,
        "launcher": status.launcher,
        "seconds": f"{status.seconds:.3f}",
        **{f"upstream.{role}": run_id for role, run_id in spec.upstream.items()},
    }
    given = {**spec.parameters, **{f"protocol.{name}": value for name, value in spec.protocol.items()}}
    return Tracked(
        record.run_id,
        record.experiment,
        record.state,
        began,
        ended,
        parents[0] if parents else "",
        {name: typed(value) for name, value in given.items()},
        tuple(points),
        tags,
    )


def _over_steps(events: Iterable[Mapping[str, Any]], began: float) -> Iterator[Point]:
    """Yield every finite number of the events, named by kind, split and field; those without a step are
    counted."""
    counted: dict[str, int] = {}
    for event in events:
        kind, split = str(event.get("kind", "event")), event.get("split")
        step = event.get("step")
        if not isinstance(step, int):
            step = counted[kind] = counted.get(kind, -1) + 1
        for name, value in event.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in _BESIDE and is_number and np.isfinite(value):
                named = "/".join(str(one) for one in (kind, split, name) if one)
                yield Point(named, step, float(value), began + float(event.get("t", 0.0)))


def _scores(ws: Workspace, run_id: str, shown: Mapping[str, Metric]) -> dict[str, float]:
    """Return the final scores on validation: "val/METRIC", of several variants "VARIANT/val/METRIC"."""
    scored = answers.read(ws, run_id)
    held = scored.answers.to_pandas()
    held = held[held["split"] == _SPLIT]
    several = held["variant"].nunique() > 1
    found: dict[str, float] = {}
    for metric in shown.values():
        for variant, rows in held.groupby("variant", sort=True):
            value = _mean(scored.values(metric, among=rows), metric, scored.scores.to_pandas(), str(variant))
            if value is not None and np.isfinite(value):
                name = f"{_SPLIT}/{metric.name}"
                found[f"{variant}/{name}" if several else name] = float(value)
    return found


def _mean(values: pd.DataFrame, metric: Metric, scores: pd.DataFrame, variant: str) -> float | None:
    """The macro mean over personas; a statistic of the whole set is taken of all counts together."""
    if metric.total is None:
        return None if values.empty else float(values.groupby("persona_id")["value"].mean().mean())
    mine = scores[
        (scores["variant"] == variant) & (scores["split"] == _SPLIT) & (scores["metric"] == metric.name)
    ]
    if mine.empty:
        return None
    sums = mine.groupby("part")["value"].sum()
    return float(metric.total({str(part): np.array([value]) for part, value in sums.items()})[0])


def _seconds(at: str | None) -> float | None:
    return datetime.fromisoformat(at).timestamp() if at else None
