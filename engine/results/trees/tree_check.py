"""Is a tree sound? Owns the finding of every fault at once, each with its line.

Refuses: cycles, nodes that cannot be reached or lead nowhere, experiments and metrics nobody knows, gates
without a threshold, parameters the experiment does not take, and results of nodes that do not come before.
"""

import functools
import graphlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.core.errors import DataError, EngineError, Fault, unknown_name
from engine.core.limits import limits
from engine.core.parameters import worded
from engine.data.folder import opened
from engine.domains.metrics import METRICS
from engine.results.trees.tree import Gate, Node, Tree, reachable
from engine.results.trees.tree_source import Located, read
from engine.strategies import registry
from engine.strategies.spec import validate

_TREE_KEYS = tuple(name for name in Tree.model_fields if name != "name")


def read_tree(text: str, *, name: str, file: str | None = None) -> Tree:
    """Return the tree of a YAML text. Raises DataError with every fault, by line of `file`."""
    where = file or f"{name}.yaml"
    values, faults = read(text, file=where)
    if not faults and not isinstance(values, Located):
        faults = [Fault(where, 1, "a tree is a mapping with title and nodes")]
    tree = None
    if isinstance(values, Located):
        checked = _Check(values, where)
        tree = checked.tree(name)
        faults += checked.faults
    if faults or tree is None:
        faults.sort(key=lambda fault: fault.line)
        raise DataError(
            f"The tree {name!r} is not sound.", faults, "Mend it and save it again; nothing was changed."
        )
    return tree


