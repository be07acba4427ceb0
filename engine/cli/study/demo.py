"""The command that does the main job in one go: demo. Nothing in it that the other commands do not do."""

import shlex
import time

import click

from engine.cli.compare import compare
from engine.cli.frame import Call, command, note
from engine.cli.watch import failure, watch
from engine.core.paths import REPOSITORY, Workspace
from engine.core.wording import duration
from engine.runs import jobs
from engine.strategies.plan import plan

FOLDER = REPOSITORY / "data" / "demo"
EXPERIMENTS = ("unified", "profile-prompt", "retrieval", "ceiling")


@command("demo", examples=("demo", "demo --personas 10 --workspace W"), anywhere=True)
@click.option("--personas", type=click.IntRange(min=5), default=20, show_default=True)
@click.option("--dialogues", type=click.IntRange(min=10), default=50, show_default=True)
def demo(call: Call, *, personas: int, dialogues: int) -> None:
    """Prepare a small world, train the unified LoRA, score it beside its rivals, and compare.

    Uses data/demo unless --workspace names another folder. Run twice, it shows the results it has.
    """
    from engine.data.prepare import prepare

    began = time.monotonic()
    ws = call.ws if call.ws.root != REPOSITORY else Workspace(FOLDER)
    card = prepare(ws, dataset="world:default", personas=personas, dialogues=dialogues)
    note(f"{ws.root}: {card['counts']['personas']} personas, {card['counts']['dialogues']} dialogues")
    for experiment in EXPERIMENTS:
        submitted = jobs.submit(ws, plan(ws, experiment))
        for record in watch(ws, [entry.record.run_id for entry in submitted], quiet=call.as_json):
            if record.state != "succeeded":
                raise failure(record, ws)
    app = f"PERSONA_LAB_WORKSPACE={shlex.quote(str(ws.root))} make run"
    note(f"Done in {duration(time.monotonic() - began)}. Look at it: {app}")
    compare.main(["--workspace", str(ws.root), *(["--json"] if call.as_json else [])], standalone_mode=False)
