"""What the Compare page reads, kept between reruns under the store's version. Computes nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains.metrics import METRICS
from engine.results import store
from engine.results.comparing import pairings
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.outlay import outlays
from engine.results.study import personas
from engine.stats import routing
from engine.stats.routing import Hindsight
from engine.strategies.plan import look

_kept = st.cache_data(ttl=3600, max_entries=64, show_spinner=False)
_held = st.cache_resource(ttl=3600, max_entries=8, show_spinner=False)  # large tables, as they are


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of the page. `margin` is in the metric's unit; `cluster` None stands for all personas."""

    metric: str
    split: str
    reference: str | None = None
    protocol: str | None = None
    across: bool = False
    margin: float = 0.0
    cluster: int | None = None


def found(ws: Workspace, asked: Asked) -> dict[str, Any]:
    """Return the comparison of every variant with the reference, over the personas asked for."""
    return _found(str(ws.root), store.version(ws), asked)


def by_persona(ws: Workspace, asked: Asked) -> pd.DataFrame:
    """Return one row a variant and persona of it: candidate, reference, difference (fractions).

    Shared by all sessions: not to be changed.
    """
    return _by_persona(str(ws.root), store.version(ws), replace(asked, margin=0.0))


def hindsight(ws: Workspace, asked: Asked, variants: tuple[str, ...], reference: str) -> Hindsight:
    """Return what the best of `variants` for each persona, chosen on these very scores, would gain."""
    return _hindsight(str(ws.root), store.version(ws), asked, variants, reference)


def clusters(ws: Workspace) -> Mapping[str, int]:
    """Return each persona's cluster by the newest clustering; empty where there is none that can be read."""
    return _clusters(str(ws.root), store.version(ws))


def costs(ws: Workspace, *, split: str, protocol: str) -> dict[str, dict[str, float | None]]:
    """Return variant -> what it cost: parameters and training (seconds) with all it is built on, latency
    (seconds a reply)."""
    return _costs(str(ws.root), store.version(ws), split, protocol)


@_kept
def _found(root: str, version: str, asked: Asked) -> dict[str, Any]:
    ws = Workspace(Path(root))
    whole = _whole(ws, asked, margin=0.0 if asked.cluster is not None else asked.margin)
    if asked.cluster is None:
        return whole
    return pairings.compare_within(ws, whole, _members(ws, asked.cluster), margin=asked.margin)


@_held
def _by_persona(root: str, version: str, asked: Asked) -> pd.DataFrame:
    ws = Workspace(Path(root))
    members = None if asked.cluster is None else _members(ws, asked.cluster)
    paired = pairings.pairings(ws, _whole(ws, asked, margin=0.0), personas=members)
    return pairings.differences(paired)


@_kept
def _hindsight(root: str, version: str, asked: Asked, variants: tuple[str, ...], reference: str) -> Hindsight:
    held = by_persona(Workspace(Path(root)), asked)
    sign = METRICS[asked.metric].sign
    gains = {
        name: dict(zip(rows["persona_id"], sign * rows["difference"], strict=True))
        for name, rows in held[held["variant"].isin(variants)].groupby("variant", sort=False)
    }
    return routing.hindsight(gains, fallback=reference, personas=held["persona_id"].unique())


@_kept
def _clusters(root: str, version: str) -> dict[str, int]:
    ws = Workspace(Path(root))
    try:
        return dict(personas.clusters(ws, look(ws)))
    except EngineError:  # without a base model or a readable clustering there is nothing to filter by
        return {}


@_kept
def _costs(root: str, version: str, split: str, protocol: str) -> dict[str, dict[str, float | None]]:
    ws = Workspace(Path(root))
    replies = store.reply_costs(ws, split=split, protocol=protocol).set_index("variant")["seconds"]
    seen = store.overview(ws)
    trained = outlays(seen.variants.values(), seen.origins)
    found_: dict[str, dict[str, float | None]] = {}
    for name, one in seen.variants.items():
        seconds = replies.get(name)
        known = one.recipe.get("published") is None
        found_[name] = {
            "parameters": float(trained[name].parameters) if known else None,
            "training": trained[name].seconds if known else None,
            "latency": None if seconds is None or pd.isna(seconds) else float(seconds),
        }
    return found_


def _whole(ws: Workspace, asked: Asked, *, margin: float) -> dict[str, Any]:
    return compare_variants(
        ws,
        reference=asked.reference,
        metric=asked.metric,
        split=asked.split,
        protocol=asked.protocol,
        across_protocols=asked.across,
        margin=margin,
    )


def _members(ws: Workspace, cluster: int) -> frozenset[str]:
    return frozenset(name for name, number in clusters(ws).items() if number == cluster)
