"""For whom, and everyone at once: the two sections about single personas.

One variant against the reference, every persona as a bar, a point and part of a spread; and all variants and
all personas at once, one cell each.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import pandas as pd
import streamlit as st

from engine.core.wording import count
from engine.show.charts.heatmap import HEATMAP_PERSONAS, Order, heatmap, ordered_personas
from engine.show.charts.looks import BRUSHED
from engine.show.charts.personas import (
    catastrophes,
    distribution_chart,
    persona_chart,
    scatter_chart,
    selected_personas,
)
from engine.show.tables import persona_table
from engine.stats.levels import LOST
from pages.compare import choices as compare_choices
from pages.compare import reads as compare_reads
from pages.compare.choices import View
from pages.shared import downloads, frame, judged, reads

_LISTS = {"lost": "Lost over 10 points", "brushed": "Marked in a chart", "all": "All"}
_ROWS_SHOWN = 12


def show_personas(view: View) -> None:
    """Show who gains and who loses; a click on anything opens the persona."""
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        candidate = compare_choices.candidate(view)
    with right:
        st.caption("Click a bar, a point or a row to open that persona; drag over a chart to list several.")
    judged.statistics(view.row(candidate), view.reference, view.metric, brief=True)
    table = view.table(candidate)
    if table.empty:
        st.caption("No persona is scored by both.")
        return
    _open(view, _bars(view, table, candidate), candidate)
    left, right = st.columns(2, gap="large")
    with left:
        scatter = _scatter(view, table, candidate)
    with right:
        spread = _distribution(view, table, candidate)
    _open(view, scatter, candidate)
    _personas(view, table, candidate, _brushed(view, table, scatter, spread))


def _bars(view: View, table: pd.DataFrame, candidate: str) -> Any:
    st.subheader("Who gains, who loses?", anchor=False)
    return frame.chart(
        persona_chart(table, candidate=candidate, reference=view.reference, metric=view.metric),
        key=f"compare_bars_{candidate}",
        on_select="rerun",
        alt=f"Each persona's difference between {candidate} and {view.reference}; select a bar to open it",
    )


def _scatter(view: View, table: pd.DataFrame, candidate: str) -> Any:
    st.subheader("Against the reference", anchor=False)
    event = frame.chart(
        scatter_chart(table, candidate=candidate, reference=view.reference, metric=view.metric),
        key=f"compare_scatter_{candidate}",
        on_select="rerun",
        alt=f"Each persona's mean under {candidate} over that under {view.reference}",
    )
    lost = f" Below the dashed line are those who {LOST}." if view.in_points else ""
    st.caption(f"Above the line {frame.plain(candidate)} scores higher.{lost}")
    return event


def _distribution(view: View, table: pd.DataFrame, candidate: str) -> Any:
    st.subheader("How differences spread", anchor=False)
    event = frame.chart(
        distribution_chart(table, mean=float(table["difference"].mean()), metric=view.metric),
        key=f"compare_spread_{candidate}",
        on_select="rerun",
        alt=f"How many personas there are at each difference between {candidate} and {view.reference}",
    )
    st.caption(
        "The solid line is 0, the dashed one the mean. A long tail to the left is a risk a mean hides."
    )
    return event


def _open(view: View, event: Any, candidate: str) -> None:
    """Go to the persona under a click."""
    if picked := frame.clicked(event):
        frame.open_persona(picked["persona_id"], candidate, **view.link)


def _brushed(view: View, table: pd.DataFrame, *events: Any) -> list[str] | None:
    """The personas within the drags over the charts; None without a drag."""
    found: set[str] | None = None
    for event in events:
        ranges = {
            "difference" if field == "low" else field: ends
            for field, ends in dict(event["selection"].get(BRUSHED) or {}).items()
        }
        if ranges:
            inside = set(selected_personas(table, ranges, metric=view.metric))
            found = inside if found is None else found & inside
    return None if found is None else sorted(found)


def _personas(view: View, table: pd.DataFrame, candidate: str, brushed: list[str] | None) -> None:
    """A list of personas: those that lost far, those marked in a chart, or all; a row opens one."""
    lost = catastrophes(table, metric=view.metric)
    known = ["all"]
    if view.in_points and view.metric.higher_is_better is not None:
        known.insert(0 if len(lost) else 1, "lost")
    if brushed is not None:
        known.insert(0, "brushed")
    st.subheader("Personas", anchor=False)
    sizes = {"lost": len(lost), "all": len(table), "brushed": len(brushed or ())}
    which = st.segmented_control(
        "Which personas",
        known,
        default=known[0],
        required=True,
        key=f"compare_list_{'-'.join(known)}",
        format_func=lambda name: f"{_LISTS[name]} ({sizes[name]})",
        label_visibility="collapsed",
    )
    shown = {"lost": lost, "all": table, "brushed": table[table["persona_id"].isin(brushed or ())]}[which]
    if shown.empty:
        told = f"Nobody {LOST}." if which == "lost" else "Nobody is marked."
        st.caption(f":green[:material/check_circle:] {told}" if which == "lost" else told)
        return
    _table(view, shown, candidate)


def _table(view: View, shown: pd.DataFrame, candidate: str) -> None:
    factor = view.metric.factor
    drawn = shown.assign(**{name: factor * shown[name] for name in ("difference", "candidate", "reference")})
    true = compare_reads.true_gains(view.ws, view.asked, candidate)
    columns = ["called", "difference", "outcome", "candidate", "reference", "rank"]
    if true:
        drawn["true"] = [
            view.metric.sign * factor * true[name] if name in true else None for name in drawn["persona_id"]
        ]
        columns.insert(2, "true")
    event = frame.table(
        frame.scored(drawn, view.metric, levels=("candidate", "reference"), changes=("difference", "true")),
        key=f"compare_people_{candidate}_{len(shown)}",
        on_select="rerun",
        selection_mode="single-row",
        height="content" if len(shown) <= _ROWS_SHOWN else 440,
        column_order=columns,
        column_config={
            "called": st.column_config.TextColumn("Persona", width="medium"),
            "difference": st.column_config.NumberColumn("Difference"),
            "true": st.column_config.NumberColumn(
                "Gain, luck taken out", help="Drawn to the mean of all personas as far as they are alike."
            ),
            "outcome": st.column_config.TextColumn("Outcome"),
            "candidate": st.column_config.NumberColumn(candidate),
            "reference": st.column_config.NumberColumn(view.reference),
            "rank": st.column_config.NumberColumn(
                "Rank", help=f"Of {count(len(view.table(candidate)), 'persona')}."
            ),
        },
        alt=f"Personas with their scores under {candidate} and {view.reference}; select a row to open one",
    )
    downloads.table_menu(
        partial(persona_table, view.ws, view.found),
        name=f"personas {view.metric.name} {view.found['split']}",
        key="compare_people",
    )
    rows = event["selection"]["rows"]
    if rows and rows[0] < len(shown):
        frame.open_persona(str(shown["persona_id"].iloc[rows[0]]), candidate, **view.link)


_ORDERS: Mapping[str, str] = {
    "difference": "Difference",
    "mean": "Mean of all variants",
    "cluster": "Cluster",
    "name": "Name",
}


def show_everyone(view: View) -> None:
    """Show the heatmap; a click on a cell opens the persona with that variant."""
    clusters = compare_reads.clusters(view.ws)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        by = compare_choices.choice(
            "Sort personas by",
            [name for name in _ORDERS if name != "cluster" or clusters],
            name="sort",
            words=lambda name: _ORDERS[name],
            segmented=True,
        )
    with right:
        by = by or "difference"
        candidate = (
            compare_choices.candidate(view)
            if by in ("difference", "cluster")
            else compare_choices.chosen_candidate(view)
        )
    data = compare_reads.by_persona(view.ws, view.asked)
    called = reads.names(view.ws)
    data = data[data["variant"].isin(view.candidates)]
    data = data.assign(called=[called.get(name, name) for name in data["persona_id"]])
    personas = ordered_personas(data, cast(Order, by), candidate=candidate, clusters=clusters)
    if view.metric.higher_is_better is False and by in ("difference", "mean"):
        personas = personas[::-1]
    personas = _some(personas)
    cells = partial(
        heatmap,
        data,
        variants=view.candidates,
        personas=personas,
        clusters=clusters if by == "cluster" else None,
        metric=view.metric,
    )
    event = frame.chart(
        cells(dark=st.context.theme.type == "dark"),
        on_paper=cells,
        key="compare_heatmap",
        on_select="rerun",
        alt=f"Difference of every variant to {view.reference} for {count(len(personas), 'persona')}",
    )
    st.caption(
        f"One column a persona, one row a variant, against {frame.plain(view.reference)}; blank: not scored. "
        "Click a cell to open that persona with that variant."
    )
    if picked := frame.clicked(event):
        frame.open_persona(picked["persona_id"], picked["variant"], **view.link)


def _some(personas: list[str]) -> list[str]:
    """As many personas as a screen can show; where there are more, which of them."""
    size = HEATMAP_PERSONAS
    if len(personas) <= size:
        return personas
    starts = [str(start) for start in range(0, len(personas), size)]
    start = compare_choices.choice(
        "Personas shown",
        starts,
        name="from",
        words=lambda one: f"{int(one) + 1:,} to {min(int(one) + size, len(personas)):,} of {len(personas):,}",
    )
    begin = int(start or 0)
    return personas[begin : begin + size]
