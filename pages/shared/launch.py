"""Launching from the app: the parameters as a form, the plan before the click, the same command to copy.

Forms come from the registry's declarations alone, so a new experiment needs nothing here. The Experiments
page and the nodes of the tree show the same form and the same plan.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from engine.core.errors import EngineError
from engine.core.machine import read_machine
from engine.core.paths import Workspace
from engine.core.wording import count
from engine.runs import jobs
from engine.runs.records import RunRecord
from engine.runs.room import lacking
from engine.show.run_words import title_of
from engine.strategies import costs, registry
from engine.strategies.cloning import command_of, naming_parent, settings_of
from engine.strategies.faults import faults, way_in
from engine.strategies.ground import read_ground
from engine.strategies.plan import Plan, PlannedRun, Seen, as_one, inapplicable, plan
from engine.strategies.spec import Experiment, Upstream, validate
from pages.shared import frame, launch_fields, reads
from pages.shared.launch_fields import Field

_PURPOSES = {
    "upstream": "needed, runs first",
    "beside": "to compare with",
    "asked": "what you asked for",
    "control": "its control",
}
_USUAL = "the usual one"
_LISTED = 6
_PARENT = "clone_of"  # in the address: the run that the form was filled from
_DEFAULTS, _OWN = "defaults", "own values"  # beside the names of presets


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form asks for: parameters with evaluation settings, and what differs from the usual ground.

    `faults` names what is wrong with each of them; nothing can be planned before they are mended.
    """

    given: Mapping[str, Any]
    faults: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    upstream: Mapping[str, str] = field(default_factory=dict)


def experiment_form(ws: Workspace, *, key: str) -> None:
    """Show the choice of an experiment, its parameters, and the plan with its launch button."""
    name = st.selectbox(
        "Experiment",
        list(registry.experiments(ws)),
        format_func=lambda one: registry.get(one, ws).title,
        key=f"{key}_experiment",
    )
    experiment = registry.get(name, ws)
    st.markdown(experiment.question)
    if is_impossible(ws, experiment):
        return
    with frame.boundary():
        seen = reads.look(ws)
        asked = form(experiment, seen, key=f"{key}_{name}", columns=3)
        show_plan(ws, experiment, asked, key=f"{key}_{name}", prominent=False, seen=seen)


def is_impossible(ws: Workspace, experiment: Experiment) -> bool:
    """Say whether an experiment cannot exist here whatever is chosen, and show why its defaults cannot."""
    reason = inapplicable(ws, experiment.name)
    if reason is None:
        return False
    way = way_in(experiment, read_ground(ws))
    told = f" With {spelled_choice(way)} it can be." if way else ""
    st.info(frame.plain(f"{reason}{told}"), icon=":material/info:" if way else ":material/block:")
    return not way


def spelled_choice(way: Mapping[str, Any]) -> str:
    """Word a choice as its form does: features = character."""
    return ", ".join(f"{name.replace('_', ' ')} = {value}" for name, value in way.items())


