"""The list of runs: filters and search in the address, and a table in which runs are chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from engine.core.wording import STATE_WORDS, count
from engine.runs.records import RunRecord
from engine.runs.runfolder import fingerprint
from engine.show.run_words import changed_words, matches, state_words, title_of
from engine.strategies import registry
from pages.shared import frame

_PAGE, _TABLE = "runs", "runs_table"
_ALL = "all"
_FEW = 4  # below, a filter is more to read than the list


def show(ordered: Sequence[RunRecord], *, opened: Sequence[str], choose: Callable[[list[str]], None]) -> None:
    """Show the runs that the filters leave; rows ticked are handed to `choose` as run ids."""
    found = _filtered(ordered) if len(ordered) >= _FEW else list(ordered)
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

    frame.table(
        _table(found),
        key=key,
        on_select=take,
        selection_mode="multi-row",
        height="content" if len(found) <= 6 else 268,
        placeholder="",
        alt="All runs with state, changes and time; tick one to open it, several to compare them",
        column_config=_COLUMNS,
    )
    left_out = len(ordered) - len(found)
    told = f"{count(len(found), 'run')}" + (f", {left_out:,} filtered out" if left_out else "")
    if len(found) > 1:
        told += ". Tick one to open it, several to lay their curves over each other."
    st.caption(told)


def _filtered(ordered: Sequence[RunRecord]) -> list[RunRecord]:
    states = [state for state in STATE_WORDS if any(one.state == state for one in ordered)]
    names = {record.experiment for record in ordered}
    experiments = [name for name in registry.experiments(frame.workspace()) if name in names]
    experiments += sorted(names - set(experiments))
    columns = st.columns([4, 2, 2], vertical_alignment="bottom")
    with columns[0]:
        state = frame.linked_choice(
            "State", [_ALL, *states], page=_PAGE, name="state", segmented=True,
            words=lambda one: "All" if one == _ALL else STATE_WORDS[one],
        )  # fmt: skip
    with columns[1]:
        experiment = frame.linked_choice(
            "Experiment", [_ALL, *experiments], page=_PAGE, name="experiment",
            words=lambda one: "All" if one == _ALL else title_of(one, frame.workspace()),
        )  # fmt: skip
    with columns[2]:
        query = st.text_input(
            "Search", key="q", bind="query-params", placeholder="rank=16, a name, an error",
            icon=":material/search:",
        )  # fmt: skip
    return [
        record
        for record in ordered
        if state in (None, _ALL, record.state)
        and experiment in (None, _ALL, record.experiment)
        and (not query or matches(record, query))
    ]


def _table(found: Sequence[RunRecord]) -> pd.DataFrame:
    """One row a run. Times are numbers and dates, so that the columns sort as they should."""
    table = pd.DataFrame([_row(record) for record in found])
    table["When"] = pd.to_datetime(table["When"], format="ISO8601", utc=True)
    empty = [name for name in ("Changed", "Expected") if not table[name].any()]
    return table.drop(columns=empty)


def _row(record: RunRecord) -> dict[str, Any]:
    status, estimate = record.status, record.spec.estimate_seconds if record.spec else None
    when = status.ended_at if record.ended else status.started_at or status.queued_at
    return {
        "Run": record.run_id,
        "State": state_words(record),
        "Changed": changed_words(record),
        "Took": status.seconds / 60 if status.seconds else None,
        "Expected": None if estimate is None else estimate / 60,
        "When": when,
    }


_NUMBER, _TEXT = st.column_config.NumberColumn, st.column_config.TextColumn
_COLUMNS = {
    "Run": _TEXT(width="medium"),
    "State": _TEXT(width=110),
    "Changed": _TEXT("Changed from the defaults", width="medium"),
    "Took": _NUMBER("Took, min", format="%.1f", width="small", help="Time at work, all attempts."),
    "Expected": _NUMBER(
        "Expected, min", format="%.1f", width="small", help="The estimate made before the launch."
    ),
    "When": st.column_config.DatetimeColumn(format="distance", width="small"),
}
