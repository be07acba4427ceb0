"""What the Persona page reads, and what it looks at: variant, metric, split, protocol, order of the personas.

All of it stands in the address, so that a link opens what its sender saw. What is read is kept between
reruns; the wide tables as they are (never copied, never changed), so that two thousand personas cost as
little a rerun as twenty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from engine.core.paths import Workspace
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.domains.metrics import METRICS
from engine.results import store
from engine.show.charts.leaderboard import is_bound
from engine.show.persona import table as tables
from engine.show.persona.replies import Answered, answered
from engine.show.persona.route import merge_of, merged_variants, read_routes, routing_runs
from engine.show.persona.table import ORDERS, ordered
from engine.strategies.clusterings import Clusters, newest_clusters
from engine.strategies.plan import look
from pages.shared import addresses, frame, reads


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One metric on one split: every example (wide), persona means, and gains over the reference."""

    wide: pd.DataFrame
    means: pd.DataFrame
    gains: pd.DataFrame


@reads.shared
def everybodys(
    ws: Workspace,
    *,
    metric: str,
    split: str,
    protocol: str,
    reference: str,
    grounds: tuple[tuple[str, str], ...] = (),
) -> Scores:
    """Return the scores of all variants and personas. Shared by all sessions: not to be changed.

    `grounds` are pairs of a variant and the unified that it is compared with instead of the reference.
    """
    wide = tables.wide(store.score_table(ws, metric=metric, split=split, protocol=protocol))
    gains = tables.persona_gains(wide, reference, dict(grounds)) if reference in wide else wide.iloc[:0]
    return Scores(wide, tables.persona_means(wide), gains)


@reads.kept
def true_gains(
    ws: Workspace, variant: str, *, metric: str, split: str, protocol: str, reference: str
) -> pd.DataFrame | None:
    """Return what each persona truly gains by one variant; None where that cannot be told."""
    held = everybodys(ws, metric=metric, split=split, protocol=protocol, reference=reference)
    return tables.true_gains(held.wide, variant, reference, sign=METRICS[metric].sign)


@reads.kept
def clusters(ws: Workspace) -> Clusters | None:
    """Return the newest clustering on the workspace's ground, None without one."""
    return newest_clusters(ws, look(ws))


@reads.kept
def routed(ws: Workspace) -> dict[str, str]:
    """Return the routed variants and the run of each, newest first."""
    return routing_runs(ws, reads.variants(ws))


@reads.shared
def routes(ws: Workspace, run_id: str) -> dict[str, Any]:
    """Return a run's routes, with candidates under their names on screens."""
    return read_routes(ws, run_id, reads.variants(ws))


@reads.kept
def merges(ws: Workspace) -> dict[str, str]:
    """Return the merged variants and the run of each, newest first."""
    return merged_variants(ws, reads.variants(ws))


merge = reads.kept(merge_of)


@reads.kept
def replies(
    ws: Workspace, persona_id: str, *, metric: str, split: str, protocol: str, reference: str
) -> list[Answered]:
    """Return a persona's examples with every variant's reply."""
    rows = reads.example_rows(ws, persona_id=persona_id, split=split, protocol=protocol)
    return answered(
        rows, reads.dialogues_of(ws, persona_id), reads.domain(ws), metric=metric, reference=reference
    )


SPLITS = {"val": "Validation", "test": "Test"}  # it opens where nothing is used up
choice = partial(frame.linked_choice, page="persona")
_NEEDS_SCORES = ("gain", "loss", "score")
_REFERENCE_HELP = "Differences are against this variant, on the same examples."
_VARIANT_HELP = "The variant looked at: orders by gain go by it, and its replies are framed."


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What the page looks at: the metric's scores of everybody, whose they are, and the variant looked at.

    `grounds` names what a variant is compared with where that is not the reference: what it is built on.
    """

    metric: Metric
    split: str
    protocol: str
    reference: str
    variant: str
    bounds: frozenset[str]
    scores: Scores
    grounds: Mapping[str, str]

    @property
    def asked(self) -> dict[str, str]:
        """What another page needs in its address to show the same scores."""
        held = {"metric": self.metric.name, "split": self.split}
        return {**held, "reference": self.reference, "protocol": self.protocol}


def choose(ws: Workspace, columns: Sequence[Any]) -> Scene | None:
    """Show the choices of variant, reference, metric and split in four columns; None where nothing is scored.

    Raises NotJudged where they ask test for what nobody pressed for.
    """
    protocols = reads.protocols(ws)
    splits = [split for split in SPLITS if (protocols["split"] == split).any()]
    if not splits:
        return None
    shown = metrics.of_study(ws)
    with columns[2]:
        metric = choice("Metric", list(shown), name="metric", words=lambda name: shown[name].label)
    with columns[3]:
        split = choice("Split", splits, name="split", words=lambda name: SPLITS[name], segmented=True)
    metric, split = metric or next(iter(shown)), split or splits[0]
    protocol = _protocol(ws, protocols[protocols["split"] == split], metric=metric, split=split)
    first = reads.choices_on(ws, metric=metric, split=split, protocol=protocol)
    names = [row["variant"] for row in first["rows"] if not is_bound(row)]
    with columns[1]:
        reference = choice("Reference", names, name="reference", help=_REFERENCE_HELP) or names[0]
    asked = {"protocol": protocol, "reference": None if reference == first["reference"] else reference}
    found = reads.compared(
        ws, metric=metric, split=split, **{name: value for name, value in asked.items() if value}
    )
    rows = found["rows"]
    grounds = tuple((row["variant"], row["built_on"]) for row in rows if row["built_on"])
    bounds = [row["variant"] for row in rows if is_bound(row)]
    rivals = [row["variant"] for row in rows if row["variant"] not in (reference, *bounds)]
    with columns[0]:
        variant = choice("Variant", [*rivals, reference, *bounds], name="variant", help=_VARIANT_HELP)
    return Scene(
        metric=shown[metric],
        split=split,
        protocol=found["protocol"],
        reference=reference,
        variant=variant or reference,
        bounds=frozenset(bounds),
        scores=everybodys(
            ws,
            metric=metric,
            split=split,
            protocol=found["protocol"],
            reference=reference,
            grounds=grounds,
        ),
        grounds=dict(grounds),
    )


def _protocol(ws: Workspace, protocols: pd.DataFrame, *, metric: str, split: str) -> str | None:
    """The protocol asked for, where there are several; None for the first one."""
    first = reads.choices_on(ws, metric=metric, split=split)["protocol"]
    names = list(dict.fromkeys([first, *protocols["protocol"]]))
    if len(names) < 2:
        addresses.linked("protocol", names, label="Protocol")
        return None
    told = reads.protocol_words(protocols)
    chosen = choice(
        "Protocol", names, name="protocol", help="The settings that scores share.",
        words=lambda name: told[name],
    )  # fmt: skip
    return None if chosen == first else chosen


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
        order = choice(
            "Order",
            [one for one in ORDERS if can.get(one, True)],
            name="order",
            words=lambda name: words[name],
            help="The order of the list, and what previous and next mean.",
        )
    personas = set(reads.names(ws)) | set(scene.scores.means.index if scene is not None else ())
    if not personas:
        reads.dataset(ws)  # which says what is wrong with it
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
