"""Who wins, by how much, is it more than noise, and for whom? One section at a time; only it is computed."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.wording import count
from engine.results.comparing import looks, row_role
from engine.results.comparing.protocol_guard import older_words
from engine.results.comparing.remarks import NotComputed
from engine.stats.levels import FEW
from engine.stats.verdicts import BETTER, WORSE
from pages.compare import away as compare_away
from pages.compare import choices as compare_choices
from pages.compare import metrics as compare_metrics
from pages.compare import personas as compare_personas
from pages.compare import reads as compare_reads
from pages.compare import table as compare_table
from pages.compare import why as compare_why
from pages.compare import worth as compare_worth
from pages.compare.choices import View
from pages.shared import downloads, frame, judging, reads, rescore

_SECTIONS: Mapping[str, tuple[str, Callable[[View], None]]] = {
    "table": ("Who wins?", compare_table.show),
    "personas": ("For whom?", compare_personas.show_personas),
    "why": ("Why?", compare_why.show),
    "metrics": ("All metrics", compare_metrics.show),
    "heatmap": ("Everyone", compare_personas.show_everyone),
    "cost": ("At what cost?", compare_worth.show_cost),
    "certainty": ("How sure?", compare_worth.show_certainty),
    "away": ("Take it away", compare_away.show),
}


def show() -> None:
    ws = frame.workspace()
    frame.heading("Compare", "Who wins, by how much, is it more than noise, and for whom?")
    if not frame.is_prepared(ws):
        frame.no_data_yet(
            "Every variant stands here against one reference: by how much it gains, how surely, and for whom."
        )
        return
    frame.changed_files(ws)
    frame.torn_runs(ws)
    protocols = reads.protocols(ws)
    if protocols.empty:
        frame.empty_state(
            "Nothing is scored yet",
            "A comparison needs two variants, scored on the same examples. The first run makes both.",
        )
        return
    compare_choices.come_back()
    try:
        view = compare_choices.ask(ws, protocols)
    except NotComputed as missing:
        rescore.instead(ws, missing)
        return
    except reads.NotJudged as waiting:
        judging.instead(ws, waiting, page=compare_choices.PAGE)
        return
    downloads.tell(f"{view.metric.label}, {view.found['split']}, protocol {view.found['protocol']}")
    _headline(view)
    _remarks(ws, view)
    section = compare_choices.choice(
        "Question",
        list(_SECTIONS),
        name="view",
        words=lambda name: _SECTIONS[name][0],
        segmented=True,
        labelled=False,
    )
    compare_choices.keep_address()
    if view.candidates:
        _SECTIONS[section or "table"][1](view)
        compare_choices.keep_address()  # a section has choices of its own
    else:
        compare_table.leaderboard(view, None)
        st.caption("Only the reference is scored here so far; a comparison needs a second variant.")


def _headline(view: View) -> None:
    """What it comes down to: the choice of val and its one verdict; why, in a line each."""
    if view.asked.cluster is not None or not view.candidates or view.metric.higher_is_better is None:
        return
    told = compare_reads.headline(view.ws, view.asked)
    with st.container(border=True, gap="small", key="compare_headline"):
        if told.choice_words:
            name = told.chosen["variant"] if told.chosen is not None else "Nothing"
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{frame.plain(name)}**", width="content")
                _word(told.verdict, is_chosen=told.chosen is not None)
                if told.chosen is not None and told.tested is None:
                    judging.offer(view.ws, view.on_test(name), "Judge it on test", key="compare_judge")
            st.caption(frame.plain(told.choice_words))
        if told.highest_words:
            st.caption(frame.plain(told.highest_words))


def _word(verdict: str, *, is_chosen: bool) -> None:
    if not verdict:
        told = "chosen on validation" if is_chosen else "not above the reference on validation"
        st.badge(told, color="gray")
        return
    icon, colour = _VERDICTS.get(verdict, (":material/help:", "gray"))
    st.badge(f"{verdict} on test", icon=icon, color=colour)  # type: ignore[arg-type]


_VERDICTS = {BETTER: (":material/check_circle:", "green"), WORSE: (":material/cancel:", "red")}


def _remarks(ws: Workspace, view: View) -> None:
    """What a reader must know before believing a number."""
    found = view.found
    personas = max((row["n_paired"] for row in found["rows"]), default=0)
    with st.container(horizontal=True, gap="small"):
        if view.asked.cluster is not None:
            st.badge(
                f"Exploratory: cluster {view.asked.cluster} only, {count(personas, 'persona')}",
                icon=":material/travel_explore:",
                color="orange",
                help="Nobody chose this cluster before the scores were seen, and the correction for several "
                "variants knows nothing of several clusters. Confirm what you see here on new data.",
            )
        elif any(row["small_sample"] for row in found["rows"]):
            st.badge(
                f"Small sample: {count(personas, 'persona')}",
                icon=":material/info:",
                color="orange",
                help=f"With fewer than {FEW} personas intervals are wide and small differences not seen.",
            )
        _looks_at_test(ws, found)
        _strangers(view)
        _other_protocols(found)
    if found["older"]:
        st.caption(frame.plain(older_words(found["older"])))
    if found["warnings"]:
        with st.expander(
            f"Read these differences with care: {count(len(found['warnings']), 'warning')}",
            icon=":material/warning:",
            expanded=len(found["warnings"]) <= 2
            and frame.chosen(compare_choices.PAGE, "view", list(_SECTIONS)) in (None, "table"),
        ):
            st.markdown("\n".join(f"- {frame.plain(line)}" for line in found["warnings"]))
            if found["unscored"] and view.metric.name in reads.missing(ws):
                rescore.offer(ws, [view.metric])


def _looks_at_test(ws: Workspace, found: Mapping[str, Any]) -> None:
    if found["split"] == "val":
        st.badge(
            "Validation: for choosing, not for verdicts",
            icon=":material/info:",
            color="gray",
            help="Choices are made on validation, so its numbers flatter what was chosen.",
        )
        return
    if told := looks.words(looks.seen(ws, looks.at(found))):  # by now: `found` may be from an earlier visit
        st.badge(
            told,
            icon=":material/visibility:",
            color="gray",
            help="Verdicts on these test dialogues, over all metrics, protocols and numbers of examples; one "
            "that is shown again does not count. The more there are, the likelier is a lucky winner: choose "
            "on validation.",
        )


def _strangers(view: View) -> None:
    if view.found.get("unseen") is not None:
        return  # they have a table of their own
    try:
        seen, unseen = compare_reads.strangers(view.ws, view.asked.split)
    except EngineError:  # the data cannot be read, as the head of the page says
        return
    if seen and not unseen:
        st.badge(
            "Seen personas only",
            icon=":material/group:",
            color="gray",
            help="Each persona has dialogues to train on: nothing here says how a new one fares.",
        )
    elif unseen:
        st.badge(
            f"{len(unseen)} of {len(seen) + len(unseen)} personas unseen",
            icon=":material/group_add:",
            color="gray",
            help="They have no dialogue to train on. The report has a table of each group.",
        )


def _other_protocols(found: Mapping[str, Any]) -> None:
    others = [other for other in found["others"] if other["variants"]]
    if others and not any(row["role"] == row_role.ELSEWHERE for row in found["rows"]):
        names = "; ".join(f"{', '.join(one['variants'])}: {one['words']}" for one in others)
        st.badge(
            f"{count(len(found['other_protocols']) + 1, 'protocol')}: only {found['protocol']} is shown",
            icon=":material/rule:",
            color="orange",
            help=frame.plain(f"Scored otherwise, and not in this table. {names}."),
        )


if __name__ == "__main__":
    frame.run(show)
