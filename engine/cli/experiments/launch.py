"""The commands that launch: run, experiments (what there is to run, and the plan), and estimates."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, note, out, pairs, table
from engine.cli.watch import answer
from engine.core.command import command_line, in_workspace, read_value, typed
from engine.core.errors import EngineError
from engine.core.machine import LAUNCHERS, Machine, read_machine
from engine.core.paths import Workspace
from engine.core.wording import duration, percent
from engine.runs import jobs
from engine.runs.records import scan
from engine.runs.room import lacking
from engine.strategies import costs, registry
from engine.strategies.costs import Checked
from engine.strategies.plan import Plan, plan
from engine.strategies.spec import EvaluationSettings, Experiment, Parameters
from engine.strategies.sweep import SWEEPS

SETTINGS = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter; repeatable."
)
DETACH = click.option("--detach", is_flag=True, help="Return at once; the runs go on in the background.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would be run, and run nothing.")


@command(
    "run",
    examples=(
        "run unified --workspace W",
        "run unified --set rank=16 --set target_modules=q_proj,v_proj --dry-run",
        "run retrieval --detach",
        "run per-persona --use-augmented",
        "run per-persona --launcher ray --ray-address 10.0.0.1:6379",
        "run --list",
    ),
    anywhere=True,
)
@click.argument("name", required=False)
@SETTINGS
@click.option("--use-augmented", is_flag=True, help="Train on augmented dialogues too: use_augmented=true.")
@click.option("--preset", help="Named parameters of the experiment; --set goes before them.")
@click.option("--seed", type=int, help="The run's seed; by default the workspace's.")
@click.option(
    "--upstream", multiple=True, metavar="ROLE=RUN", help="Build on this run instead of the newest."
)
@click.option(
    "--controls/--no-controls",
    default=True,
    help="Run, beside what trains adapters, its step-matched unified and its placebo.  [default: controls]",
)
@DETACH
@DRY_RUN
@click.option("--list", "list_them", is_flag=True, help="List the experiments and their parameters.")
@click.option("--launcher", type=click.Choice(LAUNCHERS), help="Where it is executed; by default as set.")
@click.option("--ray-address", help="The Ray cluster: HOST:PORT, or auto.")
@click.option("--ray-cpus", type=float, help="Processors that each task asks for.")
@click.option("--ray-gpus", type=float, help="GPUs that each task asks for.")
@click.option("--ray-tasks", type=int, help="Into how many tasks a run is divided.")
def run(
    call: Call,
    *,
    name: str | None,
    settings: Sequence[str],
    use_augmented: bool,
    preset: str | None,
    seed: int | None,
    upstream: Sequence[str],
    controls: bool,
    detach: bool,
    dry_run: bool,
    list_them: bool,
    **where: Any,
) -> int:
    """Run an experiment, and first what it needs; wait for the end with its progress.

    Beside what trains adapters run its controls: a unified that is trained on as much, and its placebo.
    Launching the same thing twice gives the run that exists. Interrupting the command ends the waiting
    only: the runs go on.
    """
    if list_them:
        return call.answer({"experiments": experiments(call.ws)}, lambda: show_experiments(call.ws))
    if name is None:
        raise EngineError(
            "Which experiment?",
            f"One of: {', '.join(registry.experiments(call.ws))}. See: python -m engine run --list",
        )
    roles = pairs(upstream, option="--upstream", example="over=unified-1a2b3c4d")
    named = registry.get(name, call.ws).preset(preset).parameters if preset else {}
    named = {**named, "use_augmented": True} if use_augmented else named
    given = {**named, **read_settings(settings)}
    planned = plan(call.ws, name, given, seed=seed, upstream=roles, controls=controls)
    chosen = {name: value for name, value in where.items() if value is not None}
    return launch(
        call, planned, detach=detach, dry_run=dry_run, machine=replace(read_machine(call.ws), **chosen)
    )


@command("experiments", examples=("experiments", "experiments cluster", "experiments --json"), anywhere=True)
@click.argument("name", required=False)
def experiments_command(call: Call, *, name: str | None) -> int:
    """Show what can be run: each experiment's question, what it needs, its parameters and presets."""
    records = experiments(call.ws) if name is None else [experiment_record(registry.get(name, call.ws))]
    return call.answer({"experiments": records, "sweeps": sweeps(name)}, lambda: show_registry(call.ws, name))


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
        "takes": asdict(planned.room),
        **told,
        "runs": runs,
    }


def launch(
    call: Call, planned: Plan, *, detach: bool, dry_run: bool = False, machine: Machine | None = None
) -> int:
    """Show what a plan would run, or queue it and answer as `watch.answer` does; its notes go to stderr."""
    for line in planned.notes:
        note(line)
    if dry_run:
        planned = with_obstacle(call.ws, planned, machine)
        return call.answer(plan_record(planned), lambda: show_plan(planned))
    submitted = jobs.submit(call.ws, planned, machine=machine)
    for entry in submitted:
        if entry.what == "resumed":
            note(f"{entry.record.run_id} goes on from its last checkpoint.")
    asked = [one.run_id for one in planned.runs if one.purpose == "asked"][-1]
    return answer(call, [entry.record for entry in submitted], detach=detach, target=asked)


def with_obstacle(ws: Workspace, planned: Plan, machine: Machine | None = None) -> Plan:
    """Return a plan with what stands in the way of its launch, room that is not there too; a note says it."""
    where = (machine or read_machine(ws)).launcher
    planned = replace(planned, obstacle=planned.obstacle or lacking(ws, planned.room, where))
    if planned.obstacle is not None:
        note(in_workspace(f"It cannot be launched yet: {planned.obstacle}", ws))
    return planned


def show_plan(planned: Plan) -> None:
    """Print a plan as a table."""
    shown = table("run", "why", "now", "changed from the defaults", "estimate", right=("estimate",))
    for run in planned.runs:
        values = run.spec.parameters | run.spec.protocol | {"seed": run.spec.seed}
        names = (f"{one}={values[one]}" if one in values else f"{one} changed" for one in run.spec.changed)
        changed = ", ".join(names)
        expected = "-" if run.state == "succeeded" else costs.words(run.left)
        shown.add_row(run.run_id, run.purpose, run.state or "new", Text(changed or "-"), expected)
    out().print(shown)
    if planned.room:
        out().print(f"It takes at least {planned.room}.")


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


@command("estimates", examples=("estimates", "estimates --json"), anywhere=True)
def estimates(call: Call) -> None:
    """Compare the estimate made before each run with the time that it took."""
    found = costs.check(scan(call.ws))
    median = statistics.median(one.error for one in found) if found else None
    runs = [{**asdict(one), "error": one.error} for one in found]
    call.answer({"runs": runs, "median_error": median}, lambda: _show(found, median))


def _show(found: list[Checked], median: float | None) -> None:
    if median is None:
        out().print("No run that had an estimate has ended yet: first runs have nothing to learn from.")
        return
    shown = table("run", "expected", "took", "off by", right=("expected", "took", "off by"))
    for one in found:
        times = duration(one.estimate_seconds), duration(one.seconds)
        shown.add_row(one.run_id, *times, percent(one.error))
    out().print(shown)
    out().print(f"Median error of {len(found)} runs: {percent(median)}")
