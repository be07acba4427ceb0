"""The command that gives runs to the trackers people have: export-runs."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from engine.cli.frame import Call, command, out
from engine.core.wording import count
from engine.results.trackers.exporting import LOOK, TRACKERS, export


@command(
    "export-runs",
    examples=(
        "export-runs --to mlflow my-runs",
        "export-runs --to trackio my-runs unified-1a2b3c4d hybrid-5e6f7a8b",
        "export-runs --to wandb my-runs",
    ),
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.argument("run_ids", nargs=-1)
@click.option(
    "--to", "tracker", required=True, type=click.Choice([*TRACKERS]), help="Whose files are written."
)
def export_runs(call: Call, *, folder: Path, run_ids: tuple[str, ...], tracker: str) -> int:
    """Write runs into FOLDER as another tracker's files: all that have begun, or RUN_IDS.

    Parameters, numbers over steps, final scores on validation, tags, and the run each stands on.
    """
    call.ws.read_config()
    made = export(call.ws, tracker, folder, run_ids)
    look = LOOK[tracker].format(folder=shlex.quote(str(folder)))
    told = {"folder": str(folder), "runs": made, "tracker": tracker, "look": look}
    call.answer(told, lambda: out().print(f"{count(made, 'run')} in {folder}. Look at them: {look}"))
    return 0


COMMANDS = (export_runs,)