def read_tree_file(path: Path) -> Tree:
    """Return the tree of a file. Raises DataError with every fault, EngineError when it cannot be read."""
    try:
        with opened(path) as file:
            text = file.read(4 * limits().tree_characters + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{path} cannot be read: {error}", "A tree is a YAML file in UTF-8.") from error
    return _read_once(text, path.stem, path.name)


@functools.lru_cache(maxsize=32)
def _read_once(text: str, name: str, file: str) -> Tree:
    """The tree of a text that was read before; trees are never changed."""
    return read_tree(text, name=name, file=file)


class _Check:
    """One checking: the raw values, and the faults found so far."""

    def __init__(self, values: Located, file: str) -> None:
        self.values = values
        self.file = file
        self.faults: list[Fault] = []
        self.lines: dict[str, int] = {}

    def tree(self, name: str) -> Tree | None:
        """Return the tree, or None after noting why there is none."""
        raw = self.values.get("nodes")
        if not isinstance(raw, list) or not raw:
            self._say(self.values.lines.get("nodes", 1), "nodes: a tree needs a list of at least one node")
            raw = []
        self._head(name)
        nodes = [node for node in map(self._node, raw) if node is not None]
        self._gates(nodes)
        if nodes:
            self._shape(nodes)
        if self.faults:
            return None
        head = {key: value for key, value in self.values.items() if key != "nodes"}
        return Tree(**{**head, "name": name, "nodes": nodes})

    def _head(self, name: str) -> None:
        """Check everything but the nodes."""
        stand_in = (Node(id="stand-in", result="stand-in"),)
        head = {key: value for key, value in self.values.items() if key not in ("nodes", "name")}
        self._form(Tree, {**head, "name": name, "nodes": stand_in}, line=1, lines=self.values.lines)
        if "name" in self.values:
            self._say(self.values.lines["name"], "name: the file's name is the tree's name; leave it out")
        gate = self.values.get("gate")
        if isinstance(gate, Located) and "metric" in gate:
            self._metric(gate["metric"], gate.lines["metric"])
        if "expected_in" in self.values:
            self._metric(self.values["expected_in"], self.values.lines["expected_in"], "expected_in")

    def _node(self, raw: Any) -> Node | None:
        if not isinstance(raw, Located):
            self._say(self.values.lines["nodes"], f"a node is a mapping with an id, not {raw!r}")
            return None
        label = str(raw.get("id", "a node without id"))
        node = self._form(Node, raw, line=raw.line, lines=raw.lines, label=label)
        line = raw.lines.get("id", raw.line)
        if node is None:
            self.lines.setdefault(label, line)
            return _stand_in(raw)
        if node.id in self.lines:
            self._say(line, f"{node.id}: the id is given twice (line {self.lines[node.id]})")
        self.lines.setdefault(node.id, line)
        if isinstance(raw.get("gate"), Located) and "metric" in raw["gate"]:
            self._metric(raw["gate"]["metric"], raw["gate"].lines["metric"], label)
        self._kind(node, raw)
        return node

    def _kind(self, node: Node, raw: Located) -> None:
        """A node is an experiment that leads on, or a result that does not."""
        line = raw.lines["id"]
        if (node.experiment is None) == (node.result is None):
            self._say(line, f"{node.id}: needs either an experiment or a result")
        if node.is_result:
            wrong = [key for key in ("passed", "failed", "then", "gate", "parameters") if key in raw]
            self._each(raw, wrong, f"{node.id}: a result leads nowhere and has no")
            if not node.use:
                self._say(line, f"{node.id}: a result needs `use`, the nodes whose best variant it takes")
            return
        self._each(
            raw, [key for key in ("use", "record", "outcome") if key in raw], f"{node.id}: only a result has"
        )
        if node.is_gated and (node.passed is None or node.failed is None):
            self._say(line, f"{node.id}: a gate needs both branches, passed and failed")
        if node.is_gated == (node.then is not None):
            self._say(line, f"{node.id}: needs either `then`, or `passed` and `failed`")
        if node.gate is not None and not node.is_gated:
            self._say(raw.lines["gate"], f"{node.id}: its gate has no branches, passed and failed")
        if node.expected is not None and node.expected[0] > node.expected[1]:
            self._say(raw.lines["expected"], f"{node.id}: expected goes from the smaller to the larger gain")
        if node.experiment is not None:
            self._experiment(node, raw)

    def _experiment(self, node: Node, raw: Located) -> None:
        known = registry.EXPERIMENTS.get(node.experiment or "")
        if known is None:
            if not node.optional:
                self._unknown(
                    raw.lines["experiment"], node.id, "experiment", node.experiment, registry.EXPERIMENTS
                )
            return
        try:
            validate(known, node.parameters)
        except EngineError as error:
            line = raw.lines.get("parameters", raw.line)
            for fault in error.message.splitlines()[1:] or [error.message]:
                self._say(line, f"{node.id}: {fault.strip()}")

    def _gates(self, nodes: Iterable[Node]) -> None:
        """Every gate needs exactly one threshold once the tree's own values are counted in."""
        given = self.values.get("gate")
        common = given if isinstance(given, Mapping) else {}
        for node in nodes:
            if not node.is_gated:
                continue
            own = node.gate.model_dump(exclude_unset=True) if node.gate else {}
            kinds = {"over_reference", "at_least"}
            held = kinds & own.keys() or kinds & common.keys()
            if len(held) != 1:
                what = (
                    "has no threshold: give over_reference or at_least" if not held else "has two thresholds"
                )
                self._say(self.lines[node.id], f"{node.id}: its gate {what}")
            named = METRICS.get(str(own.get("metric") or common.get("metric")))
            if "at_least" in held and named is not None and named.unit != "fraction":
                what = f"{named.name} is no fraction, so its gate needs over_reference, a share of the mean"
                self._say(self.lines[node.id], f"{node.id}: {what}")

    def _shape(self, nodes: list[Node]) -> None:
        """Targets exist, there is no cycle, everything can be reached, and results use what came before."""
        by_id = {node.id: node for node in nodes}
        for node in nodes:
            for target in dict.fromkeys(node.leads_to):
                if target not in by_id:
                    self._unknown(self.lines[node.id], node.id, "node", target, by_id)
        leads = {node.id: [target for target in node.leads_to if target in by_id] for node in nodes}
        cycle = _cycle(leads)
        if cycle:
            self._say(self.lines[cycle[0]], f"a cycle: {' -> '.join(cycle)}")
        after = {name: reachable(leads, *targets) for name, targets in leads.items()}
        before = {name: {one for one in leads if name in after[one]} for name in leads}
        for node in nodes[1:]:
            if nodes[0].id not in before[node.id]:
                self._say(self.lines[node.id], f"{node.id}: cannot be reached from {nodes[0].id}")
        self._sources(nodes, by_id, before)

    def _sources(self, nodes: list[Node], by_id: Mapping[str, Node], before: Mapping[str, set[str]]) -> None:
        reference = str(self.values.get("reference", "unified"))
        for node in nodes:
            is_met = node is nodes[0] or nodes[0].id in before[node.id]  # the other fault is told already
            for used in (name for name in node.use if name != reference):
                if used not in by_id:
                    self._unknown(self.lines[node.id], node.id, "node", used, [*by_id, reference])
                elif is_met and used not in before[node.id]:
                    self._say(self.lines[node.id], f"{node.id}: uses {used}, which does not come before it")
            earlier = {by_id[one].experiment for one in before[node.id]}
            if node.is_gated and is_met and reference not in earlier:
                self._say(
                    self.lines[node.id], f"{node.id}: no node before its gate makes the reference {reference}"
                )

    def _form(
        self,
        form: type[BaseModel],
        raw: Mapping[str, Any],
        *,
        line: int,
        lines: Mapping[str, int],
        label: str = "",
    ) -> Any:
        try:
            return form(**raw)
        except ValidationError as error:
            for fault in error.errors():
                place = [str(part) for part in fault["loc"]]
                at = lines.get(place[0], line) if place else line
                path = ".".join(place)
                self._say(at, f"{f'{label}: ' if label else ''}{path}: {_worded(fault, form)}")
            return None

    def _metric(self, metric: Any, line: int, label: str = "gate") -> None:
        if metric not in METRICS:
            self._unknown(line, label, "metric", metric, METRICS)
        elif METRICS[metric].higher_is_better is None:
            self._say(line, f"{label}: no value of {metric} is better, so no gate can be set on it")

    def _unknown(self, line: int, label: str, kind: str, name: Any, known: Iterable[str]) -> None:
        error = unknown_name(kind, str(name), known)
        self._say(line, f"{label}: {error.message} {error.hint}")

    def _each(self, raw: Located, keys: Iterable[str], words: str) -> None:
        for key in keys:
            self._say(raw.lines[key], f"{words} `{key}`")

    def _say(self, line: int, what: str) -> None:
        self.faults.append(Fault(self.file, line, what))


def _stand_in(raw: Located) -> Node | None:
    """A faulty node with nothing but its edges, so that the rest of the tree is still checked."""
    texts = {
        key: value
        for key in ("id", "then", "passed", "failed", "experiment", "result")
        if isinstance(value := raw.get(key), str)
    }
    return Node.model_construct(None, **texts) if "id" in texts else None


def _worded(fault: ErrorDetails, form: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        known = (
            _TREE_KEYS
            if form is Tree
            else tuple(Gate.model_fields if "gate" in fault["loc"] else Node.model_fields)
        )
        return f"there is no such entry. {unknown_name('entry', str(fault['loc'][-1]), known).hint}"
    return worded(fault)


def _cycle(leads: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a cycle as a way back to its beginning, the node of it that is told first; empty without one."""
    try:
        graphlib.TopologicalSorter(leads).prepare()
    except graphlib.CycleError as error:
        way = error.args[1][:0:-1]  # told backwards, its beginning twice
        begin = min(range(len(way)), key=lambda place: list(leads).index(way[place]))
        return [*way[begin:], *way[: begin + 1]]
    return []
