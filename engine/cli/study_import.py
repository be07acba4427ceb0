"""The command that takes in a published study: import-study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from engine.cli.frame import Call, command, note, out, table
from engine.wording import points

if TYPE_CHECKING:
    from engine.imported import Imported


@command(
    "import-study",
    examples=("import-study results --workspace W", "import-study results.zip --workspace W --json"),
)
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path))
def import_study(call: Call, *, source: Path) -> int:
    """Import a study's published result files (JSON, CSV) from a folder or a .zip.

    They become variants under an imported protocol, paired by persona. Without a workspace, one is made.
    """
    from engine import store
    from engine.imported import import_study as take_in

    found = take_in(call.ws, source)
    store.refresh(call.ws)
    call.answer(found.as_json(), lambda: _show(call, found))
    return 0


def _show(call: Call, found: Imported) -> None:
    state = "was imported before" if found.unchanged else "imported"
    out().print(Text(f"{found.run_id}: {state}, protocol {found.protocol}", style="bold"))
    shown = table("variant", "personas", "examples a persona", "mean", "file", right=("personas", "mean"))
    for row in found.rows:
        origin = row["file"] if row["derived"] is None else row["derived"]
        shown.add_row(
            row["variant"], str(row["personas"] or ""), row["examples"], points(row["mean"]), origin
        )
    out().print(shown)
    if any(row["examples"].endswith("*") for row in found.rows):
        out().print("* inferred from the lengths of the reference replies; the file does not say.")
    for warning in found.warnings:
        note(warning)
    if found.left_aside:
        note(f"Left aside, of no known form: {', '.join(found.left_aside)}")
    if found.created_workspace:
        note(f"{call.ws.root} is a new workspace of these scores; it holds no dialogues to train on.")
    out().print(f"Next: python -m engine compare --workspace {call.ws.root}", soft_wrap=True)


COMMANDS = (import_study,)