def form(experiment: Experiment, seen: Seen, *, key: str, columns: int = 2, linked: bool = False) -> Asked:
    """Draw an experiment's form and return what it asks for; with `linked` its values are in the address."""
    fields, ground = launch_fields.all_fields(experiment), seen.ground
    seed = Field("seed", "whole", ground.seed, f"The run's seed; the workspace's is {ground.seed}.")
    raw = launch_fields.hold([*fields, seed], key=key, linked=linked)
    given = {one.name: one.given(raw[one.name]) for one in fields}
    found = faults(experiment, given) | ({} if raw["seed"] is not None else {"seed": "needs a whole number"})
    own = [one for one in fields if one.name in experiment.parameters.model_fields]
    if experiment.presets:
        _presets(experiment, fields, given, key=key)
    launch_fields.draw([one for one in own if not one.rare], found, key=key, columns=columns)
    if not own:
        st.caption("It has no parameters of its own.")
    if rare := [one for one in own if one.rare]:
        changed = sum(one.written(raw[one.name]) != one.written(one.raw_default) for one in rare)
        words = f"{count(len(rare), 'more parameter')}, " + (f"{changed} changed" if changed else "as usual")
        with st.expander(words, icon=":material/tune:", expanded=any(one.name in found for one in rare)):
            launch_fields.draw(rare, found, key=key, columns=columns)
    about = [one for one in fields if one not in own]
    with st.expander(
        "What it is scored on", icon=":material/straighten:", expanded=any(one.name in found for one in about)
    ):
        st.caption("Part of the protocol: scores made under other settings are never compared with these.")
        launch_fields.draw(about, found, key=key, columns=columns)
    with st.expander("Seed and what it builds on", icon=":material/account_tree:", expanded="seed" in found):
        launch_fields.draw([seed], found, key=key, columns=columns)
        needs = _roles(experiment, seen, {} if found else given, key=f"{key}_upstream")
        upstream = launch_fields.hold(needs, key=f"{key}_upstream", linked=linked)
        launch_fields.draw(needs, found, key=f"{key}_upstream", columns=columns)
    launch_fields.sent(key)
    launch_fields.sent(f"{key}_upstream")
    if linked:
        launch_fields.link([*fields, seed], raw, key=key)
        launch_fields.link(needs, upstream, key=f"{key}_upstream")
    chosen = {name.removeprefix("on_"): run for name, run in upstream.items() if run != _USUAL}
    return Asked(given, found, None if raw["seed"] == ground.seed else raw["seed"], chosen)


def show_plan(
    ws: Workspace,
    experiment: Experiment,
    asked: Asked,
    *,
    key: str,
    prominent: bool,
    seen: Seen | None = None,
    brief: bool = False,
) -> None:
    """Show what a launch will run, the command that does the same, and the button; `brief` shows the button
    first and folds the rest.

    Where fields keep it from being planned it says which. Raises EngineError with every fault of parameters
    that no form has checked.
    """
    if asked.faults:
        names = ", ".join(name.replace("_", " ") for name in asked.faults)
        need = "needs" if len(asked.faults) == 1 else "need"
        st.error(f"Not ready to run: {names} {need} another look.", icon=":material/edit:")
        return
    button = st.container(gap="xsmall", key=f"{key}_first") if brief else nullcontext()
    with st.expander("What it runs, and the command", icon=":material/list:") if brief else nullcontext():
        controls = experiment.traits.trains and st.checkbox(
            "With its controls",
            value=True,
            key=f"{key}_controls",
            help="A unified that is trained on as much, and the placebo: without them nobody can say whether "
            "a gain comes from the persona or from more training.",
        )
        planned = plan(
            ws,
            experiment.name,
            asked.given,
            seed=asked.seed,
            upstream=asked.upstream,
            seen=seen,
            controls=controls,
        )
        todo = [run for run in planned.runs if run.state != "succeeded"]
        _list(todo)
        for note in planned.notes:
            st.caption(f":material/info: {frame.plain(note)}")
        st.caption(_summary(planned, todo))
        line = _without_controls(
            command_of(planned.target.spec, ws, seed=asked.seed, upstream=asked.upstream),
            experiment, controls=controls,
        )  # fmt: skip
        frame.show_command(line)
    with button:
        _launch_button(ws, experiment, planned, todo, line, key=key, prominent=prominent)
        if brief and todo:
            st.caption(f"{count(len(todo), 'run')} in the background, {costs.words(planned.left)}.")


