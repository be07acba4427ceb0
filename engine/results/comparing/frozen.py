"""What a study will test, written down before anybody looks at test: variants, metrics, margins, tests.

Owns data/frozen.jsonl, which is only ever appended to, and what a plan says of a verdict: whether it was
planned, and among how many metrics it stands. Each plan has a hash over all that it says, so that a line
that was changed afterwards is known by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from engine.core.paths import Workspace
from engine.domains import metrics
from engine.results.comparing import looks
from engine.results.comparing.looks import Look
from engine.runs.ledger import Ledger
from engine.runs.runfolder import fingerprint
from engine.stats.levels import ALPHA

TESTS: Final[Mapping[str, Any]] = {
    "test": "paired over personas, two-sided; better or worse where the 95 % interval leaves out 0 too",
    "alpha": ALPHA,
    "primary": "Holm's correction over the variants",
    "further": "Holm's correction over the variants times the further metrics",
}


@dataclass(frozen=True, slots=True)
class Frozen:
    """One plan. `variants` maps ids to names, `further` are the metrics beside the primary one.

    `margins` are more than which a persona counts as better, in the primary metric's unit, and a loss as
    catastrophic, a fraction. `looks` is how many verdicts on these test dialogues, none of them planned here,
    had been read before.
    `reference_id` tells the reference whatever it is called later; plans of earlier versions name it only.
    """

    at: str
    test_set: str
    protocol: str
    reference: str
    primary: str
    further: tuple[str, ...]
    variants: Mapping[str, str]
    margins: Mapping[str, float]
    tests: Mapping[str, Any]
    looks: int
    hash: str = ""
    reference_id: str = ""

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.primary, *self.further)

    @property
    def is_whole(self) -> bool:
        """Whether the plan says what it said when it was frozen."""
        return self.hash == _hash(self)

    def holds(self, look: Look) -> bool:
        """Say whether a verdict is one of those planned."""
        return look.variant_id in self.variants and look.metric in self.metrics

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return asdict(self)


_PLANS = Ledger("frozen", "frozen plans", Frozen)
path, size = _PLANS.path, _PLANS.size


def write(ws: Workspace, plan: Frozen) -> Frozen:
    """Keep a plan and return it with its hash; side effect: appends to data/frozen.jsonl."""
    plan = replace(plan, hash=_hash(plan))
    with _PLANS.lock(ws):
        _PLANS.append(ws, plan)
    return plan


def plans(ws: Workspace, of: looks.TestSet) -> list[Frozen]:
    """Return the plans for these test dialogues, first to last; a line that cannot be read is left out."""
    return [plan for plan in _PLANS.read(ws) if plan.test_set == of.name]


def among_metrics(ws: Workspace, of: looks.TestSet, metric: str) -> int:
    """Return among how many metrics a verdict in this one stands: 1 for the primary one, which was declared
    beforehand (by the last plan, else by what the study is about); for a further one those of the plan, or
    all that the study has beside the primary one."""
    whole = [plan for plan in plans(ws, of) if plan.is_whole]
    primary = whole[-1].primary if whole else of.primary
    if metric == primary:
        return 1
    if whole and metric in whole[-1].further:
        return len(whole[-1].further)
    directed = [one for one in metrics.of_study(ws).values() if one.higher_is_better is not None]
    return max(1, len([one for one in directed if one.name != primary]))


def later(seen: Iterable[looks.Look], known: Sequence[Frozen]) -> list[looks.Look]:
    """Return the verdicts that stood in no plan when they were read."""
    return [look for look in seen if not any(plan.holds(look) and plan.is_whole for plan in known)]


def _hash(plan: Frozen) -> str:
    said = {name: value for name, value in plan.as_json().items() if name != "hash"}
    if not plan.reference_id:
        del said["reference_id"]
    return fingerprint(said, 16)
