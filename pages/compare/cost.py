"""At what cost? Quality over parameters, training time or the time per reply, with the front nobody beats."""

from __future__ import annotations

from typing import cast

import pandas as pd
import streamlit as st

from engine.show import charts
from engine.show.charts.cost import CostName
from pages.compare import choices as compare_choices
from pages.compare import reads as compare_reads
from pages.compare.choices import View
from pages.shared import frame

_CHART = "compare_cost_chart"


def show(view: View) -> None:
    """Show the trade-off chart and the front as a table; a click on a variant looks at it."""
    name = compare_choices.choice(
        "Cost",
        list(charts.COSTS),
        name="cost",
        words=lambda one: charts.COSTS[one].label,
        segmented=True,
        labelled=False,
    )
    cost = cast(CostName, name or "parameters")
    known = compare_reads.costs(view.ws, split=view.found["split"], protocol=view.found["protocol"])
    table = charts.tradeoff_table(
        view.found["rows"],
        {variant: held[cost] for variant, held in known.items()},
        cost=cost,
        higher_is_better=view.metric.higher_is_better,
        in_points=view.in_points,
    )
    if table.empty or view.metric.higher_is_better is None:
        st.info(_nothing(view), icon=":material/info:")
        return
    frame.chart(
        charts.cost_chart(table, cost=cost, label=view.metric.label, in_points=view.in_points),
        key=_CHART,
        on_select=_choose_mark,
        alt=f"{view.metric.label} of each variant over its {charts.COSTS[cost].label.lower()}",
    )
    st.caption(
        f"{charts.COSTS[cost].help} Diamonds are on the front: no other variant is as cheap and better, or "
        "as good and cheaper. Blue is clearly better than the reference, orange clearly worse, grey neither. "
        "Click one for its numbers."
    )
    _front(view, table, cost)


def _nothing(view: View) -> str:
    if view.metric.higher_is_better is None:
        return f"{view.metric.label} has no better and worse, so there is no trade-off to show."
    return "These scores came without what they cost: only runs made here know their parameters and times."


def _front(view: View, table: pd.DataFrame, cost: CostName) -> None:
    leading = table[table["front"] == "on the front"].sort_values("cost")
    st.markdown("**The front**, from cheap to good")
    frame.table(
        leading[["variant", "mean_words", "cost_words", "verdict"]],
        width=760,
        alt="Variants on the front, from the cheapest to the best",
        column_config={
            "variant": "Variant",
            "mean_words": f"Mean{', points' if view.in_points else ''}",
            "cost_words": charts.COSTS[cost].label,
            "verdict": f"Against {frame.plain(view.reference)}",
        },
    )


def _choose_mark() -> None:
    if picked := frame.clicked(_CHART):
        compare_choices.choose_candidate(picked["variant"])
        compare_choices.choose_section("table")
