"""At what cost, and how sure? The two sections that weigh a difference.

Quality over parameters, training time or the time per reply, with the front nobody beats; and what noise
alone does, what a placebo does, and how many personas a difference would take.
"""

from typing import cast

import pandas as pd
import streamlit as st

from engine.core.wording import count, percent, signed_points
from engine.show.charts.cost import COSTS, CostName, cost_chart, tradeoff_table
from engine.show.charts.power import power_chart
from engine.stats.forecast import MOST_PERSONAS
from engine.stats.levels import ALPHA, POWER
from engine.stats.power import Outlook, outlook, seeds_part
from engine.stats.verdicts import among
from pages.compare import asking
from pages.compare import choices as compare_choices
from pages.compare import reads as compare_reads
from pages.compare.choices import View
from pages.shared import frame, judged, seeds

_CHART = "compare_cost_chart"


def show_cost(view: View) -> None:
    """Show the trade-off chart and the front as a table; a click on a variant looks at it."""
    name = compare_choices.choice(
        "Cost", list(COSTS), name="cost", words=lambda one: COSTS[one].label, segmented=True, labelled=False
    )
    cost = cast(CostName, name or "parameters")
    known = compare_reads.costs(view.ws, split=view.found["split"], protocol=view.found["protocol"])
    table = tradeoff_table(
        view.found["rows"],
        {variant: held[cost] for variant, held in known.items()},
        cost=cost,
        metric=view.metric,
    )
    if table.empty or view.metric.higher_is_better is None:
        st.info(_nothing(view), icon=":material/info:")
        return
    frame.chart(
        cost_chart(table, cost=cost, metric=view.metric),
        key=_CHART,
        on_select=_choose_mark,
        alt=f"{view.metric.label} of each variant over its {COSTS[cost].label.lower()}",
    )
    st.caption(
        f"{COSTS[cost].help} Diamonds are on the front: no other variant is as cheap and better, or "
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
            "cost_words": COSTS[cost].label,
            "verdict": f"Against {frame.plain(view.reference)}",
        },
    )


def _choose_mark() -> None:
    if picked := frame.clicked(_CHART):
        compare_choices.choose_candidate(picked["variant"])
        compare_choices.choose_section("table")


_POINTS, _OF_A_SCALE = ("1", "0.5", "2", "3", "5", "10"), ("0.1", "0.05", "0.2", "0.3", "0.5", "1")


def show_certainty(view: View) -> None:
    """Show noise, placebo and power of one variant, and where the statistics were checked."""
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        candidate = compare_choices.candidate(view)
    with right, st.container(horizontal=True, gap="small"):
        asking.buttons(view, candidate)
    judged.statistics(view.row(candidate), view.reference, view.metric)
    left, right = st.columns(2, gap="large")
    with left:
        _power(view, candidate)
    with right:
        st.subheader("Is it more than noise?", anchor=False)
        judged.noise(view.found, view.metric)
        seeds.repeat(view.ws, key="compare_repeat")
        st.subheader("Over what does the gain stand?", anchor=False)
        judged.controls(view.row(candidate), view.reference, view.metric)
        asking.missing(view, candidate)
        _memory(view, candidate)
        st.subheader("Are the statistics right?", anchor=False)
        st.page_link(
            frame.STATISTICS, label="How often are these statistics right?", icon=":material/fact_check:"
        )


def _memory(view: View, candidate: str) -> None:
    """Where its gain stands: on replies that stand in her own train dialogues, elsewhere, and by turn."""
    if not view.in_points or view.asked.cluster is not None:
        return
    found = compare_reads.audit(view.ws, view.asked, candidate)
    if found is None or candidate not in found.parts:
        return
    st.subheader("Is it memory?", anchor=False)
    st.caption(found.words)
    with st.container(horizontal=True, gap="medium"):
        for part in found.parts[candidate]:
            told = judged.spread(part.delta, part.ci_low, part.ci_high)
            st.metric(
                f"Gain {part.name}",
                signed_points(part.delta),
                help=f"Over {count(part.n_examples, 'example')}{told}.",
                width="content",
            )
    with st.expander("By the reply's turn in its dialogue"):
        for part in found.turns[candidate]:
            told = judged.spread(part.delta, part.ci_low, part.ci_high)
            st.caption(
                f"Turn {part.name}: {signed_points(part.delta)}{told}, {count(part.n_examples, 'example')}"
            )


def _power(view: View, candidate: str) -> None:
    """How many personas a difference would take, from this variant's spread."""
    st.subheader("How many personas would it take?", anchor=False)
    row = view.row(candidate)
    smallest = row["min_detectable_effect"]
    if not smallest or row["n_paired"] < 2:
        st.caption("A forecast needs two personas that differ.")
        return
    offered = _POINTS if view.metric.in_points else _OF_A_SCALE
    asked = compare_choices.choice(
        "To see a difference of",
        list(offered),
        name="effect",
        words=lambda name: compare_choices.amount(view.metric, name),
    )
    effect = float(asked or offered[0]) / view.metric.factor
    family = (row["family_size"] or 1) * (row["among_metrics"] or 1)
    of_seeds = seeds_part(row["seeds"])
    found = outlook(
        n_personas=row["n_paired"], smallest=smallest, effect=effect, family=family, of_seeds=of_seeds
    )
    st.markdown(_told(found, view, candidate))
    frame.chart(
        power_chart(found, metric=view.metric),
        alt="Smallest difference that a study of so many personas finds",
    )
    st.caption(
        f"Found: the verdict at {ALPHA:g}{among(row)}, in {percent(POWER)} of studies. The spread "
        f"between personas is taken from {frame.plain(candidate)} against {frame.plain(view.reference)} here."
    )


def _told(found: Outlook, view: View, candidate: str) -> str:
    def size(value: float) -> str:
        return view.metric.size(value)

    unit = view.metric.unit_words
    needed = (
        f"more than {MOST_PERSONAS:,} personas" if found.needed is None else count(found.needed, "persona")
    )
    if found.effect <= found.floor:
        needed = "more seeds: no number of personas makes up for training"
    none = view.metric.in_points and found.detectable > 1
    seen = "no difference at all" if none else f"{size(found.detectable)}{unit}"
    return (
        f"To see a true difference of **{size(found.effect)}{unit}** in four of five studies you need "
        f"**{needed}**. With your {count(found.n_personas, 'persona')} you can see **{seen}**, and would "
        f"find {size(found.effect)}{unit} in {percent(found.power)} of studies."
    )
