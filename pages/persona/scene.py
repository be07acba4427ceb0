"""What the Persona page looks at: variant, metric, split and protocol, and the order of the personas.

All of it stands in the address, so that a link opens what its sender saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from engine.core.paths import Workspace
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.show.charts import is_bound
from engine.show.persona.table import ORDERS, ordered
from engine.strategies.clusterings import Clusters
from pages.persona import reads as persona_reads
from pages.shared import frame, reads

SPLITS = {"test": "Test", "val": "Validation"}
_choice = partial(frame.linked_choice, page="persona")
_NEEDS_SCORES = ("gain", "loss", "score")
_VARIANT_HELP = "The variant looked at: orders by gain go by it, and its replies are framed."


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What the page looks at: the metric's scores of everybody, whose they are, and the variant looked at."""

    metric: Metric
    split: str
    protocol: str
    reference: str
    variant: str
    bounds: frozenset[str]
    scores: persona_reads.Scores


def choose(ws: Workspace, columns: Sequence[Any]) -> Scene | None:
    """Show the choices of variant, metric and split in three columns; None where nothing is scored."""
    protocols = reads.protocols(ws)
    splits = [split for split in SPLITS if (protocols["split"] == split).any()]
    if not splits:
        return None
    shown = metrics.of_study(ws)
    with columns[1]:
        metric = _choice("Metric", list(shown), name="metric", words=lambda name: shown[name].label)
    with columns[2]:
        split = _choice("Split", splits, name="split", words=lambda name: SPLITS[name], segmented=True)
    metric, split = metric or next(iter(shown)), split or splits[0]
    first = reads.compared(ws, metric=metric, split=split)
    found = _protocol(ws, protocols[protocols["split"] == split], first, metric=metric, split=split)
    rows, reference = found["rows"], found["reference"]
    bounds = [row["variant"] for row in rows if is_bound(row)]
    rivals = [row["variant"] for row in rows if row["variant"] not in (reference, *bounds)]
    with columns[0]:
        variant = _choice("Variant", [*rivals, reference, *bounds], name="variant", help=_VARIANT_HELP)
    return Scene(
        metric=shown[metric],
        split=split,
        protocol=found["protocol"],
        reference=reference,
        variant=variant or reference,
        bounds=frozenset(bounds),
        scores=persona_reads.scores(
            ws, metric=metric, split=split, protocol=found["protocol"], reference=reference
        ),
    )


def _protocol(
    ws: Workspace, protocols: pd.DataFrame, first: dict[str, Any], *, metric: str, split: str
) -> dict[str, Any]:
    """The comparison under the protocol asked for, where there are several; else the first one."""
    names = list(dict.fromkeys([first["protocol"], *protocols["protocol"]]))
    if len(names) < 2:
        return first
    told = reads.protocol_words(protocols)
    chosen = _choice(
        "Protocol", names, name="protocol", help="The settings that scores share.",
        words=lambda name: told[name],
    )  # fmt: skip
    if chosen in (None, first["protocol"]):
        return first
    return reads.compared(ws, metric=metric, split=split, protocol=chosen)


def in_order(
    ws: Workspace, scene: Scene | None, clusters: Clusters | None, place: Any
) -> tuple[list[str], str]:
    """Show the choice of an order; return every persona in it, and its name."""
    words = {
        "id": "Name",
        "gain": "Largest gain first",
        "loss": "Largest loss first",
        "score": f"Best under {scene.reference} first" if scene else "",
        "cluster": "Cluster",
    }
    can = {"cluster": clusters is not None, **dict.fromkeys(_NEEDS_SCORES, scene is not None)}
    with place:
        order = _choice(
            "Order",
            [one for one in ORDERS if can.get(one, True)],
            name="order",
            words=lambda name: words[name],
            help="The order of the list, and what previous and next mean.",
        )
    personas = {persona.persona_id for persona in reads.dataset(ws).personas}
    if scene is not None:
        personas |= set(scene.scores.means.index)
    names = ordered(
        sorted(personas),
        order or "id",
        gain=column(scene.scores.gains, scene.variant, scene.metric) if scene else {},
        level=column(scene.scores.means, scene.reference, scene.metric) if scene else {},
        cluster=clusters.assignment if clusters else {},
    )
    return names, order or "id"


def column(table: pd.DataFrame, variant: str, metric: Metric) -> dict[str, float]:
    """Return one variant's values by persona, signed so that more is better."""
    if variant not in table:
        return {}
    found: dict[str, float] = (metric.sign * table[variant]).to_dict()
    return found
