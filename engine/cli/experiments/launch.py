"""The commands that launch: run, and experiments, which says what there is to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from engine.cli.experiments.planning import (
    experiment_record,
    experiments,
    plan_record,
    read_settings,
    show_experiments,
    show_plan,
    show_registry,
    sweeps,
)
from engine.cli.frame import Call, command, note, pairs
from engine.cli.watch import answer_detached, answer_ended, watch
from engine.core.errors import EngineError
from engine.core.machine import LAUNCHERS, read_machine
from engine.runs import jobs
from engine.strategies import registry
from engine.strategies.plan import plan


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
)
@click.argument("name", required=False)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter; repeatable.")
@click.option("--use-augmented", is_flag=True, help="Train on augmented dialogues too: use_augmented=true.")
@click.option("--preset", help="Named parameters of the experiment; --set goes before them.")
@click.option("--seed", type=int, help="The run's seed; by default the workspace's.")
@click.option(
    "--upstream", multiple=True, metavar="ROLE=RUN", help="Build on this run instead of the newest."
)
@click.option("--detach", is_flag=True, help="Return at once; the runs go on in the background.")
@click.option("--dry-run", is_flag=True, help="Show what would be run, and run nothing.")
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
    detach: bool,
    dry_run: bool,
    list_them: bool,
    **where: Any,
) -> int:
    """Run an experiment, and first what it needs; wait for the end with its progress.

    Launching the same thing twice gives the run that exists. Interrupting the command ends the waiting
    only: the runs go on.
    """
    if list_them:
        call.answer({"experiments": experiments(call.ws)}, lambda: show_experiments(call.ws))
        return 0
    if name is None:
        raise EngineError(
            "Which experiment?",
            f"One of: {', '.join(registry.experiments(call.ws))}. See: python -m engine run --list",
        )
    roles = pairs(upstream, option="--upstream", example="over=unified-1a2b3c4d")
    named = registry.get(name, call.ws).preset(preset).parameters if preset else {}
    named = {**named, "use_augmented": True} if use_augmented else named
    planned = plan(call.ws, name, {**named, **read_settings(settings)}, seed=seed, upstream=roles)
    for line in planned.notes:
        note(line)
    if dry_run and planned.obstacle is not None:
        note(f"It cannot be launched yet: {planned.obstacle}")
    if dry_run:
        call.answer(plan_record(planned), lambda: show_plan(planned))
        return 0
    machine = replace(
        read_machine(call.ws), **{name: value for name, value in where.items() if value is not None}
    )
    submitted = jobs.submit(call.ws, planned, retry=True, machine=machine)
    for entry in submitted:
        if entry.what == "resumed":
            note(f"{entry.record.run_id} goes on from its last checkpoint.")
    if detach:
        return answer_detached(call, [entry.record for entry in submitted])
    records = watch(call.ws, [entry.record.run_id for entry in submitted], quiet=call.as_json)
    return answer_ended(call, records)


@command("experiments", examples=("experiments", "experiments cluster", "experiments --json"))
@click.argument("name", required=False)
def experiments_command(call: Call, *, name: str | None) -> int:
    """Show what can be run: each experiment's question, what it needs, its parameters and presets."""
    records = experiments(call.ws) if name is None else [experiment_record(registry.get(name, call.ws))]
    call.answer({"experiments": records, "sweeps": sweeps(name)}, lambda: show_registry(call.ws, name))
    return 0


COMMANDS = (run, experiments_command)
