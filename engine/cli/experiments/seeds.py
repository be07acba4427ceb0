"""The commands for what verdicts rest on: repeat (the study from other seeds) and reference."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from engine.cli.experiments.launch import DETACH, DRY_RUN, launch
from engine.cli.frame import Call, command, note, out
from engine.core.errors import EngineError
from engine.core.wording import ago
from engine.strategies import reference as references
from engine.strategies.ground import read_ground
from engine.strategies.repeating import MOST_SEEDS, SEEDS, plan_repeats


@command("repeat", examples=("repeat", "repeat --dry-run", "repeat hybrid-1a2b3c4d --seeds 5 --detach"))
@click.argument("run_ids", nargs=-1, metavar="[RUN...]")
@click.option(
    "--seeds",
    type=click.IntRange(min=2, max=MOST_SEEDS),
    default=SEEDS,
    show_default=True,
    help="How many in all, the first one counted.",
)
@DETACH
@DRY_RUN
def repeat(call: Call, *, run_ids: Sequence[str], seeds: int, detach: bool, dry_run: bool) -> int:
    """Repeat the reference, and what is built on it, from other seeds: what training alone changes.

    Seeds are crossed: what is made from a seed stands on the reference of that same seed. Comparisons then
    are over personas and seeds. Runs named leave out the others.
    """
    planned = plan_repeats(call.ws, run_ids, seeds=seeds)
    if not dry_run and planned.left is not None and planned.left.seconds:
        note(f"It takes {planned.left.words}.")
    return launch(call, planned, detach=detach, dry_run=dry_run)


@command("reference", examples=("reference", "reference unified-1a2b3c4d"))
@click.argument("run_id", required=False, metavar="[RUN]")
def reference(call: Call, *, run_id: str | None) -> int:
    """Show the run that all are compared with and built on; with a RUN, make that one the reference.

    It is chosen once, and no newer run takes its place by itself.
    """
    from engine.results import store

    store.refresh(call.ws)
    found = (
        references.reference_on(call.ws, read_ground(call.ws))
        if run_id is None
        else references.choose(call.ws, run_id)
    )
    if found is None:
        raise EngineError("There is no reference yet.", f"Make one: {call.command('run', 'unified')}")
    return call.answer(asdict(found), lambda: out().print(_words(found), soft_wrap=True))


def _words(found: references.Reference) -> str:
    how = "the first there was" if found.by == "first" else "chosen"
    instead = f", instead of {found.instead_of}" if found.instead_of else ""
    return f"{found.run_id}: {how}, {ago(found.at)}{instead}."
