"""How long the rest of a tree takes, at best and at worst. Owns the sum over its ways; measures nothing.

A run that several nodes need counts once. What is decided already is not walked again, whichever way a
threshold is moved.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from engine.results.trees.tree import Node, Tree
from engine.results.trees.tree_walk import Finding, Walk, onward
from engine.strategies.costs import Estimate

_MOST_WAYS = 2_000
Costs = Mapping[str, Mapping[str, Estimate | None]]
"""For each node the runs it still asks for, each with its time; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """Seconds from here to a result on the shortest and on the longest way.

    `unknown` says that a run on the way was never timed, so that the times are at least so long; `rough`
    that some times are guessed from runs of other experiments.
    """

    best_seconds: float
    worst_seconds: float
    best_unknown: bool
    worst_unknown: bool
    rough: bool = False


def remaining(done: Walk, costs: Costs) -> Remaining:
    """Return the time still needed from the node where the walk waits; nothing once a result is reached."""
    if done.next is None:
        return Remaining(0.0, 0.0, False, False)
    ways = list(islice(_ways(done.tree, done.tree.node(done.next), done.findings), _MOST_WAYS))
    times = [_time(way, costs) for way in ways]
    best, worst = min(times), max(times)
    asked = [one for way in ways for node_id in way for one in costs.get(node_id, {}).values()]
    rough = any(one is not None and one.is_guess for one in asked)
    return Remaining(best[0], worst[0], best[1], worst[1], rough=rough)


def _time(way: tuple[str, ...], costs: Costs) -> tuple[float, bool]:
    runs = {run_id: time for node_id in way for run_id, time in costs.get(node_id, {}).items()}
    return sum(time.seconds for time in runs.values() if time is not None), None in runs.values()


def _ways(tree: Tree, node: Node, findings: Mapping[str, Finding]) -> Iterator[tuple[str, ...]]:
    """Yield every way that is still possible from a node to a result."""
    decided = onward(node, findings.get(node.id, Finding()))
    targets = node.leads_to if decided is None else (decided,)
    if not targets:
        yield (node.id,)
    for target in dict.fromkeys(targets):
        for rest in _ways(tree, tree.node(target), findings):
            yield (node.id, *rest)
