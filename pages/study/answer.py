"""What has the study found so far, in one look: the sentence, the two in front, and who loses by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from engine.core.paths import Workspace
from engine.core.types import Row
from engine.core.wording import count
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results.comparing import row_role
from engine.results.comparing.headline import Headline, headline, opening_split
from engine.results.comparing.pairings import pairings
from engine.results.comparing.scene import NotScored
from engine.show.charts.looks import CHOSEN
from engine.show.charts.personas import strip_chart, table_of
from engine.stats.verdicts import BETTER, EQUAL, WORSE, verdict
from pages.shared import frame, reads

_FRONT, _WORST = 2, 3
_SIGNS = {
    BETTER: (":material/trending_up:", "green"),
    WORSE: (":material/trending_down:", "orange"),
    EQUAL: (":material/equal:", "gray"),
}
_OPEN = (":material/help:", "gray")


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown: the comparison and the variant in front, None where nothing competes."""

    split: str
    reference: str
    metric: Metric
    leader: Row | None


def show(ws: Workspace) -> Shown | None:
    """Show the answer as it stands and return it; None before anything is scored."""
    try:
        found = reads.compared(ws, split=_opening_split(ws))
    except NotScored:
        return None
    told, metric = _headline(ws, found["split"]), METRICS[found["metric"]]
    front = _front(found, told, metric)
    shown = Shown(found["split"], str(found["reference"]), metric, front[0] if front else None)
    with st.container(border=True, gap="small"):
        st.subheader("The answer so far" if told.tested is None else "The answer", anchor=False)
        st.markdown(frame.plain(told.answer(competing=bool(front))))
        if not front:
            return shown
        _standing(found, told)
        where = reads.SPLIT_WORDS[shown.split].lower()
        for place, row in enumerate(front):
            _one(row, f"{'Leader' if place == 0 else 'Runner-up'} on {where}", metric)
    return shown


@reads.lasting(Headline, until=reads.with_looks)
def _headline(ws: Workspace, split: str) -> Headline:
    return headline(ws, reads.compared(ws, split=split), compared=reads.compared)


def _front(found: Mapping[str, Any], told: Headline, metric: Metric) -> list[Row]:
    """The one that was chosen and the best beside it, of those that compete."""
    rows = [row for row in found["rows"] if row_role.competes(row) and row["delta"] is not None]
    chosen = None if told.chosen is None else told.chosen["variant"]
    rows.sort(key=lambda row: (row["variant"] != chosen, -metric.sign * row["delta"], row["variant"]))
    return rows[:_FRONT]


def _standing(found: Mapping[str, Any], told: Headline) -> None:
    over = count(max((row["n_paired"] for row in found["rows"]), default=0), "persona")
    if told.tested is not None:
        icon, colour = _SIGNS.get(told.verdict, _OPEN)
        st.badge(f"Judged on test: {told.verdict}, {over}", icon=icon, color=colour)  # type: ignore[arg-type]
    elif found["split"] == "val":
        st.badge(
            f"Provisional, on validation, {over}",
            icon=":material/hourglass_top:",
            color="gray",
            help="Chosen on these very examples, so the numbers flatter. Compare judges it on test.",
        )


def _one(row: Row, place: str, metric: Metric) -> None:
    """One variant: its difference, its interval, and the word for it."""
    spread = f" ({metric.spread(row['ci_low'], row['ci_high'])})" if row["ci_low"] is not None else ""
    word = verdict(row, higher_is_better=metric.higher_is_better)
    icon, colour = _SIGNS.get(word, _OPEN)
    name = frame.plain(str(row["variant"]))
    told = frame.plain(f"{metric.change(row['delta'])}{spread}")
    st.markdown(f"{place}: **{name}** {told}, :{colour}[{icon}\N{NO-BREAK SPACE}{word}]")


@reads.lasting(dict[str, list[Any]])
def _by_persona(ws: Workspace, split: str, variant: str) -> dict[str, list[Any]]:
    """One row a persona, the largest gain first, as columns."""
    found = reads.compared(ws, split=split)
    metric = METRICS[found["metric"]]
    paired = pairings(ws, found, variants=[variant])[variant]
    return table_of(paired, metric=metric).to_dict("list")


_opening_split = reads.lasting(str)(opening_split)


def who_loses(ws: Workspace, shown: Shown) -> None:
    """Show each persona's difference under the variant in front, and name those who lose most by it."""
    row = shown.leader
    if row is None or not row["n_paired"]:
        return
    variant, metric = str(row["variant"]), shown.metric
    table = pd.DataFrame(_by_persona(ws, shown.split, variant))
    names = reads.names(ws)
    named = table.assign(called=[names.get(persona, persona) for persona in table["persona_id"]])
    reference, where = str(row.get("built_on") or shown.reference), reads.SPLIT_WORDS[shown.split].lower()
    unit = ", in points" if metric.in_points else ""
    st.caption(frame.plain(f"Each persona under {variant} against {reference} on {where}{unit}."))
    event = frame.chart(
        strip_chart(named, candidate=variant, reference=reference, metric=metric),
        key="home_strip",
        on_select="rerun",
        selection_mode=CHOSEN,
        alt=f"Each persona's difference under {variant} on {where}",
    )
    if (clicked := frame.clicked(event)) is not None:
        frame.open_persona(clicked["persona_id"], variant, split=shown.split)
    losers = table[table["outcome"] == WORSE].iloc[::-1].head(_WORST)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="links_losers"):
        if losers.empty:
            told = f"On {where}, nobody is worse off than under {frame.plain(reference)}."
        else:
            told = f"Who loses most on {where}:"
        st.caption(told, width="content")
        for persona, difference in zip(losers["persona_id"], losers["difference"], strict=True):
            st.page_link(
                frame.PERSONA,
                label=frame.plain(f"{names.get(persona, persona)} {metric.change(difference)}"),
                query_params=frame.persona_query(persona, variant, split=shown.split),
            )
        st.page_link(frame.COMPARE, label="Compare all", icon=":material/leaderboard:")
