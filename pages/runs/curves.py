"""The curves of one run: loss with its smoothing, and learning rate, memory and processor beside it."""

import pandas as pd
import streamlit as st

from engine.core.paths import Workspace
from engine.runs.records import RunRecord
from engine.runs.runfolder import read_events
from engine.show.charts.losses import loss_chart, loss_table, rate_chart, thinned, usage_chart
from engine.show.curves import curve_table, smoothed, usage_table
from engine.show.tables import written
from pages.runs.queue import ACTIVE
from pages.shared import downloads, frame


def show(ws: Workspace, record: RunRecord) -> None:
    """Show what the run told of itself while it worked, and offer it as a file."""
    folder = ws.run_folder(record.run_id)
    table, looks = loss_table(read_events(folder)), usage_table(folder)
    if not table.empty:
        share = smoothing()
        told = f"Loss of {record.run_id} in training and validation by step"
        frame.chart(loss_chart(thinned(smoothed(table, share))), alt=told, key="runs_loss")
    _beside(record, table, looks)
    if not table.empty or not looks.empty:
        downloads.file(
            "Curves as CSV", lambda: written(curve_table(ws, [record.run_id]), "csv"),
            name=f"{record.run_id}-curves.csv", mime="text/csv", key="runs_curves_csv",
        )  # fmt: skip
    if not table.empty:
        return
    if record.state in ACTIVE:
        st.caption("No loss yet: it appears with the first training steps, if this run trains.")
    elif record.state == "succeeded":
        st.caption("This run trained nothing, so there is no loss curve.")
    else:
        st.caption("There is no loss curve: the run has not trained.")


def smoothing() -> float:
    """How much of the past the training loss keeps; 0 shows what was measured."""
    share: float = st.slider(
        "Smoothing of the training loss", 0.0, 0.95, 0.0, 0.05, key="runs_smoothing", width=320,
        help="A running mean: so much of the past stays in each value. Validation is never smoothed.",
    )  # fmt: skip
    return share


def _beside(record: RunRecord, table: pd.DataFrame, looks: pd.DataFrame) -> None:
    """Learning rate, memory and processor, where they were told: runs of earlier versions have none."""
    drawn = []
    if table["learning_rate"].notna().any():
        drawn.append(("Learning rate by step", "runs_rate", rate_chart(thinned(table))))
    for field, what in (("memory_gb", "Memory"), ("processor", "Cores busy")):
        if len(looks) > 1 and looks[field].notna().any():
            drawn.append((f"{what} by time at work", f"runs_{field}", usage_chart(looks, field=field)))  # type: ignore[arg-type]
    for column, (told, key, chart) in zip(st.columns(len(drawn)) if drawn else (), drawn, strict=True):
        with column:
            frame.chart(chart, alt=f"{told}, {record.run_id}", key=key)
