"""Sweeps: several values of one parameter planned as one launch, and their results as a chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.wording import count, spelled
from engine.results.comparing.sweeps import SweepResults, sweep_results_of
from engine.runs import jobs
from engine.show.charts.sweep import sweep_chart, sweep_words
from engine.show.run_words import title_of
from engine.strategies import registry
from engine.strategies.costs import together, words
from engine.strategies.faults import faults
from engine.strategies.plan import Plan, PlannedRun, as_one
from engine.strategies.spec import Experiment, validate
from engine.strategies.sweep import Sweep, bare, command_of, plan_sweep, sweep_of
from pages.experiments import cards
from pages.shared import frame, launch_fields, reads
from pages.shared.launch import Asked
from pages.shared.launch_fields import Field

_NOTHING = "nothing"
_SPLITS = ("val",)  # a value is chosen on val; test is left for what was chosen
_WORDS = {"succeeded": "done", "queued": "queued", "running": "running"}


@dataclass(frozen=True, slots=True)
class Swept:
    """What the form asks to sweep; `fault` says what is wrong with its values."""

    sweep: Sweep
    fault: str = ""


def ask(experiment: Experiment, asked: Asked, *, key: str) -> Swept | None:
    """Show the choice of a parameter and its values, in the address; None where nothing is swept."""
    own = {one.name: one for one in launch_fields.fields_of(experiment.parameters)}
    if not own:
        return None
    which = Field("sweep", "choice", _NOTHING, "The parameter that gets several values.", (_NOTHING, *own))
    place = f"{key}_sweep"
    held = launch_fields.hold([which], key=place, linked=True)["sweep"]
    values = Field("values", "list", [], "One run each.", placeholder="0.01, 0.05, 0.1")
    with st.expander("Sweep a parameter", icon=":material/linear_scale:", expanded=held != _NOTHING):
        launch_fields.draw([which], {}, key=place, columns=1)
        raw = launch_fields.hold([values], key=f"{place}_of", linked=True)
        swept = None if held == _NOTHING else _swept(experiment, own[held], asked, raw["values"])
        if swept is not None:
            launch_fields.draw(
                [values], {"values": swept.fault} if swept.fault else {}, key=f"{place}_of", columns=1
            )
            st.caption(f"Each value takes the place of {held.replace('_', ' ')} in the form above.")
    launch_fields.link([which], {"sweep": held}, key=place)
    launch_fields.link([values], raw if swept else {"values": ""}, key=f"{place}_of")
    return swept


def show_plan(ws: Workspace, swept: Swept, asked: Asked, *, key: str) -> None:
    """Show the runs of a sweep that a form asks for, its command and its button."""
    if asked.faults or swept.fault:
        st.error("Not ready to run: see the marked fields.", icon=":material/edit:")
        return
    experiment = registry.get(swept.sweep.experiments[0], ws)
    fixed = {name: value for name, value in asked.given.items() if name != swept.sweep.parameter}
    _plan(ws, swept.sweep, _changed(experiment, fixed), seed=asked.seed, key=key)


def show_named(ws: Workspace, sweep: Sweep) -> None:
    """Show a sweep that has a name: what it asks, what it will run, and what it has found."""
    cards.back()
    frame.heading(sweep.title, sweep.question)
    if sweep.source:
        st.caption(frame.plain(sweep.source))
    left, right = st.columns([3, 2], gap="large")
    with left:
        show_results(ws, sweep)
    with right, st.container(border=True):
        st.markdown("**What will run**")
        with frame.boundary():
            _plan(ws, sweep, {}, seed=None, key=f"experiments_study_{sweep.name}")


def show_results(ws: Workspace, sweep: Sweep) -> None:
    """Show the gain at each value as far as it is scored, on val."""
    results = _results(ws, sweep)
    scored = [one for one in results if any(point.rows for point in one.points)]
    if not scored:
        st.caption("The gain at each value appears here once the first runs are scored.")
        return
    st.subheader("What it found, on validation", anchor=False)
    frame.chart(
        sweep_chart(scored, splits=_SPLITS),
        key=f"experiments_sweep_{sweep.name}",
        alt=f"Gain at each value of {sweep.parameter}",
    )
    for line in sweep_words(scored):
        st.caption(frame.plain(line))


def _swept(experiment: Experiment, one: Field, asked: Asked, raw: str) -> Swept | None:
    """The sweep over the values as they were typed, each checked like the field itself."""
    texts = list(dict.fromkeys(part.strip() for part in (raw or "").split(",") if part.strip()))
    empty = Sweep(f"{experiment.name} {one.name}", "", "", (experiment.name,), one.name, ())
    values = []
    for text in texts:
        value: Any = [text] if one.kind in ("list", "several") else _value(one, text)
        if fault := faults(experiment, {one.name: value}).get(one.name):
            return Swept(empty, fault if text in fault else f"{fault}, not {text}")
        sound = validate(experiment, {one.name: value}).parameters
        values.append(getattr(sound, one.name))
    try:
        return Swept(
            sweep_of(frame.workspace(), experiment.name, one.name, [bare(value) for value in values])
        )
    except EngineError:
        return Swept(empty, "need two or more")


def _value(one: Field, text: str) -> Any:
    try:
        return one.given(one.read(text))
    except ValueError:
        return text


def _changed(experiment: Experiment, given: Mapping[str, Any]) -> dict[str, Any]:
    """What of a form differs from the defaults, as sound values."""
    valid = validate(experiment, given)
    both = {**valid.parameters.model_dump(), **valid.settings.model_dump()}
    return {name: both[name] for name in valid.changed}


def _plan(ws: Workspace, sweep: Sweep, fixed: Mapping[str, Any], *, seed: int | None, key: str) -> None:
    plans = plan_sweep(ws, sweep, fixed, seed=seed)
    runs = {run.run_id: run for one in plans for run in one.runs}
    todo = [run for run in runs.values() if run.state != "succeeded"]
    before = [run for run in todo if run.purpose != "asked"]
    if before:
        names = ", ".join(dict.fromkeys(title_of(run.spec.experiment, ws) for run in before))
        st.markdown(f"First, what it needs or is compared with: **{names}**")
    st.markdown("\n".join(f"- {_line(one, sweep)}" for one in plans))
    st.caption(_summary(todo))
    waiting = [run for run in todo if run.state not in ("queued", "running")]
    if not waiting:
        ids = ",".join(one.target.run_id for one in plans)
        frame.run_link(ids, "See these runs side by side", icon=":material/timeline:")
        return
    if frame.action(
        f"Run {count(len(waiting), 'run')}",
        type="primary",
        icon=":material/play_arrow:",
        key=f"{key}_sweep_launch",
        command=command_of(sweep, fixed, ws, seed=seed),
    ):
        jobs.submit(ws, as_one(plans))
        st.switch_page(frame.RUNS, query_params={"run": plans[0].target.run_id})


def _line(one: Plan, sweep: Sweep) -> str:
    spec = one.target.spec
    value = spelled(spec.parameters.get(sweep.parameter))
    name = f"{title_of(one.experiment, frame.workspace())}, " if len(sweep.experiments) > 1 else ""
    state = _WORDS.get(one.target.state or "")
    takes = f", {one.target.left.words}" if one.target.left is not None and not state else ""
    return frame.plain(
        f"{name}{sweep.parameter.replace('_', ' ')} {value}" + (f", {state}" if state else takes)
    )


def _summary(todo: Sequence[PlannedRun]) -> str:
    if not todo:
        return "All of it is done."
    takes = words(together(run.left for run in todo))
    return f"{count(len(todo), 'run')} in the background, {takes}."


@reads.kept
def _results(ws: Workspace, sweep: Sweep) -> list[SweepResults]:
    return sweep_results_of(ws, sweep, splits=_SPLITS)
