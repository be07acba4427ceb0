"""A decision tree as data: which experiments in which order, and the gates that decide between branches.

Owns the records and what moves a threshold. Reads no file and knows no result; the walk over results is in
tree_walk.py. A tree has no cycle and every way through it ends in a result (tree_check.py sees to both).
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from engine.core.errors import EngineError, unknown_name
from engine.core.parameters import ListOf, worded
from engine.stats.levels import ALPHA

Outcome = Literal["use", "not-effective", "open"]
GATE_VALUES = ("threshold", "share", "alpha")


def _number(value: Any) -> Any:
    """A truth value is no number, though Python takes it for one."""
    if isinstance(value, bool):
        raise ValueError("a number is needed")
    return value


Number = Annotated[float, BeforeValidator(_number)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Gate(_Record):
    """What a variant must reach. All values are fractions; of a metric that is none, of the reference's mean.
    Where lower is better, a gain is how much lower.

    The mean must lie `over_reference` above the reference's on the same personas, or be `at_least` so high
    (exactly one of the two), in `metric`, by default the study's primary one; the verdict's p, corrected over
    all that compete, must be below `alpha`; and where `share_improved` is given, so many personas must be
    better than under the reference. Judged on `split`.
    """

    metric: str | None = None
    split: Literal["val", "test"] = "val"
    over_reference: Number | None = Field(default=None, ge=-1, le=1)
    at_least: Number | None = Field(default=None, ge=0, le=1)
    share_improved: Number | None = Field(default=None, ge=0, le=1)
    alpha: Number = Field(default=ALPHA, gt=0, lt=1)

    @property
    def threshold(self) -> float:
        """The number that the what-if moves: over the reference, or absolute."""
        value = self.over_reference if self.at_least is None else self.at_least
        assert value is not None  # tree_check.py refuses a gate without one
        return value

    def needed_gain(self, reference_mean: float | None) -> float:
        """Return how far over the reference the mean must be."""
        if self.at_least is None:
            return self.threshold
        return self.at_least - (reference_mean or 0.0)


class Node(_Record):
    """One step: an experiment, with a gate (`passed`, `failed`) or without (`then`); or a result.

    `parameters` are given to the experiment. `accepts` are patterns of variants' names that count as its
    results whoever made them. `expected` is the gain expected before any run, from and to, as fractions over
    the reference. An `optional` experiment may be missing in the registry. A result uses the best, on val, of
    the nodes in `use` (or the reference).
    """

    id: Name
    title: str | None = None
    experiment: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    accepts: ListOf[str] = Field(default_factory=list)
    optional: bool = False
    expected: tuple[Number, Number] | None = None
    note: str | None = None
    gate: Gate | None = None
    passed: str | None = None
    failed: str | None = None
    then: str | None = None
    result: str | None = None
    outcome: Outcome = "use"
    use: ListOf[str] = Field(default_factory=list)
    record: str | None = None

    @property
    def name(self) -> str:
        """What it is called on screens."""
        return self.title or self.result or self.id

    @property
    def is_result(self) -> bool:
        return self.result is not None

    @property
    def is_gated(self) -> bool:
        return self.passed is not None or self.failed is not None

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The nodes it may lead to, the passed one first."""
        return tuple(target for target in (self.passed, self.then, self.failed) if target is not None)


class Tree(_Record):
    """A whole tree; the first node is its start. `gate` is what every gate asks unless it says otherwise.

    `expected_in` is the metric that the nodes' expectations are of, by default whichever a study judges by.
    """

    name: str
    title: str
    question: str = ""
    reference: str = "unified"
    cluster: Literal["all", "largest"] | Annotated[int, Field(ge=0)] = "all"
    gate: Gate = Gate()
    expected_in: str | None = None
    nodes: tuple[Node, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _gates_are_complete(self) -> Self:
        """Give every gated node its whole gate, with the tree's values where it says nothing itself."""
        whole = tuple(_with_gate(node, self.gate) for node in self.nodes)
        object.__setattr__(self, "nodes", whole)
        return self

    @property
    def start(self) -> Node:
        return self.nodes[0]

    def node(self, node_id: str) -> Node:
        """Return a node. Raises EngineError with the nearest known one."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise unknown_name(f"node of {self.name}", node_id, [node.id for node in self.nodes])

    def terms(self, node: Node) -> Gate:
        """Return on which metric and split a node is measured, gated or not."""
        return node.gate or self.gate

    def reachable(self, *starts: str) -> set[str]:
        """Return the nodes that can be reached from these, themselves included."""
        return reachable({node.id: node.leads_to for node in self.nodes}, *starts)


def reachable(leads: Mapping[str, Collection[str]], *starts: str) -> set[str]:
    """Return what can be reached from these by lines that lead from one to others, themselves included."""
    seen: set[str] = set()
    todo = list(starts)
    while todo:
        name = todo.pop()
        if name not in seen and name in leads:
            seen.add(name)
            todo += leads[name]
    return seen


def _with_gate(node: Node, defaults: Gate) -> Node:
    if not node.is_gated:
        return node
    own = node.gate.model_dump(exclude_unset=True) if node.gate else {}
    inherited = defaults.model_dump(exclude_unset=True)
    if {"over_reference", "at_least"} & own.keys():  # its own kind of threshold replaces the tree's
        inherited = {k: v for k, v in inherited.items() if k not in ("over_reference", "at_least")}
    return node.model_copy(update={"gate": Gate(**{**inherited, **own})})


def move_thresholds(tree: Tree, moved: Mapping[str, float]) -> Tree:
    """Return the tree with other gates: what if? `moved` maps NODE, NODE.share or NODE.alpha to a fraction.

    NODE alone moves the gate's threshold, in its own kind (over the reference, or absolute). Changes
    nothing on disk. Raises one EngineError with every fault.
    """
    faults: list[str] = []
    changes: dict[str, dict[str, float]] = {}
    for key, value in moved.items():
        node_id, _, what = key.partition(".")
        field = _field(tree, node_id, what or "threshold", faults)
        if field is not None:
            changes.setdefault(node_id, {})[field] = value
    nodes = [_moved(node, changes.get(node.id, {}), faults) for node in tree.nodes]
    if faults:
        gates = ", ".join(node.id for node in tree.nodes if node.gate)
        raise EngineError(
            "What if? cannot be answered:\n" + "\n".join(f"  {fault}" for fault in faults),
            f"Gates of {tree.name}: {gates}. Values are fractions: 0.02 is 2 points.",
        )
    return tree.model_copy(update={"nodes": tuple(nodes)})


def _field(tree: Tree, node_id: str, what: str, faults: list[str]) -> str | None:
    found = next((node for node in tree.nodes if node.id == node_id), None)
    if found is None or found.gate is None:
        known = [node.id for node in tree.nodes if node.gate]
        faults.append(str(unknown_name("gate", node_id, known)).replace("\n", " "))
        return None
    kind = "over_reference" if found.gate.at_least is None else "at_least"
    fields = {"threshold": kind, "share": "share_improved", "alpha": "alpha"}
    if what not in fields:
        faults.append(f"{node_id}.{what}: a gate has {', '.join(GATE_VALUES)}")
        return None
    return fields[what]


def _moved(node: Node, changes: Mapping[str, float], faults: list[str]) -> Node:
    if not changes or node.gate is None:
        return node
    try:
        gate = Gate(**{**node.gate.model_dump(), **changes})
    except ValidationError as error:
        faults += [f"{node.id}: {worded(fault)}" for fault in error.errors()]
        return node
    return node.model_copy(update={"gate": gate})
