"""Everyone: all variants and all personas at once, one cell each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import streamlit as st

from engine.core.wording import count
from engine.show import charts
from engine.show.charts.heatmap import Order
from pages.compare import choices as compare_choices
from pages.compare import reads as compare_reads
from pages.compare.choices import View
from pages.shared import frame

_ORDERS: Mapping[str, str] = {
    "difference": "Difference",
    "mean": "Mean of all variants",
    "cluster": "Cluster",
    "name": "Name",
}


def show(view: View) -> None:
    """Show the heatmap; a click on a cell opens the persona with that variant."""
    clusters = compare_reads.clusters(view.ws)
    left, right = st.columns([3, 2], gap="large", vertical_alignment="bottom")
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
            compare_choices.candidate(view, label="of the variant")
            if by in ("difference", "cluster")
            else compare_choices.chosen_candidate(view)
        )
    data = compare_reads.by_persona(view.ws, view.asked)
    data = data[data["variant"].isin(view.candidates)]
    personas = charts.ordered_personas(data, cast(Order, by), candidate=candidate, clusters=clusters)
    if view.metric.higher_is_better is False and by in ("difference", "mean"):
        personas = personas[::-1]
    personas = _page(personas)
    event = frame.chart(
        charts.heatmap(
            data,
            variants=view.candidates,
            personas=personas,
            clusters=clusters if by == "cluster" else None,
            in_points=view.in_points,
            reverse=view.metric.higher_is_better is False,
            dark=st.context.theme.type == "dark",
        ),
        key="compare_heatmap",
        on_select="rerun",
        alt=f"Difference of every variant to {view.reference} for {count(len(personas), 'persona')}",
    )
    st.caption(
        f"One column a persona, one row a variant, against {frame.plain(view.reference)}; blank: not scored. "
        "Click a cell to open that persona with that variant."
    )
    if picked := frame.clicked(event):
        frame.open_persona(picked["persona_id"], picked["variant"])


def _page(personas: list[str]) -> list[str]:
    """As many personas as a screen can show; where there are more, which of them."""
    size = charts.HEATMAP_PERSONAS
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
