"""Several runs beside each other: their loss curves in one chart, and only what differs between them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import count, duration, fact
from engine.runs.records import RunRecord
from engine.runs.runfolder import declared, read_events
from engine.show.charts.losses import ALONG, OVERLAID, Along, loss_table, overlaid_chart
from engine.show.run_words import changed_words, differences, side_by_side, state_words
from pages.shared import frame

_CONFIGS = 12


def show(ws: Workspace, chosen: Sequence[RunRecord]) -> None:
    """Show the curves of the chosen runs over each other, then what differs, then how each went."""
    with st.container(border=True):
        st.subheader(count(len(chosen), "run") + " side by side", anchor=False)
        _curves(ws, chosen)
        _outcomes(ws, chosen)
        _configs(chosen[:_CONFIGS])


def _curves(ws: Workspace, chosen: Sequence[RunRecord]) -> None:
    tables = {_name(record): loss_table(read_events(ws.run_folder(record.run_id))) for record in chosen[:24]}
    trained = {name: table for name, table in tables.items() if not table.empty}
    if not trained:
        st.caption("None of these runs has trained, so there are no loss curves.")
        return
    along: Along = st.segmented_control(
        "Along", list(ALONG), default="step", required=True, format_func=lambda one: ALONG[one],
        key="runs_along", label_visibility="collapsed",
    )  # fmt: skip
    shown = dict(list(trained.items())[:OVERLAID])
    st.altair_chart(
        overlaid_chart(shown, along=along), alt=f"Loss of {count(len(shown), 'run')}", key="runs_losses"
    )
    told = "Full lines with signs: validation. Faint lines: training."
    if len(trained) > len(shown):
        told += f" The first {len(shown)} of {len(trained)} are drawn."
    without = [name for name in tables if name not in trained]
    if without:
        told += f" Without a curve: {', '.join(without)}."
    st.caption(frame.plain(told))


def _outcomes(ws: Workspace, chosen: Sequence[RunRecord]) -> None:
    """How each run went: state, time beside the estimate, and the numbers it says of itself."""
    rows = []
    for record in chosen:
        summary = declared(ws.run_folder(record.run_id), "summary", {})
        told = dict(filter(None, (fact(name, value) for name, value in summary.items())))
        expected = record.spec.estimate_seconds if record.spec else None
        times = {"Took": duration(record.status.seconds or None), "Expected": duration(expected)}
        rows.append({"Run": record.run_id, "State": state_words(record), **times, **told})
    st.markdown("**How they went**")
    frame.table(rows, placeholder="", alt="State, time and outcome of each run")


def _configs(chosen: Sequence[RunRecord]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown("**What differs**", width="content")
        everything = st.toggle("Show what is the same, too", key="runs_same")
    rows = side_by_side(chosen) if everything else differences(chosen)
    if not rows:
        st.caption("Nothing: they were asked for in the same way.")
        return
    columns = {record.run_id: [values[at] for values in rows.values()] for at, record in enumerate(chosen)}
    frame.table(
        {"What": list(rows), **columns},
        alt="Parameters, data, base model and versions that differ between the runs",
    )


def _name(record: RunRecord) -> str:
    told = changed_words(record)
    return f"{record.run_id}: {told}" if told else record.run_id
