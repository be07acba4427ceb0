"""Who wins? The leaderboard, the intervals, and the numbers of the variant that is looked at."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pandas as pd
import streamlit as st

from engine.core.wording import ago, count, percent
from engine.results.comparing import row_role
from engine.results.comparing import unseen as unseen_table
from engine.results.comparing.criteria import DECIDES
from engine.results.imported.routing import WHY
from engine.show.charts.intervals import interval_chart
from engine.show.charts.leaderboard import leaderboard_table
from engine.show.tables import comparison_latex, comparison_table
from engine.show.training_words import noise_word
from engine.stats.levels import LOST
from engine.strategies import reference
from pages.compare import asking
from pages.compare import choices as compare_choices
from pages.compare import reads as compare_reads
from pages.compare.choices import View
from pages.shared import downloads, frame, judged, reads

_ROWS_SHOWN = 16
_HEIGHT = 600  # of a longer table, in pixels: half a row at its end says that it goes on
_TABLE, _CHART, _SHOWN = "compare_table", "compare_intervals", "compare_shown"
_number, _text = st.column_config.NumberColumn, st.column_config.TextColumn
_COLUMNS: Final[Mapping[str, Any]] = {
    "variant": _text("Variant", width=170, pinned=True),
    "settings": _text(
        "Made with",
        help="What tells it from others of its name: the settings that are not the same for all.",
        width=130,
    ),
    "mean": _number("Mean", help="Mean over personas of each one's own mean.", width=72),
    "delta": _number("Difference", width=80),
    "interval": _text("95 % interval", help="Over personas; its rule stands beside the tests.", width=106),
    "verdict": _text(
        "Verdict",
        help="Better or worse: the interval leaves out 0 and p (Holm) is under 0.05. Better asks for the "
        "second metric not to be worse, where there is one. Equal: surely within a point either way.",
        width=154,
    ),
    "why": _text(
        "Why",
        help="What the verdict rests on or lacks. Not clear is also what is clear alone but not "
        "among all the variants that were tried (Holm), what fits too wide a range, and what another "
        "seed changes.",
        width=250,
    ),
    "noise": _text(
        "Noise", help="Of training. Within: by chance alone, seeds of one recipe differ as much.", width=76
    ),
    "steps": _number(
        "Steps",
        format="localized",
        help="Optimiser steps of all that was trained for it, what it is built on included.",
        width=76,
    ),
    "second": _text(
        "Beside it",
        help="The second primary metric, without which nothing is better: its difference, and whether "
        "its interval stays above minus the margin.",
        width=110,
    ),
    "p": _text(
        "p (Holm)",
        help="The strictest test over personas, corrected for the number of variants, and of metrics where "
        "this one was not declared beforehand.",
        width=66,
    ),
    "counts": _text(
        "Better / equal / worse",
        help="How many personas are better, equal and worse than under the reference.",
        width=140,
    ),
    "improved": _number(
        "Improved",
        format="%.0f %%",
        help="Share of personas that truly gain, with the luck of few examples taken out.",
        width=70,
    ),
    "lost": _number("Lost > 10", format="%d", help=f"Personas that {LOST}.", width=68),
    "placebo": _text(
        "Placebo",
        help="Against the same recipe with another persona's adapter or memories. Being above it counts "
        "the harm of the wrong persona too; How sure? has the other gains beside it.",
        width=90,
    ),
    "criterion": _text(
        "Success",
        help="The highest level reached against unified; each asks for a gain that is more than chance.",
        width=122,
    ),
}


def show(view: View) -> None:
    """Show the table, the intervals beside the statistics of one variant, and what hindsight would give."""
    candidate = compare_choices.chosen_candidate(view)
    leaderboard(view, candidate)
    _unseen(view)
    _hindsight(view)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _intervals(view)
    with right:
        _one(view, candidate)


def leaderboard(view: View, candidate: str | None) -> None:
    """Show every variant, the reference first; a selected row is the variant looked at."""
    metric, found = view.metric, view.found
    table = leaderboard_table(found["rows"], reference=view.reference, metric=metric)
    table["criterion"] = [_reached(found, name) for name in table["variant"]]
    table["steps"] = [row.get("steps") for row in found["rows"]]
    table["why"] = [_lacks(row) for row in found["rows"]]
    table["noise"] = [noise_word(row) for row in found["rows"]]
    table["placebo"] = [judged.placebo_word(row, metric) for row in found["rows"]]
    shown = list(table["variant"])
    st.session_state[_SHOWN] = shown
    frame.select_rows(_TABLE, [shown.index(candidate)] if candidate in shown else [])
    unit = ", in points," if view.in_points else ""
    where = reads.SPLIT_WORDS[view.asked.split].lower()
    st.markdown(
        f"**{metric.label}** on {where}{unit} of each variant against {frame.plain(view.reference)}",
        help=metric.help,
    )
    frame.table(
        frame.scored(table, metric, levels=("mean",), changes=("delta",)),
        key=_TABLE,
        on_select=partial(compare_choices.choose_row, _TABLE, _SHOWN),
        selection_mode="single-row",
        height="content" if len(table) <= _ROWS_SHOWN else _HEIGHT,
        placeholder="",
        alt=f"Leaderboard of {metric.label}; select a row to see its numbers",
        column_order=_columns(view, table),
        column_config=_COLUMNS,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        _reference(view)
        downloads.table_menu(
            partial(comparison_table, view.ws, view.found),
            name=f"{metric.name} {view.found['split']}",
            key=_TABLE,
            paper=partial(comparison_latex, view.ws, view.found),
        )


def _unseen(view: View) -> None:
    """The second table: personas kept out of all training."""
    found = view.found.get("unseen")
    if found is None:
        return
    second, metric = replace(view, found=found), view.metric
    table = leaderboard_table(found["rows"], reference=second.reference, metric=metric)
    st.markdown(
        f"**Unseen personas**: {metric.label} of who serves them, against {frame.plain(second.reference)}",
        help="They were kept out of all training, choices, clusters and placebos. Verdicts and Holm's "
        "correction are those of this table.",
    )
    frame.table(
        frame.scored(table, metric, levels=("mean",), changes=("delta",)),
        placeholder="",
        alt=f"Leaderboard of {metric.label} over unseen personas",
        column_order=["variant", "mean", "delta", "interval", "verdict", "p", "counts", "improved"],
        column_config=_COLUMNS,
    )
    if found["cannot_serve"]:
        names = ", ".join(frame.plain(name) for name in found["cannot_serve"])
        st.caption(f"{names}: {unseen_table.CANNOT}.")


def _lacks(row: Mapping[str, Any]) -> str:
    """Why a verdict is not clear, though its number looks so; what a clear one lacks, or rests on."""
    return "" if row["role"] and row["delta"] is None else str(row.get("why") or "")


def _reference(view: View) -> None:
    """Which run all are compared with, and since when."""
    row = view.row(view.reference)
    chosen = reference.references(view.ws)
    found = next((one for one in chosen.values() if one.run_id == row["run_id"]), None)
    if found is None:
        return
    seeds = f", mean of {count(row['seeds']['n'], 'seed')}" if row.get("seeds") else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        frame.run_link(found.run_id, f"Reference: {found.run_id}", icon=":material/flag:")
        how = "chosen" if found.by == "choice" else "the first there was"
        st.caption(f"{how}, {ago(found.at)}{seeds}. No newer run takes its place.", width="content")


def _reached(found: Mapping[str, Any], variant: str) -> str:
    """The highest level of success that a variant reaches."""
    bands = found["criteria"].get(variant, ())
    best = next((band for band in reversed(bands) if band["met"]), None)
    return "" if best is None else str(best["title"])


def _columns(view: View, table: pd.DataFrame) -> list[str]:
    metric = view.metric
    columns = ["variant", "mean", "delta", "interval", "verdict", "p", "counts", "improved"]
    if any(table["settings"]):
        columns.insert(4, "settings")  # behind the numbers, which a telephone shows without scrolling
    if metric.higher_is_better is None:
        return columns[: columns.index("verdict")]
    if any(table["second"]):
        columns.insert(columns.index("verdict") + 1, "second")
    if any(table["why"]):
        columns.insert(columns.index("verdict") + 1, "why")
    if view.in_points:
        columns.append("lost")
    if any(table["placebo"]):  # in place of the share: so much fits on a screen
        columns[columns.index("improved")] = "placebo"
    if any(table["noise"]):
        columns.insert(columns.index("verdict") + 1, "noise")
    if metric.name == DECIDES and any(table["criterion"]):
        columns.append("criterion")
    return [*columns, "steps"] if table["steps"].notna().any() else columns


def _intervals(view: View) -> None:
    st.subheader("How large is the difference?", anchor=False)
    frame.chart(
        interval_chart(
            view.found["rows"],
            reference=view.reference,
            metric=view.metric,
            noise_floor=view.found["noise"]["floor"],
        ),
        key=_CHART,
        on_select=_choose_mark,
        alt=f"Difference of each variant to {view.reference} in {view.metric.label}, with intervals",
    )
    told = ["Each line is a 95 % interval over personas."]
    if any(row_role.is_bound(row) for row in view.found["rows"]):
        told.append(
            "Diamonds never compete: a bound knows the persona perfectly, a yardstick only the population."
        )
    if view.found["noise"]["floor"] is not None:
        told.append("The grey band is what another seed alone changed.")
    st.caption(" ".join(told))


def _choose_mark() -> None:
    if picked := frame.clicked(_CHART):
        compare_choices.choose_candidate(picked["variant"])


def _one(view: View, candidate: str) -> None:
    """The numbers of one variant, and the way to its personas."""
    st.subheader(frame.plain(candidate), anchor=False)
    if settings := view.row(candidate)["settings"]:
        st.caption(f"Made with {frame.plain(settings)}.")
    judged.statistics(view.row(candidate), view.reference, view.metric)
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Who gains and who loses?",
            icon=":material/groups:",
            key="compare_to_personas",
            on_click=compare_choices.choose_section,
            args=("personas",),
        )
        asking.buttons(view, candidate)
    bands = view.found["criteria"].get(candidate)
    if bands:
        judged.criteria(bands, candidate, view.found["split"])


def _hindsight(view: View) -> None:
    """What choosing the best variant for each persona on these very scores would give: a bound."""
    names = [row["variant"] for row in compare_choices.competing(view.found["rows"])]
    if len(names) < 2 or view.metric.higher_is_better is None:
        return
    bound = compare_reads.hindsight(view.ws, view.asked, tuple(names), view.reference)
    st.caption(
        f"Hindsight bound: each persona with the best variant on these very scores would gain "
        f"{view.metric.change(view.metric.sign * bound.bound)} over {frame.plain(view.reference)} "
        f"({percent(bound.share_moved)} of personas would leave it, over {count(len(names), 'variant')}). "
        "No router can promise it: it has seen the answers."
    )
    if view.asked.cluster is None and reads.is_published(view.ws, str(view.found["protocol"])):
        with frame.boundary():
            _routing_of_published(view)


def _routing_of_published(view: View) -> None:
    """What can be said of routing where one mean a persona is all there is."""
    with st.expander("What is routing worth here?", icon=":material/alt_route:"):
        told = compare_reads.routing_of_published(view.ws, view.asked, view.reference)
        frame.table(
            [
                {
                    "Choice": rule.name.capitalize(),
                    "Gain": view.metric.change(rule.comparison.delta),
                    "95 % interval": view.metric.spread(rule.comparison.ci_low, rule.comparison.ci_high),
                    "Better, equal, worse": f"{rule.comparison.wins}, {rule.comparison.ties}, "
                    f"{rule.comparison.losses}",
                    "It is": rule.kind,
                    "How": rule.words,
                }
                for rule in told.rules
            ],
            alt=f"What each way of routing gains over {view.reference}",
        )
        st.caption(frame.plain(WHY))
