"""What `run` says before anything runs: the experiments, their parameters, and the plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.text import Text

from engine.cli.frame import out, pairs, table
from engine.core.command import command_line, read_value, typed
from engine.core.paths import Workspace
from engine.core.wording import duration
from engine.strategies import registry
from engine.strategies.plan import Plan
from engine.strategies.spec import EvaluationSettings, Experiment, Parameters
from engine.strategies.sweep import SWEEPS


def read_settings(given: Iterable[str]) -> dict[str, Any]:
    """Return the parameters given as KEY=VALUE. Raises EngineError on a pair that is none."""
    return {key: read_value(text) for key, text in pairs(given, option="--set", example="rank=16").items()}


def plan_record(planned: Plan) -> dict[str, Any]:
    """Return a plan as one JSON object."""
    runs = [
        {"run_id": run.run_id, "purpose": run.purpose, "state": run.state, **asdict(run.spec)}
        for run in planned.runs
    ]
    told = {"notes": list(planned.notes), "obstacle": planned.obstacle and planned.obstacle.message}
    return {
        "run_id": planned.target.run_id,
        "estimate_seconds": planned.estimate_seconds,
        **told,
        "runs": runs,
    }


def show_plan(planned: Plan) -> None:
    """Print a plan as a table."""
    shown = table("run", "why", "now", "changed from the defaults", "estimate", right=("estimate",))
    for run in planned.runs:
        changed = ", ".join(
            _changed(run.spec.parameters | run.spec.protocol | {"seed": run.spec.seed}, run.spec.changed)
        )
        estimate = run.spec.estimate_seconds
        expected = "no estimate yet" if estimate is None else duration(estimate)
        shown.add_row(run.run_id, run.purpose, run.state or "new", Text(changed or "-"), expected)
    out().print(shown)


def _changed(values: dict[str, Any], names: Iterable[str]) -> list[str]:
    return [f"{name}={values[name]}" if name in values else f"{name} changed" for name in names]


def experiments(ws: Workspace) -> list[dict[str, Any]]:
    """Return every experiment with its parameters and presets, for JSON."""
    return [experiment_record(entry) for entry in registry.experiments(ws).values()]


def experiment_record(entry: Experiment) -> dict[str, Any]:
    """Return one experiment as a JSON object. `needs` names what it builds on with default parameters."""
    return {
        "name": entry.name,
        "title": entry.title,
        "family": entry.family,
        "question": entry.question,
        "makes": entry.makes,
        "needs": [need.experiment for need in entry.needs(entry.parameters())],
        "beside": list(entry.beside),
        "parameters": _parameters(entry.parameters) + _parameters(EvaluationSettings),
        "presets": [asdict(preset) for preset in entry.presets],
    }


def sweeps(experiment: str | None = None) -> list[dict[str, Any]]:
    """Return the sweeps that have a name, of one experiment or of all, for JSON."""
    return [asdict(sweep) for sweep in SWEEPS.values() if experiment in (None, *sweep.experiments)]


def show_registry(ws: Workspace, experiment: str | None = None) -> None:
    """Print one experiment whole, or a line for each and for each sweep."""
    if experiment is not None:
        _show_experiment(registry.get(experiment, ws))
        return
    for entry in registry.experiments(ws).values():
        out().print(Text(f"{entry.name}: {entry.question}", style="bold"))
        needs = ", ".join(need.experiment for need in entry.needs(entry.parameters()))
        presets = ", ".join(preset.name for preset in entry.presets)
        notes = [f"needs {needs}" if needs else "", f"presets {presets}" if presets else ""]
        if any(notes):
            out().print(Text(f"  {'; '.join(filter(None, notes))}"))
    for sweep in SWEEPS.values():
        values = typed(list(sweep.values))
        out().print(Text(f"sweep {sweep.name}: {', '.join(sweep.experiments)} {sweep.parameter}={values}"))
    out().print(f"One of them whole: {command_line('experiments', 'NAME')}")


def _show_experiment(entry: Experiment) -> None:
    out().print(Text(f"{entry.name}: {entry.question}", style="bold"))
    needs = [need.experiment for need in entry.needs(entry.parameters())]
    out().print(Text(f"  makes {entry.makes}; needs {', '.join(needs) or 'nothing first'}"))
    _show_parameters(entry.parameters)
    for preset in entry.presets:
        values = ", ".join(f"{name}={typed(value)}" for name, value in preset.parameters.items())
        out().print(Text(f"  --preset {preset.name}   {preset.title} ({values}). {preset.source}"))
    for sweep in sweeps(entry.name):
        out().print(Text(f"  {command_line('sweep', sweep['name'])}   {sweep['question']}"))


def _parameters(form: type[Parameters]) -> list[dict[str, Any]]:
    fields = form.model_fields.items()
    return [
        {"name": name, "default": field.default, "description": field.description} for name, field in fields
    ]


def show_experiments(ws: Workspace) -> None:
    """Print every experiment with its parameters."""
    for entry in registry.experiments(ws).values():
        out().print(Text(f"{entry.name}: {entry.question}", style="bold"))
        out().print(Text(f"  makes {entry.makes}"))
        _show_parameters(entry.parameters)
    out().print(Text("every experiment", style="bold"))
    _show_parameters(EvaluationSettings)


def _show_parameters(form: type[Parameters]) -> None:
    for entry in _parameters(form):
        out().print(Text(f"  --set {entry['name']}={typed(entry['default'])}   {entry['description']}"))
