"""The command about decision trees: tree. It shows where one stands, answers what-if, copies and saves."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from engine.cli.frame import Call, Place, command, out, pairs, table
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.results.trees import tree_library
from engine.results.trees.tree import Tree, move_thresholds
from engine.results.trees.tree_walk import Walk
from engine.results.trees.tree_words import (
    ahead_words,
    deciding_words,
    expected_words,
    gain_words,
    gate_words,
    look_of,
    moved,
    remaining_words,
    scale_words,
)

if TYPE_CHECKING:  # a command that reads no results loads no tables
    from engine.results.study.standing import Stand

_STYLES = {
    "good": "green",
    "bad": "yellow",
    "unclear": "cyan",
    "active": "blue",
    "next": "bold",
    "alarm": "red",
    "quiet": "dim",
}


@command(
    "tree",
    examples=(
        "tree",
        "tree quick-wins",
        "tree quick-wins --what-if retrieval=0.01 --what-if retrieval.share=0.5",
        "tree cluster-rescue --cluster largest --json",
        "tree quick-wins --copy my-tree",
        "tree my-tree --save edited.yaml",
    ),
)
@click.argument("name", required=False)
@click.option(
    "--what-if", "what_if", multiple=True, metavar="NODE=VALUE",
    help="Move a gate's threshold, as a fraction (0.01 is one point); NODE.share and NODE.alpha too.",
)  # fmt: skip
@click.option("--cluster", help="Judge on one cluster's personas: a number, largest or all.")
@click.option("--copy", "new_name", help="Copy the tree under this name, to be edited in data/trees.")
@click.option(
    "--save",
    "file",
    type=Place(dir_okay=False),
    help="Check this file and save it as NAME.",
)
def tree(
    call: Call,
    *,
    name: str | None,
    what_if: Sequence[str],
    cluster: str | None,
    new_name: str | None,
    file: Path | None,
) -> int:
    """Show the decision trees, or where one stands: its states, the numbers that decided, what comes next.

    What-if moves thresholds and shows how the path changes; nothing is run and nothing is saved.
    """
    if name is None:
        return _list(call)
    if file is not None:
        saved = tree_library.save(call.ws, name, _read(file))
        return call.answer(
            {"saved": name, "nodes": len(saved.nodes)}, lambda: out().print(f"{name} is sound and saved.")
        )
    if new_name is not None:
        path = tree_library.copy(call.ws, name, new_name)
        return call.answer({"copied": name, "to": str(path)}, lambda: out().print(f"Edit it: {path}"))
    return _show(call, tree_library.find(call.ws, name), cluster=cluster, what_if=what_if)


def _list(call: Call) -> int:
    entries = tree_library.entries(call.ws)
    value = [
        {"name": one.name, "title": one.title, "own": one.own, "error": str(one.error) if one.error else None}
        for one in entries
    ]

    def show() -> None:
        shown = table("tree", "title", "whose", "faults")
        for one in entries:
            fault = Text(str(one.error).split("\n")[0] if one.error else "", style="red")
            shown.add_row(one.name, one.title, "this workspace's" if one.own else "shipped", fault)
        out().print(shown)
        call.say(f"Where one stands: {call.command('tree', tree_library.DEFAULT)}")

    return call.answer({"trees": value}, show)


def _show(call: Call, found: Tree, *, cluster: str | None, what_if: Sequence[str]) -> int:
    from engine.results.study import autopilot
    from engine.results.study import standing as study

    chosen = autopilot.with_cluster(found, cluster)
    moves = _moves(what_if)
    changed = move_thresholds(chosen, moves) if moves else None
    stood = study.stand(call.ws, chosen)
    value = tree_record(stood)
    after = study.rewalk(stood, changed) if changed else None
    if changed is not None and after is not None:
        value["what_if"] = {"moved": moves, **after.as_json()}

    def show() -> None:
        _print_tree(call.ws, stood, stood.walk)
        if changed is not None and after is not None:
            _print_what_if(changed, stood.walk, after)

    return call.answer(value, show)


def tree_record(stood: "Stand") -> dict[str, Any]:
    """Return where a tree stands as one JSON object: fractions and seconds throughout."""
    told = stood.walk.as_json()
    for entry in told["nodes"]:
        node = stood.tree.node(entry["id"])
        finding = stood.walk.findings.get(node.id)
        entry |= {
            "experiment": node.experiment,
            "expected": list(node.expected) if node.expected else None,
            "gate": node.gate.model_dump() if node.gate else None,
            "measured": asdict(finding.measured) if finding and finding.measured else None,
            "runs": list(finding.runs) if finding else [],
            "seconds": finding.seconds if finding else None,
            "estimate_seconds": stood.estimate_seconds(node.id)
            if entry["state"] not in ("passed", "failed")
            else None,
        }
    verdict = asdict(stood.verdict) if stood.verdict else None
    head = {"tree": stood.tree.name, "title": stood.tree.title, "cluster": stood.tree.cluster}
    return {
        **head,
        "reference": stood.tree.reference,
        **told,
        "remaining": asdict(stood.remaining),
        "verdict": verdict,
    }


def _print_tree(ws: Workspace, stood: "Stand", walk: Walk) -> None:
    tree = walk.tree
    out().print(Text(f"{tree.title}: {tree.question}", style="bold"))
    if tree.cluster != "all":
        out().print(f"Judged on the personas of cluster {tree.cluster}.")
    shown = table("", "step", "state", "measured", "expected", "decided by", "time", right=("time",))
    for node in tree.nodes:
        standing, finding = walk.standings[node.id], walk.findings.get(node.id)
        measured = finding.measured if finding else None
        style = _STYLES[look_of(node, standing).tone]
        told = "" if standing.state in ("blocked", "skipped") else standing.reason
        decided = deciding_words(standing.decided_by) if standing.decided_by else told
        shown.add_row(
            Text(look_of(node, standing).sign, style=style),
            Text(node.name, style="" if standing.on_path else "dim"),
            Text(look_of(node, standing).word, style=style),
            "" if measured is None or node.is_result else gain_words(measured),
            expected_words(node.expected) if node.expected else "",
            Text(decided if len(decided) <= 60 else f"{decided[:57]}..."),
            stood.time_words(node.id, standing.state),
        )
    out().print(shown)
    if scale := scale_words(metrics.chosen(ws, tree.gate.metric), tree.reference):
        out().print(Text(scale))
    _print_end(stood, walk)


def _print_end(stood: "Stand", walk: Walk) -> None:
    if walk.next is not None:
        node = walk.tree.node(walk.next)
        out().print(Text(f"Next: {node.name}. Time left: {remaining_words(stood.remaining)}.", style="bold"))
        if node.gate:
            out().print(f"Its gate: {gate_words(node.gate, walk.tree.reference)}")
        return
    node = walk.tree.node(walk.result or "")
    out().print(Text(f"Result: {node.name}. {walk.standings[node.id].reason}".rstrip(), style="bold"))
    if (verdict := stood.verdict) is not None:
        out().print(f"{verdict.words}.")
        if verdict.ahead is not None:
            out().print(ahead_words(verdict.ahead))


def _print_what_if(changed: Tree, before: Walk, after: Walk) -> None:
    out().print(Text("What if?", style="bold"))
    for line in moved(changed, before, after) or ["Nothing changes."]:
        out().print(f"  {line}")
    out().print(f"  path: {' > '.join(changed.node(name).name for name in after.path)}")


def _moves(what_if: Sequence[str]) -> dict[str, float]:
    given = pairs(what_if, option="--what-if", example="retrieval=0.01")
    try:
        return {key: float(value) for key, value in given.items()}
    except ValueError as error:
        raise EngineError(
            f"--what-if needs a number: {error}", "Example: --what-if retrieval=0.01"
        ) from error


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{file} cannot be read: {error}", "A tree is a YAML file in UTF-8.") from error
