"""How sure? What noise alone does, what a placebo does, and how many personas a difference would take."""

from __future__ import annotations

import streamlit as st

from engine.core.wording import count, percent, signed_points
from engine.show import charts
from engine.stats.forecast import ALPHA, MOST_PERSONAS, POWER
from engine.stats.power import Outlook, outlook
from pages.compare import choices as compare_choices
from pages.compare.choices import View
from pages.shared import frame, judged

_EFFECTS = ("1", "0.5", "2", "3", "5", "10")


def show(view: View) -> None:
    """Show noise, placebo and power of one variant, and where the statistics were checked."""
    left, _ = st.columns([2, 3], gap="large")
    with left:
        candidate = compare_choices.candidate(view)
    judged.statistics(view.row(candidate), view.reference, view.metric)
    left, right = st.columns(2, gap="large")
    with left:
        _power(view, candidate)
    with right:
        st.subheader("Is it more than noise?", anchor=False)
        judged.noise(view.found, view.metric)
        st.subheader("Is it personal?", anchor=False)
        judged.placebo(view.row(candidate), view.metric)
        st.subheader("Are the statistics right?", anchor=False)
        st.page_link(
            frame.STATISTICS, label="How often are these statistics right?", icon=":material/fact_check:"
        )


def _power(view: View, candidate: str) -> None:
    """How many personas a difference would take, from this variant's spread."""
    st.subheader("How many personas would it take?", anchor=False)
    row = view.row(candidate)
    smallest = row["min_detectable_effect"]
    if not smallest or row["n_paired"] < 2:
        st.caption("A forecast needs two personas that differ.")
        return
    unit = " points" if view.in_points else ""
    asked = compare_choices.choice(
        "To see a difference of",
        list(_EFFECTS),
        name="effect",
        words=lambda name: f"{name}{unit}".replace("1 points", "1 point"),
    )
    effect = float(asked or 1) / (100 if view.in_points else 1)
    found = outlook(n_personas=row["n_paired"], detectable=smallest, effect=effect)
    st.markdown(_told(found, view, candidate))
    frame.chart(
        charts.power_chart(found, in_points=view.in_points),
        alt="Smallest difference that a study of so many personas finds",
    )
    st.caption(
        f"Found: a two-sided paired t-test at {ALPHA:g}, in {percent(POWER)} of studies. The spread between "
        f"personas is taken from {frame.plain(candidate)} against {frame.plain(view.reference)} here."
    )


def _told(found: Outlook, view: View, candidate: str) -> str:
    def size(value: float) -> str:
        return signed_points(value * view.factor).removeprefix("+")

    unit = " points" if view.in_points else ""
    needed = (
        f"more than {MOST_PERSONAS:,} personas" if found.needed is None else count(found.needed, "persona")
    )
    return (
        f"To see a true difference of **{size(found.effect)}{unit}** in four of five studies you need "
        f"**{needed}**. With your {count(found.n_personas, 'persona')} you can see **{size(found.detectable)}"
        f"{unit}**, and would find {size(found.effect)}{unit} in {percent(found.power)} of studies."
    )
