"""Waiting for runs at a terminal: live bars with the time left, or one line a change where there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from engine.cli.frame import err
from engine.core.paths import Workspace
from engine.core.wording import duration
from engine.runs import jobs
from engine.runs.records import RunRecord

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
        err().print("No longer waiting; the runs go on. See: python -m engine status")
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
    if record.state == "running" and record.status.eta_seconds is not None:
        return f"{duration(record.status.eta_seconds)} left"
    return f"in {duration(record.status.seconds)}" if record.ended else ""
