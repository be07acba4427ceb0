"""The walk through a tree: the state of every node, from results alone, with the number that decided it.

Pure: reads nothing and launches nothing, so the same findings always give the same states, and a moved
threshold shows another path without any run.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from engine.results.trees.tree import Gate, Node, Tree
from engine.runs.runfolder import RESUMABLE, State
from engine.stats import co_primary
from engine.stats.levels import ALPHA, NOISE, POINT

NodeState = Literal[
    "blocked",
    "ahead",
    "ready",
    "running",
    "stopped",
    "passed",
    "failed",
    "not significant",
    "underpowered",
    "skipped",
    "not available",
    "reached",
]
_ENDED: Mapping[State | None, str] = {"cancelled": "was cancelled", "lost": "was lost"}
DecidingNumber = Literal[
    "gain", "share improved", "p", "interval", "second metric", "detectable gain", "personas"
]


@dataclass(frozen=True, slots=True)
class Measured:
    """A variant against the reference on one metric and split; fractions, over `n_paired` personas.

    `delta` and its interval are gains, whichever way the metric is better. Of a metric that is no fraction
    they are shares of the reference's mean, and there is no `mean`.

    `candidates` says of how many variants of the node it was the best on val. `p` is the verdict's, corrected
    over all that compete, and [ci_low, ci_high] the 95 % interval: both as every table shows them.
    `share_improved` is that of the personas who truly gain, where examples tell that from luck.
    `min_detectable_effect` is the gain seen in four of five studies of this size. `co_primary` is the second
    primary metric beside it, where the domain has one.
    """

    variant: str
    reference: str
    metric: str | None
    split: str
    delta: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    mean: float | None
    reference_mean: float | None
    share_improved: float | None
    min_detectable_effect: float | None
    n_paired: int
    wins: int
    ties: int
    losses: int
    candidates: int = 1
    co_primary: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known about one node. `unavailable` says why its experiment cannot be run here.

    `run_state` is that of its best-standing run (succeeded before active before ended badly), None without
    one. `unmeasured` says why a run that succeeded gives no number. `seconds` is the time its runs took.
    """

    unavailable: str | None = None
    run_id: str | None = None
    run_state: State | None = None
    run_error: str | None = None
    runs: tuple[str, ...] = ()
    measured: Measured | None = None
    unmeasured: str | None = None
    seconds: float | None = None
    progress: float = 0.0


