"""How a tree's states, gates and numbers are worded, for terminal, app, log and report alike.

Every state has a word, a sign and a tone; a colour is never its only carrier.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from engine.core.wording import about, count, duration, interval, p_value, percent, points, signed_points
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results.trees.tree import Gate, Node, Tree
from engine.results.trees.tree_time import Remaining
from engine.results.trees.tree_walk import Deciding, Measured, NodeState, Standing, Walk
from engine.runs.runfolder import State
from engine.stats import co_primary
from engine.stats.levels import POINT
from engine.stats.verdicts import BETTER, EQUAL, UNCLEAR, WORSE, verdict
from engine.strategies.costs import NO_ESTIMATE

Tone = Literal["good", "bad", "unclear", "active", "next", "alarm", "quiet"]


class Look(NamedTuple):
    """How a state shows: its word, its sign and its tone."""

    word: str
    sign: str
    tone: Tone


LOOKS: Final[Mapping[NodeState, Look]] = {
    "blocked": Look("Waiting", "\N{WHITE CIRCLE}", "quiet"),
    "ahead": Look("Has run", "\N{CIRCLE WITH LEFT HALF BLACK}", "quiet"),
    "ready": Look("Ready", "\N{BLACK RIGHT-POINTING TRIANGLE}", "next"),
    "running": Look("Running", "\N{BLACK CIRCLE}", "active"),
    "stopped": Look("Run failed", "!", "alarm"),
    "passed": Look("Passed", "\N{CHECK MARK}", "good"),
    "failed": Look("Not passed", "\N{MULTIPLICATION X}", "bad"),
    "not significant": Look("Not significant", "\N{ALMOST EQUAL TO}", "unclear"),
    "underpowered": Look("Underpowered", "?", "unclear"),
    "skipped": Look("Skipped", "\N{MINUS SIGN}", "quiet"),
    "not available": Look("Not available", "\N{EMPTY SET}", "quiet"),
    "reached": Look("Result", "\N{BLACK STAR}", "good"),
}


_STOPPED: Final[Mapping[State | None, Look]] = {
    "cancelled": Look("Cancelled", "\N{EN DASH}", "unclear"),
    "lost": Look("Run lost", "?", "alarm"),
    "succeeded": Look("Nothing to compare", "?", "unclear"),
}


def look_of(node: Node, standing: Standing) -> Look:
    """Return how a node shows: a step without a gate is done rather than passed, a run waits in the queue
    before it is at work and ends in several ways, and a result that settles nothing is not a good one."""
    found = LOOKS[standing.state]
    if standing.state == "running" and standing.run_state == "queued":
        return found._replace(word="Queued", sign="\N{WHITE CIRCLE}")
    if standing.state == "passed" and not node.is_gated:
        return found._replace(word="Done")
    if standing.state == "stopped":
        return _STOPPED.get(standing.run_state, found)
    if standing.state == "reached" and node.outcome != "use":
        return found._replace(tone="unclear")
    return found


def gate_words(gate: Gate, reference: str) -> str:
    """Word what a gate asks: "+2.9 points over unified on val, 60 % of personas improve, p < 0.05"."""
    what = "" if gate.metric is None else f"{METRICS[gate.metric].label}: "
    if gate.at_least is not None:
        needed = f"at least {points(gate.at_least)} points"
    elif gate.threshold == 0:
        needed = f"above {reference}"
    else:
        needed = f"{signed_points(gate.threshold)} points over {reference}"
    share = f", {percent(gate.share_improved)} of personas improve" if gate.share_improved else ""
    return f"{what}{needed} on {gate.split}{share}, p < {gate.alpha:g}"


def scale_words(metric: Metric, reference: str) -> str:
    """Say what a point is in a tree whose metric is no fraction; "" where it is one."""
    if metric.unit == "fraction":
        return ""
    way = "less" if metric.sign < 0 else "more"
    return f"A point is one percent of {reference}'s {metric.named}; {way} of it is a gain."


def gain_words(measured: Measured) -> str:
    """Word a measured gain: "+1.0 (−0.4 to +2.3)"; the reference's own is its level."""
    if measured.variant == measured.reference:
        return f"{points(measured.mean)} points"
    if measured.ci_low is None:
        return signed_points(measured.delta)
    return f"{signed_points(measured.delta)} ({interval(measured.ci_low, measured.ci_high)})"


