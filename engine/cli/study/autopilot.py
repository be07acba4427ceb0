"""The commands of the autopilot, which walks a decision tree in the background: start, stop, status."""

import time
from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from engine.cli.frame import Call, command, out
from engine.core.wording import duration
from engine.results.study import autopilot
from engine.results.trees import tree_library


@click.group("autopilot")
def group() -> None:
    """Walk a tree in the background: launch what is ready, obey the gates, stop at the result."""


@command(
    "start",
    examples=("autopilot start quick-wins", "autopilot start cluster-rescue --cluster largest --wait"),
)
@click.argument("name", default=tree_library.DEFAULT)
@click.option("--cluster", help="Judge on one cluster's personas: a number, largest or all.")
@click.option("--wait", is_flag=True, help="Follow its log to the end; interrupting ends the following only.")
def start(call: Call, *, name: str, cluster: str | None, wait: bool) -> int:
    """Start walking a tree, or go on where it was stopped."""
    begun = autopilot.start(call.ws, name, cluster=cluster)
    if not wait:
        return call.answer(
            asdict(begun),
            lambda: call.say(f"The autopilot walks {name}. Watch: {call.command('autopilot', 'status')}"),
        )
    ended = _follow(call, begun.flight)
    call.answer(_pilot_record(call), lambda: None)
    return 0 if ended == "finished" else 1


@command("stop", examples=("autopilot stop", "autopilot stop --cancel-run"))
@click.option("--cancel-run", is_flag=True, help="Cancel the runs it launched and that have not ended, too.")
def stop(call: Call, *, cancel_run: bool) -> int:
    """Stop walking. The run under way goes on, unless told otherwise."""
    ended = autopilot.stop(call.ws, cancel_run=cancel_run)
    return call.answer(
        asdict(ended), lambda: call.say(f"Stopped. Resume it: {call.command('autopilot', 'start')}")
    )


@command("status", examples=("autopilot status", "autopilot status --json"))
def status(call: Call) -> int:
    """Show what the autopilot walks, where it is, and its log."""
    value = _pilot_record(call)

    def show() -> None:
        pilot = value["autopilot"]
        if pilot is None:
            start_one = call.command("autopilot", "start", tree_library.DEFAULT)
            call.say(f"No autopilot has walked here. Start one: {start_one}")
            return
        out().print(Text(f"{pilot['tree']}: {pilot['state']}, {duration(pilot['seconds'])}", style="bold"))
        for entry in value["log"]:
            _echo(entry["seconds"], entry["text"])

    return call.answer(value, show)


def _pilot_record(call: Call) -> dict[str, Any]:
    found = autopilot.status(call.ws)
    entries = [asdict(entry) for entry in autopilot.log(call.ws, found.flight)] if found else []
    return {"autopilot": asdict(found) if found else None, "log": entries}


def _follow(call: Call, flight: int) -> str:
    told = 0
    while True:
        found = autopilot.status(call.ws)
        entries = autopilot.log(call.ws, flight)
        if not call.as_json:
            for entry in entries[told:]:
                _echo(entry.seconds, entry.text)
        told = len(entries)
        if found is None or found.state != "walking":
            return found.state if found else "lost"
        time.sleep(0.5)


def _echo(seconds: float, text: str) -> None:
    out().print(Text(f"{duration(seconds):>12}  {text}"))


for _command in (start, stop, status):
    group.add_command(_command)
