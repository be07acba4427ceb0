"""The commands of the Runs page: status, cancel, resume, start-over, logs, queue, clone."""

import time
from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from engine.cli.experiments.launch import DETACH, DRY_RUN, launch, read_settings
from engine.cli.frame import Call, command, note, out, table
from engine.cli.watch import answer
from engine.core.errors import EngineError
from engine.core.integrity import warn_changed
from engine.core.machine import read_machine
from engine.core.plain import in_terminal
from engine.core.wording import count, duration, percent
from engine.runs import jobs, leases, slots
from engine.runs.records import RunRecord, find
from engine.runs.runfolder import read_log
from engine.show.run_words import left
from engine.strategies.cloning import clone as clone_plan

_SILENT_SECONDS = 15.0
_STYLES = {
    "queued": "cyan",
    "running": "blue",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "lost": "magenta",
}


@command("status", examples=("status", "status --json", "status unified-1a2b3c4d"))
@click.argument("run_id", required=False)
def status(call: Call, *, run_id: str | None) -> int:
    """Show every run, or one: state, progress, time left, process."""
    if run_id is not None:
        find(call.ws, run_id)
    warn_changed(call.ws)
    records = [record for record in jobs.list_runs(call.ws) if run_id in (None, record.run_id)]
    value = {"workspace": str(call.ws.root), "runs": [record.to_json() for record in records]}
    return call.answer(value, lambda: _show_runs(call, records))


@command("cancel", examples=("cancel unified-1a2b3c4d", "cancel unified-1a2b3c4d --grace 60"))
@click.argument("run_id")
@click.option(
    "--grace", type=click.FloatRange(min=0), default=jobs.GRACE_SECONDS, help="Seconds for a checkpoint."
)
def cancel(call: Call, *, run_id: str, grace: float) -> int:
    """End a run: it is asked to write a checkpoint, and killed after the grace period."""
    record = jobs.cancel(call.ws, run_id, grace_seconds=grace)
    freed = f", {record.status.freed_bytes / 1e6:.0f} MB are free again" if record.status.freed_bytes else ""
    call.answer(
        record.to_json(), lambda: out().print(f"{run_id}: {record.state}, its processes are gone{freed}.")
    )
    return 0 if record.state == "cancelled" else 1


@command("resume", examples=("resume unified-1a2b3c4d", "resume unified-1a2b3c4d --detach"))
@click.argument("run_id")
@DETACH
def resume(call: Call, *, run_id: str, detach: bool) -> int:
    """Queue a failed, cancelled or lost run again; it goes on from its last checkpoint."""
    return answer(call, [jobs.resume(call.ws, run_id)], detach=detach)


@command("start-over", examples=("start-over unified-1a2b3c4d", "start-over unified-1a2b3c4d --detach"))
@click.argument("run_id")
@DETACH
def start_over(call: Call, *, run_id: str, detach: bool) -> int:
    """Queue a failed, cancelled or lost run again from its beginning: what it had done so far is deleted."""
    return answer(call, [jobs.start_over(call.ws, run_id)], detach=detach)


@command(
    "logs",
    examples=("logs unified-1a2b3c4d", "logs unified-1a2b3c4d --follow", "logs base-1a2b3c4d --lines 20"),
)
@click.argument("run_id")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends.")
@click.option("--lines", type=click.IntRange(min=1), help="Only the last lines.")
def logs(call: Call, *, run_id: str, follow: bool, lines: int | None) -> int:
    """Print a run's log."""
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
    value = {
        "slots": [
            {"device": device, "holder": _holder(device, records)}
            for device in slots.in_use(read_machine(call.ws), records)
        ],
        "running": [record.to_json() for record in records if record.state == "running"],
        "queued": [record.to_json() for record in records if record.state == "queued"],
    }
    return call.answer(value, lambda: _show_queue(call, value, records))


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
@DETACH
@DRY_RUN
def clone(
    call: Call, *, run_id: str, settings: Sequence[str], seed: int | None, detach: bool, dry_run: bool
) -> int:
    """Run something like an earlier run: its parameters, seed and upstreams, save for what is changed."""
    planned = clone_plan(call.ws, run_id, read_settings(settings), seed=seed)
    return launch(call, planned, detach=detach, dry_run=dry_run)


def _show_runs(call: Call, records: Sequence[RunRecord]) -> None:
    if not records:
        call.say(f"No runs yet. Start one: {call.command('run', 'unified')}")
        return
    columns = ("run", "state", "progress", "stage", "time", "left", "pid", "note")
    shown = table(*columns, right=("progress", "time", "left", "pid"))
    for record in records:
        shown.add_row(
            record.run_id,
            Text(record.state, style=_STYLES[record.state]),
            percent(record.progress),
            record.status.stage or "-",
            duration(record.status.seconds) if record.status.attempt else "-",
            left(record) or "-",
            str(record.pid or "-"),
            Text(_remark(record)),
        )
    out().print(shown)
    _note_elsewhere(call, records)


def _note_elsewhere(call: Call, records: Sequence[RunRecord]) -> None:
    """Say which queued runs came from elsewhere, and how they are started."""
    there = [record for record in records if record.elsewhere]
    if any(record.error is None for record in there):
        note(
            f"{count(len(there), 'run')} in the queue came from elsewhere: nothing of that starts by itself. "
            f"To start them here: {call.command('queue', 'take')}. To leave them: do nothing."
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


def _echo(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(in_terminal(line))


def _show_queue(call: Call, value: dict[str, Any], records: Sequence[RunRecord]) -> None:
    if not value["slots"]:
        note(f"The queue is paused. Go on: {call.command('machine', training_slots=1)}")
    for slot in value["slots"]:
        out().print(Text(f"{slot['device']}: {slot['holder'] or 'free'}"))
    if not records:
        call.say(f"Nothing runs and nothing waits. Start something: {call.command('run', 'unified')}")
        return
    shown = table("place", "run", "state", "waits for", "estimate", right=("place", "estimate"))
    place = 0
    for record in records:
        place += record.state == "queued"
        shown.add_row(
            str(place) if record.state == "queued" else "-",
            record.run_id,
            record.state,
            Text(_waits_for(record)),
            duration(record.estimate_seconds) if record.estimate_seconds is not None else "-",
        )
    out().print(shown)
    _note_elsewhere(call, records)


def _waits_for(record: RunRecord) -> str:
    if record.elsewhere:
        return record.error or "you: it was queued elsewhere"
    return ", ".join(record.waiting_for) or "-"


def _holder(device: str, records: Sequence[RunRecord]) -> str | None:
    """Who holds a slot: a run of this workspace, or of another one on the same GPU."""
    at_work = (one.run_id for one in records if one.state == "running" and one.status.device == device)
    elsewhere = leases.holder(device)
    return next(at_work, elsewhere.what if elsewhere else None)