def confirmation(tested: Measured) -> str:
    """Word what test says of a choice made on val: "confirmed", "not confirmed", "worse", or how the two
    primary metrics disagree."""
    told = {"ci_low": tested.ci_low, "ci_high": tested.ci_high, "p_holm": tested.p}
    found = verdict({**told, "co_primary": tested.co_primary})
    if found in (UNCLEAR, EQUAL):
        return "not confirmed"
    return {BETTER: "confirmed", WORSE: "worse"}.get(found, found)


def verdict_words(tested: Measured) -> str:
    """Word the look at test: "X on test: +0.2 (−6.8 to +3.1) against unified: not confirmed"."""
    return (
        f"{tested.variant} on test: {gain_words(tested)} against {tested.reference}: {confirmation(tested)}"
    )


def ahead_words(ahead: Measured) -> str:
    """Word what stands above a tree's choice: "Above it stands hybrid: +3.8 (+1.7 to +6.4) on val."."""
    return f"Above it stands {ahead.variant}: {gain_words(ahead)} on {ahead.split}."


def expected_words(expected: tuple[float, float]) -> str:
    """Word an expected gain: "+1.6 to +4.9"."""
    low, high = expected
    return signed_points(low) if low == high else f"{signed_points(low)} to {signed_points(high)}"


def deciding_words(deciding: Deciding) -> str:
    """Word the number that decided, and what was needed."""
    value, needed = deciding.value, deciding.needed
    if deciding.number == "gain":
        return f"gain {signed_points(value)}, needed {signed_points(needed)}"
    if deciding.number == "share improved":
        return f"{percent(value)} of personas improve, needed {percent(needed)}"
    if deciding.number == "p":
        told = p_value(value)
        return f"p {told if told.startswith('<') else f'= {told}'}, needed < {needed:g}"
    if deciding.number == "interval":
        return f"95 % interval from {signed_points(value)}, needed above 0"
    if deciding.number == "second metric":
        return f"what must hold beside it is down, {signed_points(value)} at best"
    if deciding.number == "detectable gain":
        return f"could see gains from {signed_points(value)} only, needed {signed_points(needed)}"
    return f"{count(int(value or 0), 'persona')}: too few for any test"


def decision(walk: Walk, node_id: str) -> str:
    """Word what happened at a node of the path, and where the walk went: one line for a log."""
    node, standing = walk.tree.node(node_id), walk.standings[node_id]
    finding = walk.findings.get(node_id)
    parts = [look_of(node, standing).word.lower()]
    if finding is not None and finding.measured is not None:
        parts.append(f"{finding.measured.variant} {gain_words(finding.measured)} on {finding.measured.split}")
    if standing.decided_by is not None:
        parts.append(deciding_words(standing.decided_by))
    elif standing.reason and (finding is None or finding.measured is None):
        parts.append(standing.reason)
    onward = f" -> {walk.tree.node(standing.leads_to).name}" if standing.leads_to else ""
    return f"{node.name}: {'; '.join(parts)}{onward}"


def note_words(measured: Measured, gate: Gate) -> list[str]:
    """Word what a reader must know about a measured gain beside its number."""
    notes = []
    if measured.candidates > 1:
        notes.append(f"the best of {measured.candidates} on val")
    if measured.split != gate.split:
        notes.append(f"judged on {measured.split}, because {gate.split} is not scored")
    if measured.co_primary is not None and co_primary.standing(measured.co_primary) == co_primary.OPEN:
        notes.append(co_primary.beside_words(measured.co_primary))
    detectable = measured.min_detectable_effect
    if detectable is not None and detectable > POINT:
        notes.append(f"{count(measured.n_paired, 'persona')} can show gains from {signed_points(detectable)}")
    return notes


def remaining_words(left: Remaining) -> str:
    """Word the time left: "2 min to 1 h", "at least 5 min", "no estimate before a first run"."""
    best, worst = left.best_seconds, left.worst_seconds
    if not worst:
        return NO_ESTIMATE if left.worst_unknown else "nothing left to run"
    if left.worst_unknown or left.best_unknown:
        return f"at least {duration(best or worst)}"
    guess = ", guessed from other runs" if left.rough else ""
    if not best:
        return f"up to {duration(worst)}{guess}"
    to = "" if duration(best) == duration(worst) else f" to {duration(worst)}"
    return f"{about(best, rough=left.rough)}{to}{guess}"


def moved(tree: Tree, before: Walk, after: Walk) -> list[str]:
    """Word what another set of thresholds changes: one line a node whose state changes; empty for nothing."""
    lines = []
    for node in tree.nodes:
        was, now = before.standings[node.id], after.standings[node.id]
        if was.state != now.state:
            lines.append(
                f"{node.name}: {look_of(node, was).word.lower()} becomes {look_of(node, now).word.lower()}"
            )
    return lines
