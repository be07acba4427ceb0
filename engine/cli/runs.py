"""The commands that launch, watch and end runs: run, status, cancel, resume, logs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, note, out, pairs, table
from engine.cli.planning import (
    experiment_record,
    experiments,
    plan_record,
    read_settings,
    show_experiments,
    show_plan,
    show_registry,
    sweeps,
)
from engine.cli.watch import watch
from engine.core.errors import EngineError
from engine.core.integrity import warn_changed
from engine.core.machine import LAUNCHERS, read_machine
from engine.core.plain import in_terminal
from engine.core.wording import count, duration
from engine.runs import jobs
from engine.runs.records import RunRecord, find
from engine.runs.runfolder import read_log
from engine.strategies import registry
from engine.strategies.plan import plan

_SILENT_SECONDS = 15.0
_STYLES = {
    "queued": "cyan",
    "running": "blue",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "lost": "magenta",
}


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


@command("status", examples=("status", "status --json", "status unified-1a2b3c4d"))
@click.argument("run_id", required=False)
def status(call: Call, *, run_id: str | None) -> int:
    """Show every run, or one: state, progress, time left, process."""
    call.ws.read_config()
    if run_id is not None:
        find(call.ws, run_id)
    warn_changed(call.ws)
    records = [record for record in jobs.list_runs(call.ws) if run_id in (None, record.run_id)]
    value = {"workspace": str(call.ws.root), "runs": [record.to_json() for record in records]}
    call.answer(value, lambda: _show_runs(records))
    return 0


@command("cancel", examples=("cancel unified-1a2b3c4d", "cancel unified-1a2b3c4d --grace 60"))
@click.argument("run_id")
@click.option(
    "--grace", type=click.FloatRange(min=0), default=jobs.GRACE_SECONDS, help="Seconds for a checkpoint."
)
def cancel(call: Call, *, run_id: str, grace: float) -> int:
    """End a run: it is asked to write a checkpoint, and killed after the grace period."""
    call.ws.read_config()
    record = jobs.cancel(call.ws, run_id, grace_seconds=grace)
    freed = f", {record.status.freed_bytes / 1e6:.0f} MB are free again" if record.status.freed_bytes else ""
    call.answer(
        record.to_json(), lambda: out().print(f"{run_id}: {record.state}, its processes are gone{freed}.")
    )
    return 0 if record.state == "cancelled" else 1


@command("resume", examples=("resume unified-1a2b3c4d", "resume unified-1a2b3c4d --detach"))
@click.argument("run_id")
@click.option("--detach", is_flag=True, help="Return at once; the run goes on in the background.")
def resume(call: Call, *, run_id: str, detach: bool) -> int:
    """Queue a failed, cancelled or lost run again; it goes on from its last checkpoint."""
    call.ws.read_config()
    record = jobs.resume(call.ws, run_id)
    if detach:
        return answer_detached(call, [record])
    return answer_ended(call, watch(call.ws, [run_id], quiet=call.as_json))


@command(
    "logs",
    examples=("logs unified-1a2b3c4d", "logs unified-1a2b3c4d --follow", "logs base-1a2b3c4d --lines 20"),
)
@click.argument("run_id")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends.")
@click.option("--lines", type=click.IntRange(min=1), help="Only the last lines.")
def logs(call: Call, *, run_id: str, follow: bool, lines: int | None) -> int:
    """Print a run's log."""
    call.ws.read_config()
    folder = call.ws.run_folder(find(call.ws, run_id).run_id)
    shown = read_log(folder, last_lines=lines)
    call.answer({"run_id": run_id, "lines": shown}, lambda: _echo(shown))
    seen = len(read_log(folder))
    while follow and not call.as_json:
        ended = find(call.ws, run_id).ended
        everything = read_log(folder)
        _echo(everything[seen:])
        seen = len(everything)
        if ended:
            break
        time.sleep(0.5)
    return 0


def _echo(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(in_terminal(line))


def answer_detached(call: Call, records: Sequence[RunRecord]) -> int:
    """Answer with the runs as they stand."""

    def show() -> None:
        for record in records:
            out().print(f"{record.run_id}: {record.state}")
        out().print("Watch: python -m engine status")

    call.answer({"run_id": records[-1].run_id, "runs": [record.to_json() for record in records]}, show)
    return 0


def answer_ended(call: Call, records: Sequence[RunRecord]) -> int:
    """Show how the runs ended; the exit code is 0 only when all of them succeeded."""
    target, bad = records[-1], [record for record in records if record.state != "succeeded"]
    value: dict[str, Any] = {
        "run_id": target.run_id,
        "state": target.state,
        "runs": [record.to_json() for record in records],
    }
    if not bad:
        call.answer(value, lambda: out().print("Done. See: python -m engine compare"))
        return 0
    first = bad[0]
    message = f"{first.run_id} {first.state}" + (f": {first.error}" if first.error else ".")
    hint = first.status.hint or f"See: python -m engine logs {first.run_id}"
    if not call.as_json:
        raise EngineError(message, hint)
    call.answer(value | {"error": message, "hint": hint}, lambda: None)
    return 1


def _show_runs(records: Sequence[RunRecord]) -> None:
    if not records:
        out().print("No runs yet. Start one: python -m engine run unified")
        return
    shown = table(
        "run",
        "state",
        "progress",
        "stage",
        "time",
        "left",
        "pid",
        "note",
        right=("progress", "time", "left", "pid"),
    )
    for record in records:
        left = duration(record.status.eta_seconds) if record.state == "running" else "-"
        shown.add_row(
            record.run_id,
            Text(record.state, style=_STYLES[record.state]),
            f"{record.progress:.0%}",
            record.status.stage or "-",
            duration(record.status.seconds),
            left,
            str(record.pid or "-"),
            Text(_remark(record)),
        )
    out().print(shown)
    note_elsewhere(records)


def note_elsewhere(records: Sequence[RunRecord]) -> None:
    """Say which queued runs came from elsewhere, and how they are started."""
    there = [record for record in records if record.elsewhere]
    if any(record.error is None for record in there):
        note(
            f"{count(len(there), 'run')} in the queue came from elsewhere: nothing of that starts by itself. "
            "To start them here: python -m engine queue take. To leave them: do nothing."
        )


def _remark(record: RunRecord) -> str:
    if record.elsewhere:
        return record.error or "queued elsewhere; to start it here: queue take"
    if record.blocked:
        return f"blocked: {', '.join(record.waiting_for)} ended without success; resume it"
    if record.waiting_for:
        return f"waits for {', '.join(record.waiting_for)}"
    age = record.heartbeat_age_seconds
    if age is not None and age > _SILENT_SECONDS:
        return f"no sign of life for {duration(age)}"
    return (record.error or "").split("\n", 1)[0]


COMMANDS = (run, experiments_command, status, cancel, resume, logs)
