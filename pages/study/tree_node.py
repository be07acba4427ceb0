"""The decision tree as a picture that can be clicked, and one node of it in words.

What is drawn comes from results/study/picture.py; how, from tree_map.js and tree_map.css beside this file.
"""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from engine.core.paths import Workspace
from engine.core.wording import count, duration, outcomes, p_value, percent, points, signed_points, spelled
from engine.results.study.standing import Stand, Verdict
from engine.results.trees.tree import Node
from engine.results.trees.tree_walk import Finding, Measured, Walk
from engine.results.trees.tree_words import (
    confirmation,
    deciding_words,
    expected_words,
    gain_words,
    gate_words,
    look_of,
    note_words,
)
from engine.runs.records import RunRecord
from engine.strategies import registry
from engine.strategies.clusterings import CLUSTERING, read_clusters
from pages.shared import frame, launch
from pages.shared.drawn import drawn

DETAIL = "home_detail"  # the container that tells about a chosen box; tree_map.js knows it by this name
_drawn_map = drawn(
    "tree_map", __file__, html='<div class="map" role="group" aria-label="Decision tree"></div>'
)


def show_map(picture: dict[str, Any], *, key: str, on_choose: Callable[[str], None]) -> None:
    """Draw the tree; `on_choose` is called with a node's id when its box is clicked."""

    def clicked() -> None:
        chosen = st.session_state[key].get("chosen")
        if isinstance(chosen, str):
            on_choose(chosen)

    _drawn_map(key=key, data=picture, on_chosen_change=clicked)


TONE_COLOURS = {
    "good": "green",
    "bad": "orange",
    "unclear": "gray",
    "active": "blue",
    "next": "blue",
    "alarm": "red",
    "quiet": "gray",
}

_TEST_SIGNS = {
    "confirmed": ("\N{CHECK MARK}", "green"),
    "not confirmed": ("\N{ALMOST EQUAL TO}", "gray"),
    "worse": ("\N{MULTIPLICATION X}", "orange"),
}


def badge(node: Node, done: Walk) -> None:
    """Show a node's state as sign, colour and word."""
    standing = done.standings[node.id]
    word = f"{look_of(node, standing).sign} {look_of(node, standing).word}"
    st.badge(word, color=TONE_COLOURS[look_of(node, standing).tone])  # type: ignore[arg-type]


def show_node(
    ws: Workspace, stood: Stand, done: Walk, node: Node, records: Mapping[str, RunRecord], *, is_next: bool
) -> None:
    """Show everything about a node; `done` may be the walk of a what-if."""
    standing, finding = done.standings[node.id], done.findings.get(node.id, Finding())
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(frame.plain(node.name), anchor=False, width="content")
        badge(node, done)
    if node.is_result:
        _result(stood, done, node)
        return
    experiment = registry.experiments(frame.workspace()).get(node.experiment or "")
    if experiment is not None:
        st.markdown(experiment.question)
    if node.note:
        st.caption(frame.plain(node.note))
    if finding.measured is not None:
        _measured(finding.measured, node, done)
    if standing.decided_by is not None:
        st.markdown(f"Decided by: **{frame.plain(deciding_words(standing.decided_by))}**")
    elif standing.reason and finding.measured is None and standing.state != "running":
        st.info(frame.plain(standing.reason), icon=":material/info:")
    _terms(node, done, finding, stood)
    _clusters(ws, finding, records)
    _runs(finding, records)
    if is_next:
        st.caption("This is the next step: its button is above the tree.")
    elif standing.state == "running":
        st.caption("It is in the queue." if standing.run_state == "queued" else "It is under way.")
    elif experiment is not None and finding.unavailable is None:
        with st.expander("Run it", icon=":material/play_arrow:"), frame.boundary():
            asked = launch.Asked(node.parameters)
            launch.show_plan(ws, experiment, asked, key=f"home_node_{node.id}", prominent=False)


