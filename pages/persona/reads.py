"""What the Persona page reads, kept between reruns: by the store's version, as everything in reads.py.

The wide tables are kept as they are (never copied, never changed), so that two thousand personas cost as
little a rerun as twenty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.core.paths import Workspace
from engine.results import store
from engine.show.persona import table as tables
from engine.show.persona.replies import Answered, answered
from engine.show.persona.route import Merge, merge_of, merged_variants, read_routes, routing_runs
from engine.strategies.clusterings import Clusters, newest_clusters
from engine.strategies.plan import look
from pages.shared import reads


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One metric on one split: every example (wide), persona means, and gains over the reference."""

    wide: pd.DataFrame
    means: pd.DataFrame
    gains: pd.DataFrame


@reads.shared
def scores(ws: Workspace, *, metric: str, split: str, protocol: str, reference: str) -> Scores:
    """Return the scores of all variants and personas. Shared by all sessions: not to be changed."""
    wide = tables.wide(store.score_table(ws, metric=metric, split=split, protocol=protocol))
    gains = tables.persona_gains(wide, reference) if reference in wide else wide.iloc[:0]
    return Scores(wide, tables.persona_means(wide), gains)


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


@reads.kept
def merge(ws: Workspace, variant: str, run_id: str, persona_id: str) -> Merge | None:
    """Return the weights of a persona's merge, None when she has none."""
    return merge_of(ws, variant, run_id, persona_id)


@reads.kept
def replies(
    ws: Workspace, persona_id: str, *, metric: str, split: str, protocol: str, reference: str
) -> list[Answered]:
    """Return a persona's examples with every variant's reply."""
    rows = reads.example_rows(ws, persona_id=persona_id, split=split, protocol=protocol)
    return answered(
        rows, reads.dialogues_of(ws, persona_id), reads.domain(ws), metric=metric, reference=reference
    )
