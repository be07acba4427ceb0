"""The list of all runs: filters, order and search in the address, and a table in which runs are chosen.

It says what each run brought and what differs between them.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import STATE_WORDS, ago, count, duration, spelled
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.results.trackers import exporting
from engine.results.trackers.tracked import has_begun
from engine.runs import labels
from engine.runs.labels import Label
from engine.runs.records import RunRecord
from engine.runs.runfolder import fingerprint
from engine.show.run_words import changed_words, matches, settings, state_words, title_of
from engine.show.tables import run_table
from engine.strategies import registry
from pages.runs import reads as run_reads
from pages.runs.reads import Score
from pages.shared import downloads, frame

_PAGE, _TABLE = "runs", "runs_table"
_FEW = 4  # below, a filter is more to read than the list
_MOST_PARAMETERS = 8
_FIRST_WHERE_NARROW = ("Run", "State", "Score", "Difference")
_STARRED, _HIDDEN, _TAG = "starred", "hidden", "tag:"
_SORTS: Mapping[str, str] = {
    "newest": "Newest first",
    "score": "Best score first",
    "difference": "Largest gain first",
    "longest": "Longest first",
    "name": "By name",
}
_SETTINGS: Mapping[str, str] = {"changed": "In words", "columns": "Those that differ, in columns"}
Labels = Mapping[str, Label]
Scores = Mapping[str, Score]


def show_list(
    ordered: Sequence[RunRecord], *, opened: Sequence[str], choose: Callable[[list[str]], None]
) -> None:
    """Show the runs that the filters leave; rows ticked are handed to `choose` as run ids."""
    ws = frame.workspace()
    told = run_reads.labelled(ws)
    few = len(ordered) < _FEW and not told
    metric = metrics.primary(ws)
    if few:
        found, parameters = list(ordered), False
    else:
        with st.container(key="runs_asked"):
            columns = st.columns([5.4, 2, 2, 2, 1.4], vertical_alignment="bottom")
        found = _filtered(ordered, told, columns)
        with columns[4], st.popover("View", icon=":material/tune:", width="stretch"):
            metric, parameters, by = _shown(metrics.of_study(ws))
    scores: Scores = {}
    with frame.boundary():  # the runs are there without them
        scores = run_reads.scores(ws, metric.name)
    if not few:
        found = _sorted(found, by, scores, metric, told)
    if not found:
        st.info("No run is like this. Choose another state or experiment, or search for less.")
        return
    shown = [record.run_id for record in found]
    key = f"{_TABLE}_{fingerprint(shown, 8)}"  # a tick that comes late must not mean what stands there now
    frame.select_rows(key, [shown.index(name) for name in opened if name in shown])

    def take() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows:
            choose([shown[row] for row in rows])

    table = _table(found, told, scores, metric, parameters=parameters)
    order = [name for name in _FIRST_WHERE_NARROW if name in table]
    frame.table(
        frame.worded(table, _words(metric)),
        column_order=[*order, *(name for name in table if name not in order)] if frame.is_narrow() else None,
        key=key,
        on_select=take,
        selection_mode="multi-row",
        height="content" if len(found) <= 6 else 268,
        placeholder="",
        alt="All runs with state, score, changes and time; tick one to open it, several to compare them",
        column_config=_columns(metric, scores),
    )
    left_out = len(ordered) - len(found)
    words = f"{count(len(found), 'run')}" + (f", {left_out:,} filtered out" if left_out else "")
    if len(found) > 1:
        words += ". Tick one to open it, several to lay their curves over each other."
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(words, width="content")
        downloads.table_menu(partial(run_table, ws, found), name="runs", key=_TABLE)
        _for_trackers(ws, [record.run_id for record in found if has_begun(record)])


def _for_trackers(ws: Workspace, run_ids: Sequence[str]) -> None:
    """Offer the runs listed as the files of the trackers that people have, each packed when asked for."""
    if not run_ids:
        return
    with st.popover("For other trackers", icon=":material/output:", type="tertiary"):
        for tracker, title in exporting.TRACKERS.items():
            downloads.file(
                title, partial(_packed, ws, tracker, run_ids), name=f"{tracker}-runs.zip",
                mime="application/zip", key=f"runs_to_{tracker}", width="stretch",
            )  # fmt: skip
        st.caption("Parameters, curves and scores on validation. How to look at them: docs/serving.md.")


def _packed(ws: Workspace, tracker: str, run_ids: Sequence[str]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        exporting.export(ws, tracker, Path(folder), run_ids)
        return downloads.zipped(Path(folder), inside=f"{tracker}-runs")


def _filtered(ordered: Sequence[RunRecord], told: Labels, columns: Sequence[Any]) -> list[RunRecord]:
    states = [state for state in STATE_WORDS if any(one.state == state for one in ordered)]
    names = {record.experiment for record in ordered}
    experiments = [name for name in registry.experiments(frame.workspace()) if name in names]
    experiments += sorted(names - set(experiments))
    with columns[0]:
        state = frame.linked_choice(
            "State", states, page=_PAGE, name="state", segmented=True, whole="All",
            words=lambda one: STATE_WORDS[one],
        )  # fmt: skip
    with columns[1]:
        experiment = frame.linked_choice(
            "Experiment", experiments, page=_PAGE, name="experiment", whole="All",
            words=lambda one: title_of(one, frame.workspace()),
        )  # fmt: skip
    marks = [_STARRED, *(f"{_TAG}{tag}" for tag in labels.tags(told)), _HIDDEN]
    with columns[2]:
        mark = frame.linked_choice(
            "Marked", marks, page=_PAGE, name="mark", whole="Any, but hidden",
            words=lambda one: one.removeprefix(_TAG).capitalize() if one in (_STARRED, _HIDDEN)
            else f"Tag: {one.removeprefix(_TAG)}",
        )  # fmt: skip
    with columns[3]:
        query = st.text_input(
            "Search", key="q", bind="query-params", placeholder="rank=16, a name",
            icon=":material/search:",
        )  # fmt: skip
    return [
        record
        for record in ordered
        if state in (None, record.state)
        and experiment in (None, record.experiment)
        and _is_marked(told.get(record.run_id, labels.NONE), mark)
        and (not query or matches(record, query, told.get(record.run_id, labels.NONE).words()))
    ]


def _is_marked(label: Label, mark: str | None) -> bool:
    if mark == _HIDDEN or label.hidden:
        return label.hidden and mark == _HIDDEN
    return mark is None or (label.star if mark == _STARRED else mark.removeprefix(_TAG) in label.tags)


def _shown(known: Mapping[str, Metric]) -> tuple[Metric, bool, str]:
    """Which metric is told, whether settings have columns, and the order: all of it in the address."""
    by = frame.linked_choice("Order", list(_SORTS), page=_PAGE, name="sort", words=lambda one: _SORTS[one])
    metric = frame.linked_choice(
        "Score", list(known), page=_PAGE, name="metric", words=lambda one: known[one].label
    )
    told = frame.linked_choice(
        "Settings", list(_SETTINGS), page=_PAGE, name="settings", words=lambda one: _SETTINGS[one]
    )
    return known[metric or next(iter(known))], told == "columns", by or "newest"


def _sorted(
    found: Sequence[RunRecord], by: str, scores: Scores, metric: Metric, told: Labels
) -> list[RunRecord]:
    """The runs in an order, pinned ones first; what does not compete, or has no value, comes last."""

    def worth(record: RunRecord) -> tuple[bool, bool, float]:
        score = scores.get(record.run_id)
        held = None if score is None else score.mean if by == "score" else score.delta
        value = (
            record.status.seconds or None if by == "longest" else None if held is None else metric.sign * held
        )
        outside = by != "longest" and score is not None and not score.competes
        return value is None, outside, -(value or 0.0)

    ordered = list(found)
    if by == "name":
        ordered.sort(key=lambda one: told.get(one.run_id, labels.NONE).title or one.run_id)
    elif by != "newest":
        ordered.sort(key=worth)
    return sorted(ordered, key=lambda one: not told.get(one.run_id, labels.NONE).pinned)


def _table(
    found: Sequence[RunRecord], told: Labels, scores: Scores, metric: Metric, *, parameters: bool
) -> pd.DataFrame:
    """One row a run. Seconds and scores are numbers, so that the columns sort as they should."""
    differing = _differing(found) if parameters else []
    table = pd.DataFrame(
        [
            _row(record, told.get(record.run_id, labels.NONE), scores.get(record.run_id), metric)
            | {name.replace("_", " ").capitalize(): _value(record, name) for name in differing}
            for record in found
        ]
    )
    table["When"] = pd.to_datetime(table["When"], format="ISO8601", utc=True)
    optional = ("Marks", "Title", "Score", "Difference", "Interval", "Verdict", "Tags", "Changed", "Expected")
    empty = [name for name in optional if not table[name].replace("", None).notna().any()]
    return table.drop(columns=[*empty, *(["Changed"] if differing and "Changed" not in empty else [])])


def _row(record: RunRecord, label: Label, score: Score | None, metric: Metric) -> dict[str, Any]:
    status, estimate = record.status, record.estimate_seconds
    when = status.ended_at if record.ended else status.started_at or status.queued_at
    factor = metric.factor
    return {
        "Marks": " ".join(sign for sign, has in (("★", label.star), ("▲", label.pinned)) if has),
        "Title": label.title,
        "Run": record.run_id,
        "State": state_words(record, how_far=not frame.is_narrow()),
        "Score": None if score is None or score.mean is None else factor * score.mean,
        "Difference": None if score is None or score.delta is None else factor * score.delta,
        "Interval": ""
        if score is None or None in (score.delta, score.low)
        else metric.spread(score.low, score.high),
        "Verdict": score.verdict if score else "",
        "Changed": changed_words(record),
        "Tags": ", ".join(label.tags),
        "Took": status.seconds or None,
        "Expected": estimate,
        "When": when,
    }


def _differing(found: Sequence[RunRecord]) -> list[str]:
    """The settings in which runs of one experiment differ, those that most runs have first."""
    values: dict[str, dict[str, set[str]]] = {}
    for record in found:
        for name, value in (settings(record.spec) if record.spec else {}).items():
            values.setdefault(name, {}).setdefault(record.experiment, set()).add(spelled(value))
    told = [name for name, by in values.items() if any(len(one) > 1 for one in by.values())]
    return sorted(told, key=lambda name: -len(values[name]))[:_MOST_PARAMETERS]


def _value(record: RunRecord, name: str) -> Any:
    value = settings(record.spec).get(name) if record.spec else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return spelled(value) if value else ""


_NUMBER, _TEXT = st.column_config.NumberColumn, st.column_config.TextColumn


def _words(metric: Metric) -> dict[str, Callable[[Any], str]]:
    """How the numbers and times of the table read: as everywhere."""
    factor = metric.factor
    return {
        "Score": lambda value: metric.level(value / factor),
        "Difference": lambda value: metric.change(value / factor),
        "Took": duration,
        "Expected": duration,
        "When": lambda at: ago(at.isoformat()),
    }


def _columns(metric: Metric, scores: Scores) -> dict[str, Any]:
    one = next(iter(scores.values()), None)
    unit = ", points" if metric.in_points else ""
    against = f"Against {one.reference if one else 'the reference'}, or what the run is built on."
    return {
        "Marks": _TEXT("", width=34, help="★ starred, ▲ pinned"),
        "Title": _TEXT(width="medium"),
        "Run": _TEXT(width=116 if frame.is_narrow() else "medium"),
        "State": _TEXT(width=72 if frame.is_narrow() else 136),
        "Score": _NUMBER(
            "Score", width=60, help=f"{metric.label}{unit}, on validation; of several variants the best."
        ),
        "Difference": _NUMBER("Difference", width=84, help=f"{against}{unit}"),
        "Interval": _TEXT("95 % interval", width=112, help="Of the difference, over personas."),
        "Verdict": _TEXT(width=92, help="On validation, where choices are made; or why it does not compete."),
        "Changed": _TEXT("Changed from the defaults", width="medium"),
        "Tags": _TEXT(width="small"),
        "Took": _NUMBER("Took", width=92, help="Time at work, all attempts."),
        "Expected": _NUMBER("Expected", width=92, help="The estimate made before the launch."),
        "When": st.column_config.DatetimeColumn(width=104),
    }  # fmt: skip
