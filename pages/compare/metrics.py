"""All metrics at once: where each variant gains and where it loses, and how surely."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from engine.domains import metrics
from engine.domains.metric import Metric
from engine.results.comparing.remarks import NotComputed
from engine.show.charts.verdict_table import COLOURS, NOT_SCORED, OPEN, SIGNS, verdict_table
from engine.show.tables import comparison_table
from engine.stats.verdicts import BETTER, EQUAL, WORSE
from pages.compare import choices as compare_choices
from pages.compare import reads as compare_reads
from pages.compare.choices import View
from pages.shared import downloads, frame, reads

_TABLE, _NAMES = "compare_metrics_table", "compare_metrics_names"


def show(view: View) -> None:
    """Show the table; a selected row is the variant looked at."""
    candidate = compare_choices.chosen_candidate(view)
    found, waiting = _judged(view)
    if not found:
        st.caption("No metric here has a direction in which it is better.")
        return
    table = verdict_table({label: (metric, told["rows"]) for label, (metric, told) in found.items()})
    names = list(table["variant"])
    st.session_state[_NAMES] = names
    frame.select_rows(_TABLE, [names.index(candidate)] if candidate in names else [])
    where = reads.SPLIT_WORDS[view.asked.split].lower()
    against = f"**{frame.plain(view.reference)}** on {where}"
    st.markdown(f"Differences against {against}, in points where a metric is a share")
    labels = list(found)
    frame.table(
        table.style.map(_colour, subset=labels),
        key=_TABLE,
        on_select=partial(compare_choices.choose_row, _TABLE, _NAMES),
        selection_mode="single-row",
        height="content",
        alt="Every variant's difference in every metric, with its verdict; select a row to look at one",
        column_config={
            "variant": st.column_config.TextColumn("Variant", pinned=True, width=170),
            **{
                label: st.column_config.TextColumn(label, help=metric.help, width=max(110, 8 * len(label)))
                for label, (metric, _) in found.items()
            },
        },
    )
    st.caption(
        f"{SIGNS[BETTER]} better, {SIGNS[WORSE]} worse, {SIGNS[EQUAL]} equal, {OPEN} not clear, "
        f"{NOT_SCORED} not scored; better and worse hold after Holm's correction over all variants. Of "
        "errors less is better: the sign says which way."
    )
    downloads.table_menu(
        partial(_tidy, view, [told for _, told in found.values()]),
        name=f"all metrics {view.asked.split}",
        key=_TABLE,
    )
    if waiting:
        told = ", ".join(waiting)
        st.caption(f"Not judged on test, so not here: {told}. Choose the metric above to judge it.")


def _judged(view: View) -> tuple[dict[str, tuple[Metric, dict[str, Any]]], list[str]]:
    """Label -> the metric and its comparison, and the labels of those that wait for a judgement on test."""
    found: dict[str, tuple[Metric, dict[str, Any]]] = {}
    waiting: list[str] = []
    for one in metrics.of_study(view.ws).values():
        if one.higher_is_better is None:
            continue
        try:
            compared = _compared(view, replace(view.asked, metric=one.name, margin=0.0))
        except reads.NotJudged:
            waiting.append(one.label)
            continue
        if compared is not None:
            found[one.label] = (one, compared)
    return found, waiting


def _compared(view: View, asked: compare_reads.Asked) -> dict[str, Any] | None:
    """The comparison in one metric, of the variants shown; None where it was not computed."""
    shown = {view.reference, *view.candidates}
    try:
        found = compare_reads.found(view.ws, replace(asked, reference=view.reference))
    except NotComputed:
        return None
    return {**found, "rows": [row for row in found["rows"] if row["variant"] in shown]}


def _tidy(view: View, tables: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Every comparison shown, one row a metric and variant."""
    return pd.concat([comparison_table(view.ws, found) for found in tables], ignore_index=True)


def _colour(cell: str) -> str:
    colour = COLOURS.get(cell[:1])
    return f"background-color: {colour}" if colour else ""