@dataclass(frozen=True, slots=True)
class Deciding:
    """The number that decided: its value, and what was needed (None where nothing was).

    `open` says what the way goes on without, and a verdict does not: a second metric not shown to hold.
    """

    number: DecidingNumber
    value: float | None
    needed: float | None
    open: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """One node's state. `on_path` says that the walk came by; `leads_to` where it went on; `run_state` how
    the run of a stopped one ended, and whether that of a running one is at work yet."""

    id: str
    state: NodeState
    decided_by: Deciding | None = None
    reason: str = ""
    on_path: bool = False
    leads_to: str | None = None
    run_state: State | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """A tree with its states. `next` is the node where the walk waits, `result` the result it reached."""

    tree: Tree
    standings: Mapping[str, Standing]
    path: tuple[str, ...]
    next: str | None
    result: str | None
    findings: Mapping[str, Finding] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return path, next, result and the nodes as plain JSON values."""
        nodes = [{**asdict(self.standings[node.id]), "name": node.name} for node in self.tree.nodes]
        return {"path": list(self.path), "next": self.next, "result": self.result, "nodes": nodes}


def walk(tree: Tree, findings: Mapping[str, Finding]) -> Walk:
    """Return the state of every node. A node without finding is one that was never run."""
    standings: dict[str, Standing] = {}
    path: list[str] = []
    node: Node | None = tree.start
    while node is not None:
        standing = _standing(node, findings.get(node.id, Finding()))
        if node.is_result:
            standing = replace(standing, reason=_record(tree, node, standings))
        standings[node.id] = standing
        path.append(node.id)
        node = tree.node(standing.leads_to) if standing.leads_to else None
    last = path[-1]
    ahead = tree.reachable(last) - {last}
    for other in tree.nodes:
        if other.id not in standings:
            standings[other.id] = _off_path(
                other, findings.get(other.id, Finding()), is_ahead=other.id in ahead
            )
    is_result = tree.node(last).is_result
    return Walk(
        tree=tree,
        standings=standings,
        path=tuple(path),
        next=None if is_result else last,
        result=last if is_result else None,
        findings=dict(findings),
    )


def judge(gate: Gate, measured: Measured) -> tuple[NodeState, Deciding]:
    """Return what a gate says of a comparison, and the number that decided.

    Passed: gain and share reach what is needed, p is below alpha and the interval leaves out 0. One that
    holds 0 makes a gain not significant, with its lower end. (A gate with alpha over 0.05 asks for less than
    a 95 % interval, so its p decides alone.) Where the second primary metric is down it is failed; where that
    one is open the way goes on, and `Deciding.open` says so. Without p below alpha it is underpowered when
    the study would miss the needed gain (or one point, where less is needed) more often than one time in five
    and the interval does not exclude it, and not significant when the numbers reach what is needed but noise
    may have made them. Everything else is failed.
    """
    gain, needed = measured.delta, gate.needed_gain(measured.reference_mean)
    if gain is None or measured.p is None:
        return "underpowered", Deciding("personas", float(measured.n_paired), 2.0)
    enough = gain >= needed - NOISE
    share, wanted = measured.share_improved, gate.share_improved
    improved = wanted is None or (share is not None and share >= wanted - NOISE)
    if measured.p < gate.alpha:
        if not enough or gain <= 0:
            return "failed", Deciding("gain", gain, needed)
        if not improved:
            return _too_few(share, wanted)
        if gate.alpha <= ALPHA and _holds_zero(measured):
            return "not significant", Deciding("interval", measured.ci_low, 0.0)
        beside = measured.co_primary
        stands = co_primary.HELD if beside is None else co_primary.standing(beside)
        if beside is not None and stands == co_primary.DOWN:
            return "failed", Deciding("second metric", beside["ci_high"], 0.0)
        left = co_primary.beside_words(beside) if beside is not None and stands == co_primary.OPEN else ""
        return "passed", Deciding("gain", gain, needed, left)
    if _underpowered(measured, max(needed, POINT)):
        return "underpowered", Deciding("detectable gain", measured.min_detectable_effect, max(needed, POINT))
    if not enough:
        return "failed", Deciding("gain", gain, needed)
    return ("not significant", Deciding("p", measured.p, gate.alpha)) if improved else _too_few(share, wanted)


def _record(tree: Tree, node: Node, standings: Mapping[str, Standing]) -> str:
    """What a result puts on record, and which steps on the way were not to be had.

    Where no gate was judged on the way, nothing is settled and nothing is recorded.
    """
    missing = [tree.node(name).name for name, one in standings.items() if one.state == "not available"]
    if not missing or node.outcome == "use":
        return node.record or ""
    names = ", ".join(missing)
    if not any(one.decided_by for one in standings.values()):
        return f"Nothing is settled: not available on the way were {names}."
    return f"{node.record or ''} Not tried, because not available: {names}.".strip()


def onward(node: Node, finding: Finding) -> str | None:
    """Return where the walk goes from a node, None where it ends or waits."""
    return _standing(node, finding).leads_to


def _too_few(share: float | None, wanted: float | None) -> tuple[NodeState, Deciding]:
    return "failed", Deciding("share improved", share, wanted)


def _holds_zero(measured: Measured) -> bool:
    low, high = measured.ci_low, measured.ci_high
    return low is not None and high is not None and low <= 0 <= high


def _underpowered(measured: Measured, effect: float) -> bool:
    detectable, high = measured.min_detectable_effect, measured.ci_high
    return detectable is not None and detectable > effect and high is not None and high >= effect


def _standing(node: Node, finding: Finding) -> Standing:
    """The state of a node on the path, and where the walk goes from it."""
    if node.is_result:
        return Standing(node.id, "reached", on_path=True)
    onward = node.failed if node.is_gated else node.then
    if finding.measured is not None:
        if node.gate is None:
            return Standing(node.id, "passed", on_path=True, leads_to=node.then, reason="It has no gate.")
        state, deciding = judge(node.gate, finding.measured)
        target = node.passed if state == "passed" else node.failed
        return Standing(node.id, state, deciding, on_path=True, leads_to=target)
    if finding.run_state == "succeeded":
        return _without_number(node, finding)
    if finding.run_state in ("queued", "running"):
        return Standing(
            node.id, "running", on_path=True, reason=finding.run_state, run_state=finding.run_state
        )
    if finding.unavailable is not None:
        return Standing(node.id, "not available", on_path=True, leads_to=onward, reason=finding.unavailable)
    if finding.run_state in RESUMABLE:
        error = f": {finding.run_error.splitlines()[0]}" if finding.run_error else ""
        told = f"Its run {finding.run_id} {_ENDED.get(finding.run_state, finding.run_state)}{error}"
        return Standing(node.id, "stopped", on_path=True, reason=told, run_state=finding.run_state)
    return Standing(node.id, "ready", on_path=True)


def _without_number(node: Node, finding: Finding) -> Standing:
    """A run has succeeded and nothing can be compared: only a gate minds."""
    why = finding.unmeasured or "It left no variant to compare."
    if node.gate is None:
        return Standing(node.id, "passed", on_path=True, leads_to=node.then, reason=why)
    return Standing(node.id, "stopped", on_path=True, reason=why, run_state="succeeded")


def _off_path(node: Node, finding: Finding, *, is_ahead: bool) -> Standing:
    if finding.run_state in ("queued", "running") and finding.measured is None:
        return Standing(node.id, "running", reason="It was launched by hand.", run_state=finding.run_state)
    if is_ahead and finding.unavailable is not None and not node.is_result:
        return Standing(node.id, "not available", reason=finding.unavailable)
    if is_ahead and finding.run_state == "succeeded" and not node.is_result:
        return Standing(node.id, "ahead", reason="It has run already; the walk has not come to it yet.")
    if is_ahead:
        return Standing(node.id, "blocked", reason="Its turn has not come.")
    return Standing(node.id, "skipped", reason="The walk took another branch.")
