"""What can be asked of the variant looked at, each by a button: is it equal, and its controls."""

import streamlit as st

from engine.core.paths import Workspace
from engine.results.study.onward import controls_of
from engine.strategies.plan import Plan
from pages.compare.choices import View
from pages.shared import frame, judged, launch, reads


@frame.guarded
def buttons(view: View, candidate: str) -> None:
    """Show the buttons in the row that they stand in."""
    judged.equivalence(view.row(candidate), view.reference, view.metric)
    if (planned := controls(view.ws, candidate)) is not None:
        which = "placebo" if planned.experiment == "placebo" else "controls"
        launch.offer(view.ws, planned, f"Run its {which}", key=f"compare_{which}", icon=":material/balance:")


def controls(ws: Workspace, candidate: str) -> Plan | None:
    """Return the plan of a variant's controls; None where it has none."""
    known = {one.variant: one for one in reads.variants(ws)}
    return None if candidate not in known else controls_of(ws, known[candidate], reads.look(ws))


@frame.guarded
def missing(view: View, candidate: str) -> None:
    """Say which controls are not scored, whose button stands above; nothing once they are."""
    planned = controls(view.ws, candidate)
    if planned is None or all(run.state is not None for run in planned.runs):
        return
    matched = "" if planned.experiment == "placebo" else ", or one adapter for all with as many steps"
    st.caption(f"Not scored: the same recipe with another persona's adapter or memories{matched}.")
