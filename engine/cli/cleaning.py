"""The command that shows what of a workspace could go, and takes away what is named: clean."""

import sys

import click

from engine.cli.frame import Call, command, err, out, table
from engine.core.errors import EngineError
from engine.core.wording import size
from engine.results import cleaning


@command("clean", examples=("clean", "clean checkpoints adapters", "clean temporary --yes"))
@click.argument("kinds", nargs=-1, type=click.Choice(list(cleaning.KINDS)))
@click.option("--yes", is_flag=True, help="Take it away without asking.")
def clean(call: Call, *, kinds: tuple[str, ...], yes: bool) -> int:
    """Show what could go, with its size; with KINDS, take away what is of these, once you say so.

    Never what a variant, a result, or a run that waits or works needs.
    """
    found = cleaning.leftovers(call.ws)
    if not kinds:
        return call.answer(_record(found), lambda: _show(found))
    chosen = [one for one in found if one.kind in kinds]
    if chosen and not yes:
        err().print(cleaning.words(chosen))
        if not (sys.stdin.isatty() and click.confirm("Take it away?", err=True)):
            raise EngineError("Nothing was taken away.", "Add --yes to take it away.")
    gone = cleaning.clean(call.ws, kinds)
    return call.answer(_record(gone), lambda: out().print(f"Gone: {cleaning.words(gone)}."))


def _record(found: list[cleaning.Leftover]) -> dict[str, object]:
    return {
        "bytes": cleaning.total(found),
        "leftovers": [
            {"kind": one.kind, "path": str(one.path), "bytes": one.size_bytes, "run_id": one.run_id}
            for one in found
        ],
    }


def _show(found: list[cleaning.Leftover]) -> None:
    if not found:
        out().print("There is nothing to take away.")
        return
    shown = table("kind", "number", "size", "what it is", right=("number", "size"))
    for kind, words in cleaning.KINDS.items():
        mine = [one for one in found if one.kind == kind]
        if mine:
            shown.add_row(kind, f"{len(mine):,}", size(cleaning.total(mine)), words)
    out().print(shown)
    out().print("Nothing goes unasked. To take a kind away: python -m engine clean checkpoints")
