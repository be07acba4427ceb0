"""What is at work now and what waits its turn, and the list of all runs.

The queue: progress, time left, cancel, and who goes first. The list: filters and search in the address, and a
table in which runs are chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from engine.core.wording import STATE_WORDS, count, duration
from engine.runs import jobs
from engine.runs.records import RunRecord
from engine.runs.runfolder import fingerprint
from engine.show.run_words import changed_words, matches, state_words, title, title_of, underway, where
from engine.strategies import registry
from pages.shared import frame

ACTIVE = ("running", "queued")
_SILENT_SECONDS = 10
_LISTED = 5


def show_queue(
    records: Sequence[RunRecord], *, opened: Sequence[str], choose: Callable[[list[str]], None]
) -> None:
    """Show every run at work with its progress, then the queue in its order; `choose` opens a run.

    The one run that is `opened` below shows its progress there.
    """
    running = [one for one in records if one.state == "running" and list(opened) != [one.run_id]]
    queued = sorted((one for one in records if one.state == "queued"), key=lambda one: one.order)
    foreign = [one for one in queued if one.elsewhere]
    queued = [one for one in queued if not one.elsewhere]
    if foreign:
        _elsewhere(foreign, choose)
    if not running and not queued:
        return
    with st.container(border=True, gap="small"):
        for record in running:
            _running(record, choose)
        if queued:
            _queue(queued, choose)


def progress(record: RunRecord) -> None:
    """Show how far a run is, how long it still takes, and whether it shows signs of life."""
    st.progress(record.progress, text=frame.plain(underway(record)))
    silent = record.heartbeat_age_seconds
    if silent is not None and silent > _SILENT_SECONDS:
        st.caption(f"No sign of life for {duration(silent)}.")


def cancel(run_id: str) -> None:
    """End a run and draw the page anew."""
    with st.spinner("Asking the run to write a checkpoint and end ..."):
        jobs.cancel(frame.workspace(), run_id)
    st.rerun()


def _running(record: RunRecord, choose: Callable[[list[str]], None]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        frame.state_badge("running")
        _opening(record, choose)
    progress(record)


def _queue(queued: Sequence[RunRecord], choose: Callable[[list[str]], None]) -> None:
    st.caption(f"{count(len(queued), 'run')} in the queue; each starts by itself when its turn comes")
    for place, record in enumerate(queued[:_LISTED], start=1):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{place}.", width="content")
            _opening(record, choose)
            if place > 1 and frame.action(
                "First",
                icon=":material/vertical_align_top:",
                key=f"runs_first_{record.run_id}",
                type="tertiary",
                help="Move it to the front of the queue, with what it needs.",
            ):
                jobs.move(frame.workspace(), record.run_id)
                st.rerun()
            if frame.action(
                "Cancel", icon=":material/close:", key=f"runs_drop_{record.run_id}", type="tertiary"
            ):
                cancel(record.run_id)
    if len(queued) > _LISTED:
        st.caption(f"and {len(queued) - _LISTED:,} more, in the list below")


def _elsewhere(foreign: Sequence[RunRecord], choose: Callable[[list[str]], None]) -> None:
    """Runs that were queued in another place, on another machine or by another user: a click starts them."""
    can_run = [one.run_id for one in foreign if one.error is None]
    with st.container(border=True, gap="small"):
        waits = "waits" if len(foreign) == 1 else "wait"
        st.markdown(f":material/move_to_inbox: **{count(len(foreign), 'run')} from elsewhere {waits}**")
        st.caption("Queued in another place or by another user, or changed since: none starts by itself.")
        for record in foreign[:_LISTED]:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                _opening(record, choose)
            if record.error:
                st.caption(frame.plain(record.error))
        if can_run and st.button(
            "Start them here" if len(can_run) > 1 else "Start it here",
            icon=":material/play_arrow:",
            key="runs_take_up",
            disabled=frame.read_only(),
            help="Check what each run does first. To leave them, do nothing.",
        ):
            jobs.take_up(frame.workspace(), can_run)
            st.rerun()


def _opening(record: RunRecord, choose: Callable[[list[str]], None]) -> None:
    """The run's name, which opens it, and what it is about."""
    if st.button(
        frame.plain(record.run_id), key=f"runs_show_{record.run_id}", type="tertiary", help="Open this run"
    ):
        choose([record.run_id])
        st.rerun()
    told = ", ".join(part for part in (title(record, frame.workspace()), changed_words(record)) if part)
    waits = where(record) if record.state == "queued" else ""
    st.caption(frame.plain(f"{told}; {waits}" if waits else told), width="content")


_PAGE, _TABLE = "runs", "runs_table"
_FEW = 4  # below, a filter is more to read than the list


def show_list(
    ordered: Sequence[RunRecord], *, opened: Sequence[str], choose: Callable[[list[str]], None]
) -> None:
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
            "State", states, page=_PAGE, name="state", segmented=True, whole="All",
            words=lambda one: STATE_WORDS[one],
        )  # fmt: skip
    with columns[1]:
        experiment = frame.linked_choice(
            "Experiment", experiments, page=_PAGE, name="experiment", whole="All",
            words=lambda one: title_of(one, frame.workspace()),
        )  # fmt: skip
    with columns[2]:
        query = st.text_input(
            "Search", key="q", bind="query-params", placeholder="rank=16, a name, an error",
            icon=":material/search:",
        )  # fmt: skip
    return [
        record
        for record in ordered
        if state in (None, record.state)
        and experiment in (None, record.experiment)
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
