"""What pages read, kept between reruns. Every key holds the store's version, so nothing stale is shown.

Filters are applied after the load; no connection and no model is ever kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from engine.core.forms import WHOLE_CARD
from engine.core.paths import Workspace, read_json
from engine.core.types import Dataset, Dialogue, Splits
from engine.core.wording import count
from engine.data import load_dataset, load_splits
from engine.results import store
from engine.results.comparing import comparison
from engine.results.comparing.protocol_guard import base_words
from engine.results.variants import Variant
from engine.serve.conversation import choices

_KEEP_SECONDS = 3600
_kept = st.cache_data(ttl=_KEEP_SECONDS, max_entries=64, show_spinner=False)


def compared(
    ws: Workspace,
    *,
    metric: str,
    split: str,
    reference: str | None = None,
    protocol: str | None = None,
    across_protocols: bool = False,
) -> dict[str, Any]:
    """Return the comparison of every variant with the reference, as `compare --json` prints it."""
    version = store.version(ws)
    return _compared(str(ws.root), version, metric, split, reference, protocol, across_protocols)


def scores(ws: Workspace, *, metric: str, split: str, protocol: str) -> pd.DataFrame:
    """Return one row a variant and example: variant, persona_id, example_id, value."""
    return _scores(str(ws.root), store.version(ws), metric, split, protocol)


def example_rows(ws: Workspace, *, persona_id: str, split: str, protocol: str) -> pd.DataFrame:
    """Return what every variant said to one persona."""
    return _example_rows(str(ws.root), store.version(ws), persona_id, split, protocol)


def variants(ws: Workspace) -> list[Variant]:
    """Return every variant, in the order of their making."""
    return _variants(str(ws.root), store.version(ws))


def protocols(ws: Workspace) -> pd.DataFrame:
    """Return one row a protocol and split, newest protocol first."""
    return _protocols(str(ws.root), store.version(ws))


def protocol_words(protocols: pd.DataFrame) -> dict[str, str]:
    """Word each protocol for a choice: how many variants it has, and its base where there are several."""
    bases = {
        name: base_words(fields)
        for name, fields in zip(protocols["protocol"], protocols["fields"], strict=True)
    }
    several = len(set(bases.values())) > 1
    return {
        name: f"{name}: {count(number, 'variant')}" + (f", base {bases[name]}" if several else "")
        for name, number in zip(protocols["protocol"], protocols["variants"], strict=True)
    }


def card(ws: Workspace) -> dict[str, Any]:
    """Return the dataset's card."""
    found: dict[str, Any] = read_json(ws.dataset / "card.json", WHOLE_CARD)
    return found


def split_record(ws: Workspace) -> dict[str, Any]:
    """Return splits.json: scheme, assignment, checks, statistics."""
    found: dict[str, Any] = read_json(ws.splits / "splits.json")
    return found


def dataset(ws: Workspace) -> Dataset:
    """Return the dataset; the engine keeps it while its files stay the same."""
    return load_dataset(ws)


def splits(ws: Workspace) -> Splits:
    """Return which dialogue is for what."""
    return load_splits(ws)


def dialogues_of(ws: Workspace, persona_id: str) -> list[Dialogue]:
    """Return a persona's dialogues in time; a dataset is sorted by persona."""
    held, whose = dataset(ws).dialogues, attrgetter("persona_id")
    return list(held[bisect_left(held, persona_id, key=whose) : bisect_right(held, persona_id, key=whose)])


def circumstances(ws: Workspace) -> dict[str, list[Any]]:
    """Return what each circumstance of a dialogue can be, as `conversation.choices`."""
    return _circumstances(str(ws.root), card(ws)["data_hash"])


@_kept
def _circumstances(root: str, data_hash: str) -> dict[str, list[Any]]:
    return choices(dialogue.meta for dialogue in dataset(Workspace(Path(root))).dialogues)


@_kept
def _compared(
    root: str,
    version: str,
    metric: str,
    split: str,
    reference: str | None,
    protocol: str | None,
    across_protocols: bool,
) -> dict[str, Any]:
    return comparison.compare_variants(
        Workspace(Path(root)),
        reference=reference,
        metric=metric,
        split=split,
        protocol=protocol,
        across_protocols=across_protocols,
    )


@_kept
def _scores(root: str, version: str, metric: str, split: str, protocol: str) -> pd.DataFrame:
    return store.score_table(Workspace(Path(root)), metric=metric, split=split, protocol=protocol)


@_kept
def _example_rows(root: str, version: str, persona_id: str, split: str, protocol: str) -> pd.DataFrame:
    return store.example_rows(Workspace(Path(root)), persona_id=persona_id, split=split, protocol=protocol)


@_kept
def _variants(root: str, version: str) -> list[Variant]:
    return store.variants(Workspace(Path(root)))


@_kept
def _protocols(root: str, version: str) -> pd.DataFrame:
    return store.protocols(Workspace(Path(root)))
