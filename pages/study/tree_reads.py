"""What the tree reads, kept between reruns: comparisons by the store's version, as everything in reads.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from engine.core.paths import Workspace
from engine.results import store
from engine.results.comparing import comparison


def compared(
    ws: Workspace, *, metric: str | None, split: str, reference: str, variants: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the comparison of every variant, or of these, with the reference. Raises what it raises."""
    return _compared(str(ws.root), store.version(ws), metric, split, reference, variants)


@st.cache_data(ttl=3600, max_entries=64, show_spinner=False)
def _compared(
    root: str, version: str, metric: str | None, split: str, reference: str, variants: tuple[str, ...]
) -> dict[str, Any]:
    return comparison.compare_variants(
        Workspace(Path(root)), metric=metric, split=split, reference=reference, variants=variants
    )