def _launch_button(
    ws: Workspace,
    experiment: Experiment,
    planned: Plan,
    todo: list[PlannedRun],
    line: str,
    *,
    key: str,
    prominent: bool,
) -> None:
    """The button that launches a plan, or the way to what is there of it already."""
    state = planned.target.state
    if state in ("succeeded", "queued", "running"):
        words = {"succeeded": "is done", "queued": "is queued", "running": "is running"}[state]
        run_id = planned.target.run_id
        told, icon = f"This run {words}: {run_id}", frame.STATE_ICONS[state]
        st.page_link(
            frame.RUNS, label=told, icon=icon, query_params={"run": run_id}, help=frame.as_command(line)
        )
        missing = [run for run in todo if run.state is None]
        if missing and frame.action(
            "Run its controls", icon=":material/balance:", key=f"{key}_missing", command=line
        ):
            launch(ws, planned)
        return
    closed = _obstacle(ws, planned)
    verb = "Run" if state is None else "Resume"
    if st.button(
        f"{verb} {experiment.title}",
        type="primary" if prominent else "secondary",
        icon=":material/play_arrow:",
        key=f"{key}_launch",
        disabled=bool(closed),
        help=closed or frame.as_command(line),
    ):
        launch(ws, planned)


def _obstacle(ws: Workspace, planned: Plan) -> str:
    """Show what stands in the way of a launch; return why the button is off, nothing where it is not."""
    if closed := frame.closed():
        return closed
    obstacle = planned.obstacle or lacking(ws, planned.room, read_machine(ws).launcher)
    if obstacle is not None:
        if not frame.is_said(obstacle):
            st.warning(frame.plain(obstacle.message), icon=":material/block:")
            frame.remedy(obstacle.hint)
        return "Something is missing: see above."
    return ""


def launch(ws: Workspace, planned: Plan) -> None:
    """Queue the plan's runs and open the one that was asked for; a second click finds it queued already."""
    if parent := st.query_params.get(_PARENT):
        planned = naming_parent(ws, planned, parent)
    jobs.submit(ws, planned)
    st.switch_page(frame.RUNS, query_params={"run": planned.target.run_id})


def start(
    ws: Workspace, plans: Sequence[Plan], label: str, *, key: str, icon: str, prominent: bool = False
) -> None:
    """Show a button that puts plans into the queue; hovering tells what they take."""
    together = as_one(plans)
    todo = [run for run in together.runs if run.state != "succeeded"]
    told = f"{count(len(todo), 'run')}, {_takes(together)}"
    command = "\n".join(_command(ws, one) for one in plans)
    look = "primary" if prominent else "secondary"
    if frame.action(frame.plain(label), key=key, icon=icon, help=told, command=command, type=look):
        jobs.submit(ws, together)
        st.rerun()


def _command(ws: Workspace, planned: Plan) -> str:
    """The command that launches a plan: it finds by itself what is not there of what the run builds on."""
    spec, experiment = planned.target.spec, registry.get(planned.experiment, ws)
    made = {run.run_id for run in planned.runs if run.state is None}
    upstream = {role: run_id for role, run_id in spec.upstream.items() if run_id not in made}
    controls = any(run.purpose == "control" for run in planned.runs)
    return _without_controls(command_of(spec, ws, upstream=upstream), experiment, controls=controls)


def _without_controls(line: str, experiment: Experiment, *, controls: bool) -> str:
    return f"{line} --no-controls" if experiment.traits.trains and not controls else line


def offer(ws: Workspace, planned: Plan, label: str, *, key: str, icon: str) -> None:
    """Show the button that starts a plan, or the way to its run where that is under way; nothing once all of
    it is done."""
    active = next((run for run in planned.runs if run.state in ("queued", "running")), None)
    if active is not None:
        title, icon = title_of(active.spec.experiment, ws), frame.STATE_ICONS[active.state or "queued"]
        frame.run_link(active.run_id, f"{title} is {active.state}", icon=icon)
    elif any(run.state != "succeeded" for run in planned.runs):
        start(ws, [planned], label, key=key, icon=icon)


