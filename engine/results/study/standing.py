"""Where a study stands in a decision tree, and what to run next. Owns the gathering of what the walk needs.

Reads runs, plans and comparisons; judges nothing itself (engine/results/trees/tree_walk.py does, from these
findings alone) and launches nothing. Every number comes from the one comparison that all screens show.
"""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.core.types import Row
from engine.core.wording import duration
from engine.domains import metrics
from engine.results.comparing import row_role
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.pairings import compare_within
from engine.results.trees.tree import Node, Tree
from engine.results.trees.tree_time import Remaining, remaining
from engine.results.trees.tree_walk import Finding, Measured, Walk, walk
from engine.results.trees.tree_words import verdict_words
from engine.runs.records import RunRecord
from engine.runs.runfolder import RESUMABLE
from engine.stats.verdicts import alone, improved
from engine.strategies.clusterings import newest_clusters
from engine.strategies.plan import Plan, Seen, look, plan
from engine.strategies.tuned import NAME as TUNED

Compared = Callable[..., dict[str, Any]]
CHOICE_SPLIT = "val"
VERDICT_SPLIT = "test"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a walk: the variant to use (chosen on val), and what test says of it.

    `tested` is None where the choice is the reference itself or nothing is scored on test. `ahead` is the
    best variant on the tree's own split, where another than the choice is clearly better and stands above it.
    """

    variant: str
    chosen: Measured | None
    tested: Measured | None
    ahead: Measured | None = None

    @property
    def words(self) -> str:
        """What test says of the choice; where it says nothing, the choice alone."""
        return f"{self.variant} is the choice" if self.tested is None else verdict_words(self.tested)


@dataclass(frozen=True, slots=True)
class Stand:
    """A tree over a workspace: its walk, what each node would run, the time left, and the verdict if any."""

    walk: Walk
    plans: Mapping[str, Plan]
    remaining: Remaining
    verdict: Verdict | None

    @property
    def tree(self) -> Tree:
        return self.walk.tree

    @property
    def next_plan(self) -> Plan | None:
        """What the node where the walk waits would run."""
        return self.plans.get(self.walk.next or "")

    def estimate_seconds(self, node_id: str) -> float | None:
        """Return the time of the runs a node still asks for; None when one of them has no estimate."""
        return self.plans[node_id].estimate_seconds if node_id in self.plans else 0.0

    def estimate_words(self, node_id: str) -> str:
        """Word that time: "about 2 min", "roughly 2 min" where it is a guess, "" where nobody knows."""
        left = self.plans[node_id].left if node_id in self.plans else None
        return left.words if left and left.seconds else ""

    def time_words(self, node_id: str, state: str, *, took: str = "") -> str:
        """Word what a node's runs took, else, where its state lets it run, what they should take."""
        finding = self.walk.findings.get(node_id)
        if finding is not None and finding.seconds:
            return f"{took}{duration(finding.seconds)}"
        return self.estimate_words(node_id) if state not in ("skipped", "not available") else ""


def stand(
    ws: Workspace, tree: Tree, *, compared: Compared = compare_variants, seen: Seen | None = None
) -> Stand:
    """Return where a tree stands. `compared` is `compare_variants` or something that keeps its answers.

    Raises EngineError without data or without the base model.
    """
    return _Gathering(ws, tree, compared, seen or look(ws)).stand()


def rewalk(before: Stand, tree: Tree) -> Walk:
    """Return the walk of the same findings under other thresholds: what if? Reads nothing."""
    return walk(tree, before.walk.findings)


