"""What the Persona page reads, kept between reruns: by the store's version, as everything in reads.py.

The wide tables are kept as they are (never copied, never changed), so that two thousand personas cost as
little a rerun as twenty.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from engine.core.paths import Workspace
from engine.results import store
from engine.show.persona import table as tables
from engine.show.persona.merged import Merge, merge_of, merged_variants
from engine.show.persona.replies import Answered, answered
from engine.show.persona.route import read_routes, routing_runs
from engine.strategies.clusterings import Clusters, newest_clusters
from engine.strategies.plan import look
from pages.shared import reads

_kept = st.cache_data(ttl=3600, max_entries=128, show_spinner=False)
_held = st.cache_resource(ttl=3600, max_entries=8, show_spinner=False)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One metric on one split: every example (wide), persona means, and gains over the reference."""

    wide: pd.DataFrame
    means: pd.DataFrame
    gains: pd.DataFrame


def scores(ws: Workspace, *, metric: str, split: str, protocol: str, reference: str) -> Scores:
    """Return the scores of all variants and personas. Shared by all sessions: not to be changed."""
    return _scores(str(ws.root), store.version(ws), metric, split, protocol, reference)


def clusters(ws: Workspace) -> Clusters | None:
    """Return the newest clustering on the workspace's ground, None without one."""
    return _clusters(str(ws.root), store.version(ws))


def routed(ws: Workspace) -> dict[str, str]:
    """Return the routed variants and the run of each, newest first."""
    return _routed(str(ws.root), store.version(ws))


def routes(ws: Workspace, run_id: str) -> dict[str, Any]:
    """Return a run's routes, with candidates under their names on screens."""
    return _routes(str(ws.root), store.version(ws), run_id)


def merges(ws: Workspace) -> dict[str, str]:
    """Return the merged variants and the run of each, newest first."""
    return _merges(str(ws.root), store.version(ws))


def merge(ws: Workspace, variant: str, run_id: str, persona_id: str) -> Merge | None:
    """Return the weights of a persona's merge, None when she has none."""
    return _merge(str(ws.root), store.version(ws), variant, run_id, persona_id)


def replies(
    ws: Workspace, persona_id: str, *, metric: str, split: str, protocol: str, reference: str
) -> list[Answered]:
    """Return a persona's examples with every variant's reply."""
    return _replies(str(ws.root), store.version(ws), persona_id, metric, split, protocol, reference)


@_held
def _scores(root: str, version: str, metric: str, split: str, protocol: str, reference: str) -> Scores:
    wide = tables.wide(
        store.score_table(Workspace(Path(root)), metric=metric, split=split, protocol=protocol)
    )
    gains = tables.persona_gains(wide, reference) if reference in wide else wide.iloc[:0]
    return Scores(wide, tables.persona_means(wide), gains)


@_kept
def _clusters(root: str, version: str) -> Clusters | None:
    ws = Workspace(Path(root))
    return newest_clusters(ws, look(ws))


@_kept
def _routed(root: str, version: str) -> dict[str, str]:
    ws = Workspace(Path(root))
    return routing_runs(ws, reads.variants(ws))


@_held
def _routes(root: str, version: str, run_id: str) -> dict[str, Any]:
    ws = Workspace(Path(root))
    return read_routes(ws, run_id, reads.variants(ws))


@_kept
def _merges(root: str, version: str) -> dict[str, str]:
    ws = Workspace(Path(root))
    return merged_variants(ws, reads.variants(ws))


@_kept
def _merge(root: str, version: str, variant: str, run_id: str, persona_id: str) -> Merge | None:
    return merge_of(Workspace(Path(root)), variant, run_id, persona_id)


@_kept
def _replies(
    root: str, version: str, persona_id: str, metric: str, split: str, protocol: str, reference: str
) -> list[Answered]:
    ws = Workspace(Path(root))
    rows = reads.example_rows(ws, persona_id=persona_id, split=split, protocol=protocol)
    return answered(rows, reads.dialogues_of(ws, persona_id), metric=metric, reference=reference)
