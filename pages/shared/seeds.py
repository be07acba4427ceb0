"""Repeat with seeds: what it takes, and the one click that starts it."""

from collections.abc import Sequence

import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.wording import count
from engine.runs import jobs
from engine.strategies.costs import words
from engine.strategies.plan import Plan
from engine.strategies.repeating import MOST_SEEDS, SEEDS, command_of, plan_repeats
from pages.shared import frame, reads

_ACTIVE = ("queued", "running")


def repeat(ws: Workspace, run_ids: Sequence[str] = (), *, key: str) -> None:
    """Show how many seeds, the cost and the button; says why where nothing can be repeated."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        seeds = st.number_input(
            "Seeds", min_value=2, max_value=MOST_SEEDS, value=SEEDS, key=f"{key}_seeds", width=110,
            help="How many in all, the first one counted.",
        )  # fmt: skip
        try:
            planned = plan_repeats(ws, run_ids, seeds=int(seeds), seen=reads.look(ws))
        except EngineError as error:
            st.caption(frame.plain(error.message))
            return
        missing = [run for run in planned.runs if run.state != "succeeded" and run.state not in _ACTIVE]
        pressed = bool(missing) and frame.action(
            f"Repeat with {count(int(seeds), 'seed')}", icon=":material/casino:", key=f"{key}_repeat",
            command=command_of(ws, run_ids, seeds=int(seeds)),
        )  # fmt: skip
    st.caption(frame.plain(_words(planned)))
    if pressed:
        jobs.submit(ws, planned)
        st.switch_page(frame.RUNS, query_params={"run": missing[0].run_id})


def _words(planned: Plan) -> str:
    names = ", ".join(dict.fromkeys(run.spec.experiment for run in planned.runs))
    left = [run for run in planned.runs if run.state != "succeeded"]
    if not left:
        return f"{names}: all of these seeds are there."
    return f"{names}, crossed with the seeds: {count(len(left), 'run')} to go, {words(planned.left)}."