def verdict(found: Verdict, reference: str) -> None:
    """Show what test says of the variant that the walk chose."""
    name = frame.plain(found.variant)
    if found.tested is None:
        if found.chosen is None:
            st.markdown(f"The choice is **{name}**, the reference itself.")
            return
        gain = frame.plain(f"{signed_points(found.chosen.delta)} points over {reference} on validation")
        st.markdown(f"The choice is **{name}**: {gain}. Test has not judged it yet.")
        return
    tested = found.tested
    word = confirmation(tested)
    sign, colour = _TEST_SIGNS.get(word, _TEST_SIGNS["not confirmed"])
    st.badge(f"{sign} {word.capitalize()} on test", color=colour)  # type: ignore[arg-type]
    st.metric(
        frame.plain(f"{found.variant} against {reference}, on test"), f"{signed_points(tested.delta)} points"
    )
    st.caption(f"{_numbers(tested)} Chosen on validation, judged here once.")


def _result(stood: Stand, done: Walk, node: Node) -> None:
    reason = done.standings[node.id].reason or node.record
    if reason:
        st.markdown(frame.plain(reason))
    used = [done.tree.node(name).name if name != done.tree.reference else name for name in node.use]
    st.caption(f"Uses the best, on validation, of: {frame.plain(', '.join(used))}.")
    if done.result == node.id and stood.walk.result == node.id and stood.verdict is not None:
        verdict(stood.verdict, done.tree.reference)


def _measured(measured: Measured, node: Node, done: Walk) -> None:
    if measured.variant == measured.reference:
        told = frame.plain(f"{measured.variant} on {measured.split}, the reference")
        st.metric(told, f"{points(measured.mean)} points")
        return
    told = frame.plain(f"{measured.variant} on {measured.split}")
    st.metric(told, f"{signed_points(measured.delta)} points")
    st.caption(_numbers(measured))
    notes = note_words(measured, done.tree.terms(node))
    if notes:
        st.caption(frame.plain(f"Note: {'; '.join(notes)}."))


def _numbers(measured: Measured) -> str:
    told = p_value(measured.p)
    parts = [
        f"{gain_words(measured)}, 95 % interval",
        f"p {told if told.startswith('<') else f'= {told}'}",
        f"{percent(measured.share_improved)} of personas improve "
        f"(by count {outcomes(measured.wins, measured.ties, measured.losses)})",
    ]
    return frame.plain("; ".join(parts)) + "."


def _terms(node: Node, done: Walk, finding: Finding, stood: Stand) -> None:
    """The gate, the expectation, the parameters and the time, one line each."""
    lines = []
    if node.gate is not None:
        lines.append(("Gate", gate_words(node.gate, done.tree.reference)))
    if node.expected is not None:
        lines.append(("Expected", f"{expected_words(node.expected)} points over {done.tree.reference}"))
    given = ", ".join(f"{name} {spelled(value)}" for name, value in node.parameters.items())
    lines.append(("Parameters", given or "the experiment's defaults"))
    estimate = stood.estimate_words(node.id)
    if finding.seconds:
        lines.append(("Time", f"{duration(finding.seconds)} for {count(len(finding.runs), 'run')}"))
    elif estimate and finding.unavailable is None:
        lines.append(("Time", f"{estimate}, with what it still needs"))
    st.markdown("  \n".join(f"{name}: {frame.plain(text)}" for name, text in lines))


def _clusters(ws: Workspace, finding: Finding, records: Mapping[str, RunRecord]) -> None:
    """What the clustering that a step builds on says of itself, where it found none."""
    for run_id in finding.runs:
        spec = records[run_id].spec if run_id in records else None
        for below in spec.upstream.values() if spec else ():
            record = records.get(below)
            if record is not None and record.experiment == CLUSTERING and record.state == "succeeded":
                if warning := read_clusters(ws, below).warning:
                    st.caption(f":material/warning: {frame.plain(warning)}")
                return


def _runs(finding: Finding, records: Mapping[str, RunRecord]) -> None:
    for run_id in finding.runs:
        record = records.get(run_id)
        if record is None:
            continue
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            frame.run_link(run_id, width="content")
            frame.state_badge(record.state)
