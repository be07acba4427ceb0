"""Launching from the app: the parameters as a form, the plan before the click, the same command to copy.

Forms come from the catalog's declarations alone, so a new experiment needs nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from engine import jobs
from engine.experiments import catalog
from engine.experiments.plan import Plan, PlannedRun, inapplicable, plan
from engine.experiments.spec import EvaluationSettings, Experiment
from engine.paths import REPOSITORY, Workspace
from engine.study import standing as study
from engine.wording import count, duration, spelled
from pages import frame

_PURPOSES = {"upstream": "is built on", "beside": "to compare with", "asked": "what you asked for"}


def experiment_form(ws: Workspace, *, key: str) -> None:
    """Show the choice of an experiment, its parameters, and the plan with its launch button."""
    name = st.selectbox(
        "Experiment",
        list(catalog.EXPERIMENTS),
        format_func=lambda one: catalog.get(one).title,
        key=f"{key}_experiment",
    )
    experiment = catalog.get(name)
    st.markdown(experiment.question)
    reason = inapplicable(ws, name)
    if reason is not None:
        st.info(frame.plain(reason), icon=":material/block:")
        return
    given = {**_fields(experiment.parameters, key=f"{key}_{name}")}
    with st.expander("What it is scored on", icon=":material/straighten:"):
        given |= _fields(EvaluationSettings, key=f"{key}_{name}")
    with frame.boundary():
        show_plan(ws, experiment, given, key=f"{key}_{name}", prominent=False)


def show_plan(
    ws: Workspace, experiment: Experiment, given: Mapping[str, Any], *, key: str, prominent: bool
) -> None:
    """Show what a launch will run, the command that does the same, and the button.

    Raises EngineError with every fault of the parameters.
    """
    planned = plan(ws, experiment.name, given)
    todo = [run for run in planned.runs if run.state != "succeeded"]
    if len(todo) > 1:
        st.markdown("\n".join(f"{number}. {_line(run)}" for number, run in enumerate(todo, start=1)))
    st.caption(_summary(planned, todo))
    changed = {name: _typed(value) for name, value in given.items() if name in planned.target.spec.changed}
    st.code(
        study.command(experiment.name, changed, ws, is_default=ws.root == REPOSITORY),
        language=None,
        wrap_lines=True,
    )
    state = planned.target.state
    if state in ("succeeded", "queued", "running"):
        words = {"succeeded": "is done", "queued": "is queued", "running": "is running"}[state]
        st.page_link(
            frame.RUNS,
            label=f"This run {words}: {planned.target.run_id}",
            icon=frame.STATE_ICONS[state],
            query_params={"run": planned.target.run_id},
        )
        return
    verb = "Run" if state is None else "Go on with"
    if st.button(
        f"{verb} {experiment.title}",
        type="primary" if prominent else "secondary",
        icon=":material/play_arrow:",
        key=f"{key}_launch",
    ):
        launch(ws, planned)


def launch(ws: Workspace, planned: Plan) -> None:
    """Queue the plan's runs and open the one that was asked for."""
    jobs.submit(ws, planned, retry=True)
    st.switch_page(frame.RUNS, query_params={"run": planned.target.run_id})


def _line(run: PlannedRun) -> str:
    title = catalog.get(run.spec.experiment).title
    words = {"queued": ", is queued", "running": ", is running"}.get(run.state or "", "")
    known = run.spec.estimate_seconds
    takes = f", about {duration(known)}" if known is not None else ""
    why = "" if run.purpose == "asked" else f" ({_PURPOSES[run.purpose]})"
    return f"**{title}**{why}{words}{takes}"


def _summary(planned: Plan, todo: list[PlannedRun]) -> str:
    if not todo:
        return "Everything in this plan is done."
    estimate = planned.estimate_seconds
    takes = f"about {duration(estimate)}" if estimate is not None else "no estimate before a first run"
    return f"{count(len(todo), 'run')} in the background, {takes}. The same from a terminal:"


def _fields(form: type[Any], *, key: str) -> dict[str, Any]:
    """One widget a parameter, in columns that wrap on a narrow screen."""
    values: dict[str, Any] = {}
    names = list(form.model_fields)
    if not names:
        return values
    columns = st.columns(min(3, len(names)))
    for place, name in enumerate(names):
        with columns[place % len(columns)]:
            values[name] = _widget(name, form.model_fields[name], key=f"{key}_{name}")
    return values


def _widget(name: str, field: FieldInfo, *, key: str) -> Any:
    label, default = name.replace("_", " ").capitalize(), field.get_default(call_default_factory=True)
    kind, help_text = field.annotation, field.description
    choices = _choices(kind)
    if isinstance(default, list):
        if choices:
            return st.pills(label, choices, selection_mode="multi", default=default, key=key, help=help_text)
        text = st.text_input(label, spelled(default), key=key, help=f"{help_text} Separate by commas.")
        return [part.strip() for part in (text or "").split(",") if part.strip()]
    if choices:
        return st.selectbox(label, choices, index=choices.index(default), key=key, help=help_text)
    if isinstance(default, bool):
        return st.checkbox(label, default, key=key, help=help_text)
    if isinstance(default, float):
        text = st.text_input(label, f"{default:g}", key=key, help=help_text)
        return _number(text)
    if isinstance(default, int) or default is None:
        return st.number_input(
            label,
            value=default,
            step=1,
            key=key,
            help=help_text,
            placeholder="all" if default is None else None,
        )
    return st.text_input(label, spelled(default), key=key, help=help_text)


def _choices(kind: Any) -> list[Any]:
    """The values of a Literal, also inside a list."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    for inner in get_args(kind):
        if found := _choices(inner):
            return found
    return []


def _number(text: str | None) -> Any:
    """A number where it is one; else the text, which the check of the parameters then names."""
    try:
        return float(text or "")
    except ValueError:
        return text


def _typed(value: Any) -> str:
    """A parameter's value as it is typed after --set."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
