"""What the Persona page reads, and what it looks at: variant, metric, split, protocol, order of the personas.

All of it stands in the address, so that a link opens what its sender saw. What is read is kept between
reruns; the wide tables as they are (never copied, never changed), so that two thousand personas cost as
little a rerun as twenty.
"""

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
from engine.results.comparing import row_role
from engine.show.persona import table as tables
from engine.show.persona.replies import Answered, answered
from engine.show.persona.route import merge_of, merged_variants, read_routes, routing_runs
from engine.show.persona.table import ORDERS, ordered
from engine.strategies.clusterings import Clusters, newest_clusters
from pages.shared import addresses, frame, reads

Level = float | None
"""A persona's value; None where she has none."""


@dataclass(frozen=True, slots=True)
class Held:
    """One variant beside the reference, over all personas that either is scored for: means under each, and
    gains over what it is compared with. `true_gains` are columns, None where nothing can be told."""

    personas: tuple[str, ...]
    means: Mapping[str, tuple[Level, ...]]
    gains: tuple[Level, ...]
    true_gains: Mapping[str, Mapping[str, float]] | None

    def of(self, values: Sequence[Level]) -> dict[str, float]:
        """Return values by persona, of those who have one."""
        told = zip(self.personas, values, strict=True) if values else ()
        return {persona: value for persona, value in told if value is not None}


@reads.lasting(Held)
def held(
    ws: Workspace, variant: str, *, metric: str, split: str, protocol: str, reference: str, ground: str
) -> Held:
    """Return the scores of one variant beside its `ground` (what it is compared with) and the reference.

    No other variant is read.
    """
    asked = {"metric": metric, "split": split, "protocol": protocol}
    wide = tables.wide(store.score_table(ws, **asked, variants={variant, reference, ground}))
    means = tables.persona_means(wide)
    gains = tables.persona_gains(wide, reference, {variant: ground}) if reference in wide else wide.iloc[:0]
    told = tables.true_gains(wide, variant, reference, sign=METRICS[metric].sign)
    return Held(
        tuple(map(str, means.index)),
        {name: _levels(means[name]) for name in (variant, reference) if name in means},
        _levels(gains[variant]) if variant in gains and len(gains) else (),
        None if told is None else told.to_dict(),
    )


def _levels(values: pd.Series) -> tuple[Level, ...]:
    return tuple(None if value != value else float(value) for value in values)


@reads.kept
def hers(ws: Workspace, persona_id: str, *, metric: str, split: str, protocol: str) -> pd.DataFrame:
    """Return one persona's examples under every variant (wide). No other persona is read."""
    asked = {"metric": metric, "split": split, "protocol": protocol}
    return tables.wide(store.score_table(ws, **asked, persona_id=persona_id))


scored = reads.lasting(tuple[str, ...])(store.personas_scored)


@reads.kept
def clusters(ws: Workspace) -> Clusters | None:
    """Return the newest clustering on the workspace's ground, None without one."""
    return newest_clusters(ws, reads.look(ws))


@reads.lasting(dict[str, str])
def routed(ws: Workspace) -> dict[str, str]:
    """Return the routed variants and the run of each, newest first."""
    return routing_runs(ws, reads.variants(ws))


@reads.shared
def routes(ws: Workspace, run_id: str) -> dict[str, Any]:
    """Return a run's routes, with candidates under their names on screens."""
    return read_routes(ws, run_id, reads.variants(ws))


@reads.lasting(dict[str, str])
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
    """What the page looks at: metric, split, and the variant beside what it is compared with.

    `grounds` names what a variant is compared with where that is not the reference: what it is built on.
    """

    metric: Metric
    split: str
    protocol: str
    reference: str
    variant: str
    bounds: frozenset[str]
    held: Held
    grounds: Mapping[str, str]

    @property
    def asked(self) -> dict[str, str]:
        """What another page needs in its address to show the same scores."""
        return {**self.place, "reference": self.reference}

    @property
    def place(self) -> dict[str, str]:
        """Which scores are meant, whosoever they are."""
        return {"metric": self.metric.name, "split": self.split, "protocol": self.protocol}

    @property
    def gains(self) -> dict[str, float]:
        """Each persona's gain by the variant looked at, signed so that more is better."""
        found = self.held.of(self.held.gains)
        return {persona: self.metric.sign * value for persona, value in found.items()}

    @property
    def levels(self) -> dict[str, float]:
        """Each persona's mean under the reference, signed alike."""
        return {persona: self.metric.sign * value for persona, value in self.means(self.reference).items()}

    def means(self, name: str) -> dict[str, float]:
        """Return each persona's mean under the variant looked at or the reference."""
        return self.held.of(self.held.means.get(name, ()))


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
    names = [row["variant"] for row in first["rows"] if not row_role.is_bound(row)]
    with columns[1]:
        reference = choice("Reference", names, name="reference", help=_REFERENCE_HELP) or names[0]
    asked = {"protocol": protocol, "reference": None if reference == first["reference"] else reference}
    found = reads.compared(
        ws, metric=metric, split=split, **{name: value for name, value in asked.items() if value}
    )
    rows = found["rows"]
    grounds = {row["variant"]: row["built_on"] for row in rows if row["built_on"]}
    bounds = [row["variant"] for row in rows if row_role.is_bound(row)]
    rivals = [row["variant"] for row in rows if row["variant"] not in (reference, *bounds)]
    with columns[0]:
        variant = choice("Variant", [*rivals, reference, *bounds], name="variant", help=_VARIANT_HELP)
    looked_at = variant or reference
    place = {"metric": metric, "split": split, "protocol": found["protocol"], "reference": reference}
    return Scene(
        metric=shown[metric],
        split=split,
        protocol=found["protocol"],
        reference=reference,
        variant=looked_at,
        bounds=frozenset(bounds),
        held=held(ws, looked_at, **place, ground=grounds.get(looked_at, reference)),
        grounds=grounds,
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
    personas = set(reads.names(ws)) | set(scored(ws, **scene.place) if scene is not None else ())
    if not personas:
        reads.dataset(ws)  # which says what is wrong with it
    names = ordered(
        sorted(personas),
        order or "id",
        gain=scene.gains if scene else {},
        level=scene.levels if scene else {},
        cluster=clusters.assignment if clusters else {},
    )
    return names, order or "id"
