"""A tree as boxes and lines, for whatever draws it. Owns the places and the words; draws nothing.

The way that fails, or simply goes on, runs straight down; a way that passes branches off to the right.
"""

from dataclasses import asdict, dataclass
from typing import Any

from engine.results.study.standing import Stand
from engine.results.trees.tree import Node, Tree
from engine.results.trees.tree_walk import Measured, Walk
from engine.results.trees.tree_words import expected_words, gain_words, look_of

_MARGIN = 0.005  # half a point of air at both ends of the scale of gains


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box lies: row and column from 1; `depth` is how far it is set in where there is one column."""

    row: int
    column: int

    @property
    def depth(self) -> int:
        return self.column - 1


@dataclass(frozen=True, slots=True)
class Bar:
    """A gain on the tree's common scale, all values shares of its width from 0 to 1; None where unknown."""

    zero: float
    needed: float | None
    expected: tuple[float, float] | None
    gain: float | None
    interval: tuple[float, float] | None


def places(tree: Tree) -> dict[str, Place]:
    """Return where every node lies; no two share a place, and a node of two ways lies where it came first."""
    found: dict[str, Place] = {}

    def put(name: str, row: int, column: int) -> int:
        """Place a node and what follows; return the first row below all of it."""
        if name in found:
            return row
        found[name] = Place(row, column)
        node = tree.node(name)
        below = row + 1
        if node.passed is not None and node.passed not in found:
            below = max(below, put(node.passed, row, column + 1))
        onward = node.failed if node.is_gated else node.then
        if onward is None or onward in found:
            return below
        if column > 1 and not node.is_gated:  # a branch without a gate goes on to the right
            return max(below, put(onward, row, column + 1))
        return put(onward, below, column)

    put(tree.start.id, 1, 1)
    return found


def picture(stood: Stand, shown: Walk | None = None, *, chosen: str | None = None) -> dict[str, Any]:
    """Return boxes and lines as plain JSON values. `shown` is another walk of the same findings: what if?"""
    done = shown or stood.walk
    lie = places(done.tree)
    ends = _scale(done)
    boxes = [_box(stood, done, node, lie[node.id], ends, chosen) for node in done.tree.nodes]
    boxes.sort(key=lambda box: (box["row"], box["column"]))
    return {"boxes": boxes, "lines": [line for node in done.tree.nodes for line in _lines(done, node)]}


def _box(
    stood: Stand, done: Walk, node: Node, place: Place, ends: tuple[float, float], chosen: str | None
) -> dict[str, Any]:
    standing, finding = done.standings[node.id], done.findings.get(node.id)
    measured = finding.measured if finding else None
    word, bar = look_of(node, standing).word, _bar(node, measured, ends)
    told = gain_words(measured) if measured is not None else ""
    expected = f"expected {expected_words(node.expected)}" if node.expected else ""
    return {
        "id": node.id,
        "title": node.name,
        "state": standing.state,
        "word": word,
        "sign": look_of(node, standing).sign,
        "tone": look_of(node, standing).tone,
        "result": node.is_result,
        "on_path": standing.on_path,
        "next": node.id == done.next,
        "chosen": node.id == chosen,
        "gain": told,
        "expected": expected,
        "time": stood.time_words(node.id, standing.state, took="took "),
        "progress": finding.progress if finding and standing.state == "running" else None,
        "bar": asdict(bar) if bar else None,
        "row": place.row,
        "column": place.column,
        "label": ", ".join(filter(None, (node.name, word, told, expected, *_onward(done.tree, node)))),
    }


def _onward(tree: Tree, node: Node) -> list[str]:
    """Where the lines from a box lead, in words: for those who hear the tree."""
    ways = (("if yes", node.passed), ("if no", node.failed), ("then", node.then))
    return [f"{word} {tree.node(target).name}" for word, target in ways if target is not None]


def _lines(done: Walk, node: Node) -> list[dict[str, Any]]:
    took = done.standings[node.id].leads_to
    branches = (("passed", "yes"), ("failed", "no"), ("then", ""))
    return [
        {"from": node.id, "to": target, "label": label, "taken": target == took}
        for field, label in branches
        if (target := getattr(node, field)) is not None
    ]


def _scale(done: Walk) -> tuple[float, float]:
    """The smallest and largest gain that any box shows, 0 among them, with some air."""
    values = [0.0]
    for node in done.tree.nodes:
        values += node.expected or ()
        values += [node.gate.threshold] if node.gate and node.gate.at_least is None else []
        finding = done.findings.get(node.id)
        if finding and finding.measured and finding.measured.variant != finding.measured.reference:
            measured = finding.measured
            values += [one for one in (measured.delta, measured.ci_low, measured.ci_high) if one is not None]
    return min(values) - _MARGIN, max(values) + _MARGIN


def _bar(node: Node, measured: Measured | None, ends: tuple[float, float]) -> Bar | None:
    """The bar of a step: what is expected, what is needed, what was measured; None where there is nothing."""
    own = measured if measured is not None and measured.variant != measured.reference else None
    if node.is_result or (own is None and node.expected is None):
        return None
    low, high = ends

    def at(value: float) -> float:
        return round((value - low) / (high - low), 4)

    needed = node.gate.needed_gain(measured.reference_mean if measured else None) if node.gate else None
    if node.gate and node.gate.at_least is not None and measured is None:
        needed = None  # an absolute threshold has no place on the scale before unified is known
    ci = (own.ci_low, own.ci_high) if own else (None, None)
    return Bar(
        zero=at(0.0),
        needed=at(needed) if needed is not None and low <= needed <= high else None,
        expected=(at(node.expected[0]), at(node.expected[1])) if node.expected else None,
        gain=at(own.delta) if own and own.delta is not None else None,
        interval=(at(ci[0]), at(ci[1])) if ci[0] is not None and ci[1] is not None else None,
    )
