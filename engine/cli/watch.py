"""Waiting for runs at a terminal: live bars with the time left, or a line a change; and how they ended."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from engine.cli.frame import Call, err, note, out
from engine.core.command import command_line, in_workspace
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.wording import duration
from engine.runs import jobs
from engine.runs.records import RunRecord
from engine.show import run_words

_Show = Callable[[Sequence[RunRecord]], None]


def watch(ws: Workspace, run_ids: Sequence[str], *, quiet: bool) -> list[RunRecord]:
    """Wait for the runs to end, showing how far they are on stderr unless `quiet`; return them."""
    if quiet:
        return jobs.wait(ws, run_ids)
    try:
        if not err().is_terminal:
            return jobs.wait(ws, run_ids, show=_lines())
        with _progress() as progress:
            return jobs.wait(ws, run_ids, show=_bars(progress))
    except KeyboardInterrupt:
        note(f"No longer waiting; the runs go on. See: {command_line('status', ws=ws)}")
        raise


def _progress() -> Progress:
    left = TextColumn("{task.fields[left]}", justify="right", markup=False)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[stage]}", markup=False),
        left,
        console=err(),
    )


def _bars(progress: Progress) -> _Show:
    bars: dict[str, TaskID] = {}

    def show(records: Sequence[RunRecord]) -> None:
        for record in records:
            if record.run_id not in bars:
                bars[record.run_id] = progress.add_task(record.run_id, total=1.0, stage="", left="")
            progress.update(
                bars[record.run_id], completed=record.progress, stage=_stage(record), left=_left(record)
            )

    return show


def _lines() -> _Show:
    told: dict[str, str] = {}

    def show(records: Sequence[RunRecord]) -> None:
        for record in records:
            news = f"{record.run_id}: {_stage(record)}"
            if told.get(record.run_id) != news:
                told[record.run_id] = news
                err().print(f"{news}  {_left(record)}".rstrip(), markup=False)

    return show


def _stage(record: RunRecord) -> str:
    if record.state == "running":
        return record.status.stage or "starting"
    return "blocked" if record.blocked else record.state


def _left(record: RunRecord) -> str:
    if record.state == "running":
        return f"{told} left" if (told := run_words.left(record)) else ""
    return f"in {duration(record.status.seconds)}" if record.ended else ""


def answer(call: Call, records: Sequence[RunRecord], *, detach: bool, target: str | None = None) -> int:
    """Answer with the runs as they stand, or wait for them and answer with how they ended.

    `target` is the run that was asked for, by default the last. The exit code is 0 only when all of them
    succeeded.
    """
    if not detach:
        ended = watch(call.ws, [record.run_id for record in records], quiet=call.as_json)
        return _answer_ended(call, ended, target)

    def show() -> None:
        for record in records:
            out().print(f"{record.run_id}: {record.state}")
        call.say(f"Watch: {call.command('status')}")

    return call.answer(
        {"run_id": target or records[-1].run_id, "runs": [record.to_json() for record in records]}, show
    )


def failure(record: RunRecord, ws: Workspace) -> EngineError:
    """Return the error of a run that has not succeeded; its hint means this workspace."""
    error = run_words.failure(record)
    return EngineError(error.message, in_workspace(error.hint, ws))


def _answer_ended(call: Call, records: Sequence[RunRecord], asked: str | None) -> int:
    target = next((record for record in records if record.run_id == asked), records[-1])
    bad = [record for record in records if record.state != "succeeded"]
    value: dict[str, Any] = {
        "run_id": target.run_id,
        "state": target.state,
        "runs": [record.to_json() for record in records],
    }
    if not bad:
        return call.answer(value, lambda: call.say(f"Done. See: {call.command('compare')}"))
    error = failure(bad[0], call.ws)
    if not call.as_json:
        raise error
    call.answer(value | {"error": error.message, "hint": error.hint}, lambda: None)
    return 1
