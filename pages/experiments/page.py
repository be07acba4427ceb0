"""What can be tried, what would it need, and what has it brought so far?"""

import streamlit as st

from engine.core.paths import Workspace
from engine.runs import jobs
from engine.strategies import registry
from engine.strategies.spec import Experiment
from engine.strategies.sweep import SWEEPS
from pages.experiments import cards
from pages.experiments import sweep as sweeps
from pages.shared import frame, launch, reads

_TICK_SECONDS = 2.0
_STATES = "experiments_states"


def show() -> None:
    ws = frame.workspace()
    name, sweep = st.query_params.get("experiment", ""), st.query_params.get("study", "")
    if not frame.is_prepared(ws):
        _heading()
        frame.no_data_yet(
            "Ways of personalising stand here, each with what it needs, how long it takes, what it brought."
        )
        return
    _watch(ws)
    if name in registry.experiments(ws):
        _one(ws, registry.get(name, ws))
    elif sweep in SWEEPS:
        sweeps.show_named(ws, SWEEPS[sweep])
    else:
        _heading()
        if name or sweep:
            st.warning(f"There is no experiment {frame.plain(name or sweep)}.", icon=":material/link_off:")
        cards.show(ws)


def _heading() -> None:
    frame.heading("Experiments", "What can be tried, what would it need, and what has it brought so far?")


def _one(ws: Workspace, experiment: Experiment) -> None:
    """One experiment: its form, and beside it the plan and what is there already."""
    cards.back()
    frame.heading(experiment.title, experiment.question)
    if launch.is_impossible(ws, experiment):
        return
    key = f"experiments_{experiment.name}"
    seen = reads.look(ws)
    left, right = st.columns([3, 2], gap="large")
    with left:
        asked = launch.form(experiment, seen, key=key, linked=True)
        swept = sweeps.ask(experiment, asked, key=key)
    with right:
        with st.container(border=True):
            st.markdown("**What will run**")
            with frame.boundary():
                if swept is None:
                    launch.show_plan(ws, experiment, asked, key=key, prominent=True, seen=seen)
                else:
                    sweeps.show_plan(ws, swept, asked, key=key)
        cards.already(ws, experiment, seen)
    if swept is not None and not swept.fault:
        sweeps.show_results(ws, swept.sweep)


def _watch(ws: Workspace) -> None:
    """Draw the page anew when a run changes its state; asks for nothing while none is active."""
    records = jobs.list_runs(ws)
    st.session_state[_STATES] = {record.run_id: record.state for record in records}
    if any(not record.ended for record in records):
        st.fragment(_look_again, run_every=_TICK_SECONDS)()


@frame.guarded
def _look_again() -> None:
    states = {record.run_id: record.state for record in jobs.list_runs(frame.workspace())}
    if states != st.session_state.get(_STATES):
        st.rerun()


if __name__ == "__main__":
    frame.run(show)