def clone_query(record: RunRecord) -> dict[str, str]:
    """Return the address of the form filled as a run was: for a link to the Experiments page."""
    ws, spec = frame.workspace(), record.spec
    if spec is None or spec.experiment not in registry.experiments(ws):
        return {}
    told = launch_fields.address(
        launch_fields.all_fields(registry.get(spec.experiment, ws)), settings_of(ws, spec)
    )
    seed = {"seed": str(spec.seed)} if "seed" in spec.changed else {}
    built_on = {f"on_{role}": run_id for role, run_id in spec.upstream.items()}
    return {"experiment": spec.experiment, **told, **seed, **built_on, _PARENT: record.run_id}


def _roles(experiment: Experiment, seen: Seen, given: Mapping[str, Any], *, key: str) -> list[Field]:
    """One choice for each upstream: the newest run, planned when there is none, or a certain one."""
    try:
        needs = experiment.needs(validate(experiment, given).parameters)
    except EngineError:
        return []  # the plan beside the form says what is wrong
    if not needs:
        st.caption("It builds on no other run.")
    return [_role(need, seen, key=key) for need in needs]


def _role(need: Upstream, seen: Seen, *, key: str) -> Field:
    fitting = [
        record.run_id
        for record in sorted(seen.records, key=lambda one: -one.order)
        if record.experiment == need.experiment
        and record.state == "succeeded"
        and record.spec is not None
        and seen.ground.carries(record.spec)
    ]
    place = f"{key}_on_{need.role}"
    if st.session_state.get(place) not in (None, _USUAL, *fitting):
        del st.session_state[place]
    told = f"A run of {title_of(need.experiment, frame.workspace())}. Where there is none, one is run first."
    return Field(f"on_{need.role}", "choice", _USUAL, told, (_USUAL, *fitting))


def _presets(experiment: Experiment, fields: list[Field], given: Mapping[str, Any], *, key: str) -> None:
    """The named sets of parameters; the one that the form holds now is the one shown."""
    sets = {_DEFAULTS: dict[str, Any]()} | {one.name: dict(one.parameters) for one in experiment.presets}
    held = next((name for name, values in sets.items() if _holds(fields, given, values)), _OWN)
    place = f"{key}_preset"
    st.session_state[place] = held
    words = {_DEFAULTS: "Defaults", _OWN: "Own values"} | {one.name: one.title for one in experiment.presets}

    def take() -> None:
        chosen = st.session_state[place]
        if chosen in sets:
            launch_fields.fill(fields, sets[chosen], key=key)

    names = [*sets, *([_OWN] if held == _OWN else [])]
    st.selectbox("Preset", names, format_func=lambda one: words[one], key=place, on_change=take)
    if held not in (_DEFAULTS, _OWN):
        st.caption(frame.plain(experiment.preset(held).source))


def _holds(fields: list[Field], given: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Say whether a form holds exactly these values, and defaults elsewhere."""
    return all(
        one.written(one.to_raw(values.get(one.name, one.default))) == one.written(one.to_raw(given[one.name]))
        for one in fields
    )


def _list(todo: list[PlannedRun]) -> None:
    if len(todo) < 2:
        return
    shown = todo if len(todo) <= _LISTED + 1 else todo[:_LISTED]
    st.markdown("\n".join(f"{number}. {_line(run)}" for number, run in enumerate(shown, start=1)))
    if len(shown) < len(todo):
        st.caption(f"and {count(len(todo) - len(shown), 'more run')}")


def _line(run: PlannedRun) -> str:
    title = title_of(run.spec.experiment, frame.workspace())
    words = {"queued": ", is queued", "running": ", is running"}.get(run.state or "", "")
    takes = f", {run.left.words}" if run.left is not None else ""
    why = "" if run.purpose == "asked" else f" ({_PURPOSES[run.purpose]})"
    return f"**{title}**{why}{words}{takes}"


def _summary(planned: Plan, todo: list[PlannedRun]) -> str:
    if not todo:
        return "Everything in this plan is done."
    return f"{count(len(todo), 'run')} in the background, {_takes(planned)}."


def _takes(planned: Plan) -> str:
    return costs.words(planned.left) + (f", at least {planned.room}" if planned.room else "")
