"""The commands of the queue and of the machine it runs on: queue, retry, clone, machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, note, out, table
from engine.cli.planning import plan_record, read_settings, show_plan
from engine.cli.runs import answer_detached, answer_ended, note_elsewhere
from engine.cli.watch import watch
from engine.core import extensions
from engine.core.errors import EngineError
from engine.core.machine import LAUNCHERS, Machine, change_machine, read_machine, read_only
from engine.core.wording import duration
from engine.runs import jobs, leases, slots
from engine.runs.records import RunRecord
from engine.strategies.cloning import clone as clone_plan


@command(
    "queue",
    examples=(
        "queue",
        "queue move unified-1a2b3c4d --first",
        "queue move unified-1a2b3c4d --before retrieval-5e6f7a8b",
        "queue move unified-1a2b3c4d --last",
        "queue take",
        "queue take unified-1a2b3c4d",
    ),
)
@click.argument("action", required=False, type=click.Choice(["move", "take"]))
@click.argument("run_id", required=False)
@click.option("--first", is_flag=True, help="To the front.")
@click.option("--before", metavar="RUN", help="Right before another queued run.")
@click.option("--last", is_flag=True, help="To the end.")
def queue(
    call: Call, *, action: str | None, run_id: str | None, first: bool, before: str | None, last: bool
) -> int:
    """Show what is at work and what waits, in order; or move a queued run, and with it what it needs.

    Runs that were queued elsewhere (in another place, on another machine, by another user) start only once
    they are taken up: `queue take` does so for all of them, or for one.
    """
    call.ws.read_config()
    if action == "take":
        taken = jobs.take_up(call.ws, [run_id] if run_id else None)
        note(f"Taken up: {', '.join(record.run_id for record in taken) or 'nothing, for none can run here'}.")
    if action == "move":
        if run_id is None:
            raise EngineError("Which run?", "Example: queue move unified-1a2b3c4d --first")
        if first + last + (before is not None) != 1:
            raise EngineError("Where to?", "Give one of --first, --before RUN and --last.")
        jobs.move(call.ws, run_id, before=before, last=last)
    records = [record for record in jobs.list_runs(call.ws) if not record.ended]
    machine = read_machine(call.ws)
    value = {
        "slots": [
            {"device": device, "holder": _holder(device, records)} for device in _devices(machine, records)
        ],
        "running": [record.to_json() for record in records if record.state == "running"],
        "queued": [record.to_json() for record in records if record.state == "queued"],
    }
    call.answer(value, lambda: _show_queue(value, records))
    return 0


@command("retry", examples=("retry unified-1a2b3c4d", "retry unified-1a2b3c4d --detach"))
@click.argument("run_id")
@click.option("--detach", is_flag=True, help="Return at once; the run goes on in the background.")
def retry(call: Call, *, run_id: str, detach: bool) -> int:
    """Start a failed, cancelled or lost run over, without its checkpoints. `resume` goes on from them."""
    call.ws.read_config()
    record = jobs.start_over(call.ws, run_id)
    if detach:
        return answer_detached(call, [record])
    return answer_ended(call, watch(call.ws, [run_id], quiet=call.as_json))


@command(
    "clone",
    examples=(
        "clone unified-1a2b3c4d --set rank=16",
        "clone per-persona-1a2b3c4d --seed 1 --detach",
        "clone unified-1a2b3c4d --set epochs=5 --dry-run",
    ),
)
@click.argument("run_id")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="What to change; repeatable.")
@click.option("--seed", type=int, help="Another seed.")
@click.option("--detach", is_flag=True, help="Return at once; the runs go on in the background.")
@click.option("--dry-run", is_flag=True, help="Show what would be run, and run nothing.")
def clone(
    call: Call, *, run_id: str, settings: Sequence[str], seed: int | None, detach: bool, dry_run: bool
) -> int:
    """Run something like an earlier run: its parameters, seed and upstreams, save for what is changed."""
    planned = clone_plan(call.ws, run_id, read_settings(settings), seed=seed)
    if dry_run:
        call.answer(plan_record(planned), lambda: show_plan(planned))
        return 0
    submitted = jobs.submit(call.ws, planned, retry=True)
    if detach:
        return answer_detached(call, [entry.record for entry in submitted])
    records = watch(call.ws, [entry.record.run_id for entry in submitted], quiet=call.as_json)
    return answer_ended(call, records)


@command(
    "machine",
    examples=(
        "machine",
        "machine --training-slots 2",
        "machine --launcher ray --ray-address 10.0.0.1:6379 --ray-gpus 1",
        "machine --read-only",
        "machine --extension my_strategy.py",
        "machine --approve my_strategy.py",
    ),
)
@click.option("--training-slots", type=int, help="Runs at work at once on the processor; 0 pauses the queue.")
@click.option("--launcher", type=click.Choice(LAUNCHERS), help="Where runs are executed by default.")
@click.option("--ray-address", help="The Ray cluster: HOST:PORT, or auto.")
@click.option("--ray-cpus", type=float, help="Processors that each task asks for.")
@click.option("--ray-gpus", type=float, help="GPUs that each task asks for; by default 1 where there is one.")
@click.option("--ray-tasks", type=int, help="Into how many tasks a run is divided.")
@click.option("--ray-runs", type=int, help="Runs at work at once on the cluster.")
@click.option("--read-only/--no-read-only", default=None, help="Refuse whatever changes the workspace.")
@click.option("--extension", type=click.Path(path_type=Path), help="Name a Python file of your own code.")
@click.option(
    "--approve", type=click.Path(path_type=Path), help="Let a named file run as it is. Read it first."
)
@click.option("--sha256", default="", help="With --approve: only if the file is still this one.")
@click.option("--forget", type=click.Path(path_type=Path), help="Name a file no more.")
def machine(
    call: Call,
    *,
    extension: Path | None,
    approve: Path | None,
    sha256: str,
    forget: Path | None,
    **given: Any,
) -> int:
    """Show or change how this workspace uses its machine, and what code of your own it runs."""
    call.ws.read_config()
    if extension is not None:
        extensions.name_file(call.ws, extension)
    if approve is not None:
        extensions.approve(call.ws, approve, sha256=sha256)
    if forget is not None:
        extensions.forget_file(call.ws, forget)
    wanted = {name: value for name, value in given.items() if value is not None}
    settings = change_machine(call.ws, **wanted) if wanted else read_machine(call.ws)
    devices = _devices(settings, [record for record in jobs.list_runs(call.ws) if not record.ended])
    files = [
        {"path": str(one.path), "sha256": one.sha256, "state": one.state} for one in extensions.named(call.ws)
    ]
    value = {**asdict(settings), "read_only": read_only(call.ws), "devices": devices, "extensions": files}

    def show() -> None:
        shown = table("setting", "value")
        for name, setting in value.items():
            if name == "extensions":
                continue
            words = ", ".join(setting) if isinstance(setting, list) else str(setting)
            shown.add_row(name.replace("_", " "), Text("-" if setting in (None, "") else words))
        out().print(shown)
        for one in files:
            out().print(Text(f"{one['path']}: {one['state']}, sha256 {one['sha256'] or '-'}"))
        for left in extensions.waiting(call.ws):
            note(str(left.refusal()))

    call.answer(value, show)
    if wanted:
        jobs.advance(call.ws)  # a slot may have been added
    return 0


def _devices(machine: Machine, records: Sequence[RunRecord]) -> list[str]:
    """The slots of every launcher that is in use here."""
    launchers = {machine.launcher, "local", *(record.status.launcher for record in records)}
    return [device for launcher in sorted(launchers) for device in slots.slots(machine, launcher)]


def _holder(device: str, records: Sequence[RunRecord]) -> str | None:
    """Who holds a slot: a run of this workspace, or of another one on the same GPU."""
    at_work = (one.run_id for one in records if one.state == "running" and one.status.device == device)
    elsewhere = leases.holder(device)
    return next(at_work, elsewhere.what if elsewhere else None)


def _show_queue(value: dict[str, Any], records: Sequence[RunRecord]) -> None:
    if not value["slots"]:
        note("The queue is paused. Go on: python -m engine machine --training-slots 1")
    for slot in value["slots"]:
        out().print(Text(f"{slot['device']}: {slot['holder'] or 'free'}"))
    if not records:
        out().print("Nothing runs and nothing waits. Start something: python -m engine run unified")
        return
    shown = table("place", "run", "state", "waits for", "estimate", right=("place", "estimate"))
    place = 0
    for record in records:
        place += record.state == "queued"
        estimate = record.spec.estimate_seconds if record.spec else None
        shown.add_row(
            str(place) if record.state == "queued" else "-",
            record.run_id,
            record.state,
            Text(_waits_for(record)),
            duration(estimate) if estimate is not None else "-",
        )
    out().print(shown)
    note_elsewhere(records)


def _waits_for(record: RunRecord) -> str:
    if record.elsewhere:
        return record.error or "you: it was queued elsewhere"
    return ", ".join(record.waiting_for) or "-"


COMMANDS = (queue, retry, clone, machine)
