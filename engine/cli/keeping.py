"""Commands of the Runs page for runs that are there: label, delete, restore, curves, export-runs."""

import shlex
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from engine.cli.frame import Call, Place, command, out, table
from engine.core.errors import EngineError
from engine.core.paths import write_atomically
from engine.core.wording import count
from engine.results.trackers.exporting import LOOK, TRACKERS, export
from engine.runs import labels
from engine.runs.records import find
from engine.strategies import deleting


@command(
    "label",
    examples=(
        "label",
        'label unified-1a2b3c4d --title "The one in the paper" --star',
        "label unified-1a2b3c4d hybrid-5e6f7a8b --tag paper --tag rank-16",
        "label unified-1a2b3c4d --untag rank-16 --no-star --pin",
    ),
)
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
@click.option("--title", help="What it is called in lists; empty for none.")
@click.option("--note", help="What you want to remember of it; empty for none.")
@click.option("--tag", "add", multiple=True, help="A tag to add; repeatable.")
@click.option("--untag", "drop", multiple=True, help="A tag to take away; repeatable.")
@click.option("--star/--no-star", "star", default=None, help="Mark it as one that counts.")
@click.option("--pin/--no-pin", "pinned", default=None, help="Let it stand first in lists.")
@click.option("--hide/--no-hide", "hidden", default=None, help="Leave it out of lists; nothing is deleted.")
def label(
    call: Call,
    *,
    run_ids: tuple[str, ...],
    add: tuple[str, ...],
    drop: tuple[str, ...],
    **told: str | bool | None,
) -> int:
    """Give runs a title, a note, tags, a star; pin or hide them; without a RUN, show all labels."""
    said = {name: value for name, value in told.items() if value is not None}
    if not run_ids and (said or add or drop):
        raise EngineError("Which run?", "Example: label unified-1a2b3c4d --star")
    made = (
        labels.label(call.ws, run_ids, add=add, drop=drop, **said)
        if said or add or drop
        else labels.read(call.ws)
    )
    shown = {run_id: one for run_id, one in made.items() if not run_ids or run_id in run_ids}

    def show() -> None:
        columns = table("run", "title", "tags", "marks", "note")
        for run_id, one in shown.items():
            marks = [word for word in ("star", "pinned", "hidden") if getattr(one, word)]
            columns.add_row(run_id, *map(Text, (one.title, ", ".join(one.tags), ", ".join(marks), one.note)))
        out().print(columns) if shown else call.say("No run has a label yet.")

    return call.answer({run_id: asdict(one) for run_id, one in shown.items()}, show)


@command("delete", examples=("delete unified-1a2b3c4d", "delete base-1a2b3c4d --for-good"))
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN...")
@click.option("--for-good", is_flag=True, help="Remove the files at once; of a deleted run, now.")
def delete(call: Call, *, run_ids: tuple[str, ...], for_good: bool) -> int:
    """Delete ended runs with scores and adapters. They can be brought back until their files are removed.

    Refused for a run at work, one that others are built on (delete those with it), and the reference.
    """
    gone = {one.run_id for one in deleting.deleted(call.ws)} if for_good else set[str]()
    there = [run_id for run_id in run_ids if run_id not in gone]
    if there:
        deleting.delete(call.ws, there)
    freed = deleting.purge(call.ws, run_ids) if for_good else 0
    value = {"deleted": list(run_ids), "for_good": for_good, "freed_bytes": freed}

    def show() -> None:
        told = f"{count(len(run_ids), 'run')} deleted"
        if for_good:
            call.say(f"{told} for good, {freed / 1e6:.1f} MB are free again.")
        else:
            call.say(f"{told}. To bring back: {call.command('restore', *run_ids)}")

    return call.answer(value, show)


@command("restore", examples=("restore", "restore unified-1a2b3c4d"))
@click.argument("run_ids", nargs=-1, metavar="[RUN]...")
def restore(call: Call, *, run_ids: tuple[str, ...]) -> int:
    """Bring deleted runs back as they were; without a RUN, show which can be."""
    if run_ids:
        back = deleting.restore(call.ws, run_ids)
        return call.answer(
            {"restored": list(run_ids)}, lambda: call.say(f"{count(len(back), 'run')} brought back.")
        )
    found = deleting.deleted(call.ws)

    def show() -> None:
        shown = table("deleted run", "MB", right=("MB",))
        for one in found:
            shown.add_row(one.run_id, f"{one.size_bytes / 1e6:.1f}")
        out().print(shown) if found else call.say("No run is deleted.")

    return call.answer({"deleted": [asdict(one) for one in found]}, show)


@command(
    "curves",
    examples=("curves unified-1a2b3c4d", "curves unified-1a2b3c4d hybrid-5e6f7a8b --output curves.csv"),
)
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN...")
@click.option("--output", type=Place(), help="Write a file instead of printing.")
def curves(call: Call, *, run_ids: tuple[str, ...], output: Path | None) -> int:
    """Print what runs told while they worked as CSV: loss, learning rate, memory, processor."""
    from engine.show.curves import curve_table
    from engine.show.tables import written

    for run_id in run_ids:
        find(call.ws, run_id)
    made = curve_table(call.ws, run_ids)
    if output is not None:
        write_atomically(output, written(made, "csv"))
        return call.answer(
            {"written": str(output), "rows": len(made)}, lambda: call.say(f"{output}: {len(made):,} rows.")
        )
    rows = made.astype(object).where(made.notna(), None).to_dict(orient="records")
    return call.answer({"curves": rows}, lambda: click.echo(written(made, "csv").decode(), nl=False))


@command(
    "export-runs",
    examples=(
        "export-runs --to mlflow my-runs",
        "export-runs --to trackio my-runs unified-1a2b3c4d hybrid-5e6f7a8b",
        "export-runs --to wandb my-runs",
    ),
)
@click.argument("folder", type=Place(file_okay=False))
@click.argument("run_ids", nargs=-1)
@click.option(
    "--to", "tracker", required=True, type=click.Choice([*TRACKERS]), help="Whose files are written."
)
def export_runs(call: Call, *, folder: Path, run_ids: tuple[str, ...], tracker: str) -> int:
    """Write runs into FOLDER as another tracker's files: all that have begun, or RUN_IDS.

    Parameters, numbers over steps, final scores on validation, tags, and the run each stands on.
    """
    made = export(call.ws, tracker, folder, run_ids)
    look = LOOK[tracker].format(folder=shlex.quote(str(folder)))
    told = {"folder": str(folder), "runs": made, "tracker": tracker, "look": look}
    return call.answer(told, lambda: out().print(f"{count(made, 'run')} in {folder}. Look at them: {look}"))