class _Gathering:
    """One gathering: the workspace seen once, and each table of comparisons asked for once."""

    def __init__(self, ws: Workspace, tree: Tree, compared: Compared, seen: Seen) -> None:
        self.ws = ws
        self.tree = tree
        self.compared = compared
        self.seen = seen
        self.personas = personas_of(ws, tree.cluster, seen)
        self.tables: dict[tuple[str | None, str, tuple[str, ...]], list[Row]] = {}
        self.among: dict[str | None, int] = {}
        self.plans: dict[str, Plan] = {}

    def stand(self) -> Stand:
        findings = {node.id: self._finding(node) for node in self.tree.nodes if not node.is_result}
        done = walk(self.tree, findings)
        costs = {
            node_id: {run.run_id: run.left for run in planned.runs if run.state != "succeeded"}
            for node_id, planned in self.plans.items()
        }
        return Stand(done, self.plans, remaining(done, costs), self._verdict(done))

    def _finding(self, node: Node) -> Finding:
        if node.experiment not in self.seen.known:
            unavailable: str | None = f"There is no experiment named {node.experiment!r} here."
        else:
            unavailable = self._plan(node)
        records = [record for record in self.seen.records if self._counts(node, record)]
        succeeded = [record for record in records if record.state == "succeeded"]
        measured = self._measured(node, {record.run_id for record in succeeded})
        shown = _best_standing(records)
        return Finding(
            unavailable=unavailable,
            run_id=shown.run_id if shown else None,
            run_state=shown.state if shown else None,
            run_error=shown.error if shown else None,
            runs=tuple(record.run_id for record in records),
            measured=measured,
            unmeasured=self._why_unmeasured(node),
            seconds=sum(record.status.seconds for record in succeeded) if succeeded else None,
            progress=shown.progress if shown else 0.0,
        )

    def _plan(self, node: Node) -> str | None:
        """Plan what a node asks for; return why it cannot exist here."""
        assert node.experiment is not None
        try:
            self.plans[node.id] = plan(
                self.ws, node.experiment, node.parameters, seen=self.seen, controls=True
            )
        except EngineError as error:
            return error.message.removeprefix("Not applicable here: ")
        return None

    def _counts(self, node: Node, record: RunRecord) -> bool:
        """Say whether a run is one of the node's: its experiment, on this ground, with its parameters."""
        spec = record.spec
        if spec is None or not self.seen.ground.carries(spec):
            return False
        if spec.experiment == TUNED and spec.parameters["of"] == node.experiment:
            tried = set(spec.upstream.values())
            return all(self._counts(node, one) for one in self.seen.records if one.run_id in tried)
        if spec.experiment != node.experiment:
            return False
        told = {**spec.parameters, **spec.protocol}
        return all(told.get(name) == value for name, value in node.parameters.items())

    def _results(self, node: Node, run_ids: set[str], split: str) -> dict[str, Row]:
        """Return a node's results on a split, by their names on screens."""
        rows = self._rows(self.tree.terms(node).metric, split)
        return {str(row["variant"]): row for row in rows if self._is_result(node, row, run_ids)}

    def _is_result(self, node: Node, row: Row, run_ids: set[str]) -> bool:
        if row["role"] in row_role.NEVER_CHOSEN:
            return False
        names = {str(row["variant"]).partition("@")[0], *row["aliases"]}
        if any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in node.accepts):
            return True
        made_here = str(row["run_id"]).rpartition("-")[0] in self.seen.known
        if made_here:
            return row["run_id"] in run_ids
        augmented = "+augmented" if node.parameters.get("use_augmented") else ""
        return f"{node.experiment}{augmented}" in names

    def _measured(self, node: Node, run_ids: set[str]) -> Measured | None:
        """Return a node's best variant on val, measured on the gate's split.

        The best gains most, among those that serve at least half as many personas as any of them. Where val
        is not scored at all, as with imported results, test stands in; test is not read otherwise.
        """
        terms = self.tree.terms(node)
        choice = self._results(node, run_ids, CHOICE_SPLIT)
        on_split = choice
        if terms.split != CHOICE_SPLIT or not self._rows(terms.metric, CHOICE_SPLIT):
            on_split = self._results(node, run_ids, VERDICT_SPLIT)
        used = CHOICE_SPLIT if on_split is choice else VERDICT_SPLIT
        pool = {
            name: row
            for name, row in (choice or on_split).items()
            if name in on_split and row["mean"] is not None
        }
        if not pool:
            return None
        sign, most = metrics.chosen(self.ws, terms.metric).sign, max(row["n_paired"] for row in pool.values())
        wide = {name: row for name, row in pool.items() if 2 * row["n_paired"] >= most}
        best = min(  # of such as are alike, the first by name
            wide,
            key=lambda name: (
                not row_role.is_reference(wide[name]),
                round(-sign * wide[name]["delta"], 12),
                name,
            ),
        )
        return self._as_measured(on_split[best], metric=terms.metric, split=used, candidates=len(pool))

    def _why_unmeasured(self, node: Node) -> str:
        if self.personas is not None and not self.personas:
            return f"No clustering says who is in cluster {self.tree.cluster}."
        return f"Nothing it made is scored beside {self.tree.reference} under one protocol."

    def _rows(self, metric: str | None, split: str, variants: tuple[str, ...] = ()) -> list[Row]:
        """Return the comparisons with the tree's reference; none where nothing is scored.

        On test, what is asked for is recorded as seen; so the verdict asks for its one variant only.
        """
        if (metric, split, variants) not in self.tables:
            self.tables[metric, split, variants] = self._compare(metric, split, variants)
        return self.tables[metric, split, variants]

    def _compare(self, metric: str | None, split: str, variants: tuple[str, ...]) -> list[Row]:
        asked: dict[str, Any] = {
            "metric": metric, "split": split, "reference": self.tree.reference, "bands": False,
        }  # fmt: skip
        try:
            found = self.compared(self.ws, **asked, **({"variants": variants} if variants else {}))
        except EngineError:  # nothing is scored on this split, or not the reference: there are no numbers
            return []
        if not found["base"]["todays"]:  # no gate is passed by what another base did
            return []
        self.among[metric] = found["among_metrics"]
        if self.personas is not None:
            found = compare_within(self.ws, found, self.personas)
        return list(found["rows"])

    def _verdict(self, done: Walk) -> Verdict | None:
        """Choose among what the reached result may use, on val; then look at test, once, for that variant."""
        if done.result is None:
            return None
        result = self.tree.node(done.result)
        found = [done.findings[name].measured for name in result.use if name in done.findings]
        used = [measured for measured in found if measured is not None]
        best = max(used, key=lambda measured: measured.delta or 0.0, default=None)
        or_reference = self.tree.reference in result.use
        if best is not None:
            verdict = self._tested(best, or_reference=or_reference)
        elif or_reference:
            verdict = Verdict(self.tree.reference, None, None)
        else:
            return None
        return replace(verdict, ahead=self._ahead(verdict))

    def _ahead(self, verdict: Verdict) -> Measured | None:
        metric, split = self.tree.gate.metric, self.tree.gate.split
        if split == VERDICT_SPLIT:  # nothing is chosen there
            return None
        level = (verdict.chosen and verdict.chosen.delta) or 0.0
        better = [
            row for row in self._rows(metric, split)
            if row["verdict"] == "better" and row["role"] not in row_role.NEVER_CHOSEN
            and row["variant"] != verdict.variant
        ]  # fmt: skip
        told = [self._as_measured(row, metric=metric, split=split, candidates=1) for row in better]
        above = [one for one in told if (one.delta or 0.0) > level]
        best = max(above, key=lambda one: one.delta or 0.0, default=None)
        return replace(best, candidates=len(above)) if best else None

    def _tested(self, chosen: Measured, *, or_reference: bool) -> Verdict:
        if chosen.variant == chosen.reference or (or_reference and (chosen.delta or 0.0) <= 0):
            return Verdict(chosen.reference, None, None)
        rows = self._rows(chosen.metric, VERDICT_SPLIT, (chosen.variant,))
        on_test = next((row for row in rows if row["variant"] == chosen.variant), None)
        if on_test is None:
            return Verdict(chosen.variant, chosen, None)
        if chosen.split == CHOICE_SPLIT:  # declared before test was looked at
            on_test = alone(on_test, among=self.among[chosen.metric])
        tested = self._as_measured(on_test, metric=chosen.metric, split=VERDICT_SPLIT, candidates=1)
        return Verdict(chosen.variant, chosen, tested)

    def _as_measured(self, row: Row, *, metric: str | None, split: str, candidates: int) -> Measured:
        """The comparison as a gain: its sign turned where lower is better, and where the metric is no
        fraction, as a share of the reference's mean.

        p is the one that the row is judged by, in a table that corrected over its family; who stands outside
        of it (the ground of others) has the strict p of its own.
        """
        values = {**{name: row[name] for name in _TAKEN_OVER}, "share_improved": improved(row)}
        p = row["p_strict"] if row["p_holm"] is None else row["p_holm"]
        chosen = metrics.chosen(self.ws, metric)
        values |= _gained(values, sign=chosen.sign, share=chosen.unit != "fraction")
        return Measured(**values, p=p, metric=metric, split=split, candidates=candidates)


