"""Ways on: from a tree that settled nothing, and what can be planned beside it. Each starts at a click."""

import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.wording import percent, signed_points, spelled
from engine.results import tuning
from engine.results.comparing.pilots import Pilot, pilots
from engine.results.study import onward
from engine.results.study.standing import Stand
from engine.show.run_words import title_of
from engine.strategies import costs, registry
from engine.strategies.plan import Plan, Seen, inapplicable, plan
from pages.shared import frame, launch, reads, seeds

_PILOT_PERSONAS = 20


def keep_trying(ws: Workspace, stood: Stand, seen: Seen) -> None:
    """Show what to try where no step of the tree was enough: combine, sweep, more personas, another seed."""
    st.caption("Keep trying:")
    with st.container(horizontal=True, gap="small"):
        for planned in onward.combinations(ws, stood, seen):
            title = title_of(planned.experiment, ws)
            label = f"Combine: {title}"
            launch.start(
                ws, [planned], label, key=f"home_combine_{planned.experiment}", icon=":material/join:"
            )
        swept = onward.sweep_of_best(ws, stood)
        if swept is not None:
            sweep, plans = swept
            label = f"Sweep: {sweep.parameter.replace('_', ' ')} {spelled(list(sweep.values))}"
            launch.start(ws, plans, label, key="home_sweep", icon=":material/tune:")
        st.page_link(frame.DATA, label="More personas", icon=":material/group_add:")
        another_seed(ws)


def another_seed(ws: Workspace) -> None:
    """Show the repeats from other seeds."""
    with st.popover("Another seed", icon=":material/casino:"):
        seeds.repeat(ws, key="home_repeat")


def first_verdict(ws: Workspace, next_plan: Plan | None, seen: Seen) -> bool:
    """Show the quickest way to something that is true, before anything is scored: two that nobody trains.

    What the tree asks for next runs behind them, so that the answer grows. Says whether there is such a way.
    """
    name = next((one for one in ("profile-prompt",) if inapplicable(ws, one) is None), None)
    if name is None:
        return False
    quick = plan(ws, name, seen=seen)
    if quick.target.state is not None:
        return False
    plans = [quick, *([next_plan] if next_plan is not None else [])]
    label, icon = "Get a first verdict", ":material/bolt:"
    launch.start(ws, plans, label, key="home_first", icon=icon, prominent=True)
    titles = " against ".join(title_of(run.spec.experiment, ws) for run in reversed(quick.runs))
    st.caption(frame.plain(f"{titles}, untrained: {costs.words(quick.left)}. The next step runs behind it."))
    return True


def plan_ahead(ws: Workspace, seen: Seen) -> None:
    """Show what is worth doing before a long run: a pilot with its forecast, tuning, clusters."""
    entries = {
        name: entry for name, entry in seen.known.items() if "personas" in entry.parameters.model_fields
    }
    name = st.selectbox(
        "Strategy", list(entries), format_func=lambda one: entries[one].title, key="home_ahead"
    )
    entry = registry.get(name, ws)
    with frame.boundary():
        few = min(_PILOT_PERSONAS, max(3, seen.ground.personas // 2))
        pilot = plan(ws, name, {"personas": few}, seen=seen)
        with st.container(horizontal=True, gap="small"):
            if pilot.target.state is None:
                launch.start(
                    ws, [pilot], f"Pilot on {few} personas", key="home_pilot", icon=":material/science:"
                )
            if entry.space:
                _tune(ws, name, seen)
            clustering = None if inapplicable(ws, "clustering") else plan(ws, "clustering", seen=seen)
            if clustering is not None and clustering.target.state is None:
                launch.start(
                    ws, [clustering], "Cluster the personas", key="home_clustering", icon=":material/hub:"
                )
    for one in _pilots(ws):
        _forecast(one)
    for line in tuning.tuned_words(ws):
        st.caption(frame.plain(line))


@reads.lasting(list[Pilot])
def _pilots(ws: Workspace) -> list[Pilot]:
    try:
        return pilots(ws)
    except EngineError:  # nothing is scored on val yet
        return []


_BUDGET = 4.0


def _tune(ws: Workspace, name: str, seen: Seen) -> None:
    """The button that tunes a strategy in the background; off while one is tuned."""
    at_it = tuning.under_way(ws)
    told = f"Settings of it on validation, for the time of {_BUDGET:g} runs on all personas."
    if frame.action(
        "Tune it",
        key="home_tune",
        icon=":material/tune:",
        off=at_it is not None,
        help=told,
        command=frame.command("tune", name, budget=_BUDGET),
    ):
        tuning.start(ws, name, budget=_BUDGET)
        st.rerun()
    if at_it is not None:
        st.caption(
            frame.plain(f"{title_of(at_it.experiment, ws)} is being tuned: its runs come by themselves.")
        )


def _forecast(one: Pilot) -> None:
    told = f"{one.variant}: pilot on {one.personas} of {one.personas_full} personas"
    if one.forecast is None:
        st.caption(frame.plain(f"{told}. {one.reason or ''}"))
        return
    worth = one.forecast.criterion
    st.markdown(
        frame.plain(
            f"{told}: {signed_points(one.forecast.mean)} on validation. If {signed_points(worth.effect)} is "
            f"true, the full study finds it in {percent(worth.power)} of cases."
        )
    )
    for line in one.forecast.words:
        st.caption(frame.plain(line))
    frame.show_command(one.scale_up)
