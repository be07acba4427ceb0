"""What a report is written from, read once: comparisons, runs, card. Owns which protocols are reported."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.core.forms import WholeCard
from engine.core.paths import Workspace, read_json
from engine.core.types import Row
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results import store
from engine.results.comparing import row_role
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.headline import Headline, headline
from engine.results.comparing.remarks import NotComputed, too_few
from engine.results.comparing.scene import set_scene
from engine.runs.records import RunRecord, scan

MOST_PROTOCOLS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One protocol on one split: the comparison in the primary metric, and what the protocol is made of.

    `others` maps a further metric to its comparison, where it is defined for any variant; `headline` is what
    val chose and what test says of it.
    """

    protocol: str
    split: str
    found: Mapping[str, Any]
    fields: Mapping[str, Any]
    others: Mapping[str, Mapping[str, Any]]
    headline: Headline

    @property
    def rows(self) -> list[Row]:
        return self.found["rows"]

    @property
    def reference(self) -> str:
        return str(self.found["reference"])

    @property
    def metric(self) -> Metric:
        return METRICS[self.found["metric"]]

    @property
    def imported(self) -> bool:
        return bool(self.fields.get("imported"))

    @property
    def contenders(self) -> list[Row]:
        """The variants that compete with the reference and are measured: the one that val chose, then the
        best first."""
        rows = [row for row in self.rows if row_role.competes(row) and row["delta"] is not None]
        chosen = self.headline.chosen
        first = None if chosen is None else chosen["variant"]
        sign = self.metric.sign
        return sorted(rows, key=lambda row: (row["variant"] != first, -sign * row["delta"], row["variant"]))

    @property
    def bounds(self) -> list[Row]:
        return [row for row in self.rows if row_role.is_bound(row)]


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A workspace as a report sees it; `compared` holds the protocols on test, or val where test has none."""

    ws: Workspace
    config: Mapping[str, Any]
    card: Mapping[str, Any]
    splits: Mapping[str, Any]
    runs: tuple[RunRecord, ...]
    compared: tuple[Compared, ...]
    left_out: tuple[str, ...]

    @property
    def main(self) -> Compared | None:
        """The protocol the report is about: the one every screen shows first."""
        return self.compared[0] if self.compared else None


def gather(ws: Workspace) -> Gathered:
    """Read all that a report needs. Raises EngineError where there is no workspace.

    Side effect: what is judged on test counts as a look at test, as in every comparison.
    """
    config = ws.read_config()
    store.refresh(ws)
    frame = store.protocols(ws)
    split = "test" if (frame["split"] == "test").any() else "val"
    frame = frame[frame["split"] == split]
    fields = dict(zip(frame["protocol"], frame["fields"], strict=True))
    order = _order(ws, list(fields), split)
    return Gathered(
        ws=ws,
        config=config,
        card=read_json(ws.dataset / "card.json", WholeCard),
        splits=read_json(ws.splits / "splits.json"),
        runs=tuple(record for record in scan(ws) if record.spec is not None),
        compared=tuple(_compare(ws, name, split, fields[name]) for name in order[:MOST_PROTOCOLS]),
        left_out=tuple(order[MOST_PROTOCOLS:]),
    )


def _order(ws: Workspace, known: list[str], split: str) -> list[str]:
    """The protocol that comparisons show first, then the others, newest first."""
    if not known:
        return []
    first = set_scene(ws, metric=None, split=split, protocol=None, reference=None).protocol
    return [first, *(name for name in known if name != first)]


def _compare(ws: Workspace, protocol: str, split: str, fields: Mapping[str, Any]) -> Compared:
    found = compare_variants(ws, split=split, protocol=protocol)
    others = {}
    for one in metrics.headline(ws):
        metric = one.name
        if metric == found["metric"]:
            continue
        try:
            table = compare_variants(
                ws, metric=metric, split=split, protocol=protocol, reference=found["reference"]
            )
        except NotComputed:  # a column less; the comparison itself says how to compute it
            continue
        if too_few(table["defined"], one) is None:
            others[metric] = table
    return Compared(protocol, split, found, fields, others, headline(ws, found))