def _best_standing(records: Sequence[RunRecord]) -> RunRecord | None:
    """The run that tells a node's state: a succeeded one, else one under way, else the last that ended."""
    ranks = {"succeeded": 3, "running": 2, "queued": 1, **dict.fromkeys(RESUMABLE, 0)}
    return max(records, key=lambda record: (ranks[record.state], record.order), default=None)


_TAKEN_OVER = {field.name for field in fields(Measured)} - {"metric", "split", "candidates", "p"}


def _gained(row: Row, *, sign: float, share: bool) -> dict[str, float | None]:
    """Return the difference, its interval and the detectable effect of a comparison as gains; `share`: of the
    reference's mean, which then is no level on the scale of gates and is left out, as is the variant's."""
    level = abs(row["reference_mean"] or 0.0) if share else 1.0
    ends = sorted((row["ci_low"], row["ci_high"]), key=lambda end: sign * (end or 0.0))

    def gain(value: float | None) -> float | None:
        return None if value is None or not level else sign * value / level

    detectable = row["min_detectable_effect"]
    told = {
        "delta": gain(row["delta"]),
        "ci_low": gain(ends[0]),
        "ci_high": gain(ends[1]),
        "min_detectable_effect": None if detectable is None or not level else detectable / level,
    }
    return {**told, "mean": None, "reference_mean": None} if share else told


def clusters(ws: Workspace, seen: Seen) -> Mapping[str, int]:
    """Return the cluster of each persona by the newest clustering on this ground; empty without one."""
    found = newest_clusters(ws, seen)
    return {} if found is None else found.assignment


def personas_of(ws: Workspace, cluster: str | int, seen: Seen) -> frozenset[str] | None:
    """Return the personas of a cluster (a number or "largest"); None for all, nobody where it is unknown."""
    if cluster == "all":
        return None
    found = newest_clusters(ws, seen)
    if found is None:
        return frozenset()
    largest = max(found.sizes, key=lambda number: (found.sizes[number], -number), default=None)
    wanted = largest if cluster == "largest" else cluster
    return frozenset(name for name, number in found.assignment.items() if number == wanted)
