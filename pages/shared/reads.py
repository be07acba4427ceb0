"""What pages read, kept between reruns by the one cache there is: until the results change.

Filters are applied after the load; no connection and no model is ever kept.
"""

from __future__ import annotations

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pandas as pd
import streamlit as st

from engine.core.forms import WHOLE_CARD
from engine.core.paths import Workspace, read_json
from engine.core.types import Dataset, Dialogue, Splits
from engine.core.wording import count
from engine.data import load_dataset, load_splits
from engine.data.statistics import subject_shares
from engine.domains import metrics
from engine.domains.domain import Domain
from engine.domains.registry import domain_of
from engine.results import store
from engine.results.comparing import comparison
from engine.results.comparing.protocol_guard import base_words
from engine.results.variants import Variant
from engine.serve.conversation import choices

P = ParamSpec("P")
R = TypeVar("R")


def _by_version(cache: Any, function: Callable[Concatenate[Workspace, P], R]) -> Any:
    @functools.wraps(function)
    def read(root: str, version: str, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(Workspace(Path(root)), *args, **kwargs)

    del read.__wrapped__  # its parameters are its own: Streamlit looks at them
    keeper = cache(read)

    @functools.wraps(function)
    def asked(ws: Workspace, *args: P.args, **kwargs: P.kwargs) -> R:
        found: R = keeper(str(ws.root), _version(ws), *args, **kwargs)
        return found

    return asked


def _version(ws: Workspace) -> str:
    """What changes with the results, and with the definition of a metric."""
    return " ".join(
        [store.version(ws), *(f"{one.name}:{one.version}" for one in metrics.of_study(ws).values())]
    )


def kept(function: Callable[Concatenate[Workspace, P], R]) -> Callable[Concatenate[Workspace, P], R]:
    """Keep what a function of a workspace returns until its results change; each reader gets a copy."""
    made: Callable[Concatenate[Workspace, P], R] = _by_version(
        st.cache_data(ttl=3600, max_entries=128, show_spinner=False), function
    )
    return made


def shared(function: Callable[Concatenate[Workspace, P], R]) -> Callable[Concatenate[Workspace, P], R]:
    """As `kept`, for large tables: all sessions read one object, and nobody may change it."""
    made: Callable[Concatenate[Workspace, P], R] = _by_version(
        st.cache_resource(ttl=3600, max_entries=8, show_spinner=False), function
    )
    return made


@kept
def compared(
    ws: Workspace,
    *,
    split: str,
    metric: str | None = None,
    reference: str | None = None,
    protocol: str | None = None,
    variants: tuple[str, ...] = (),
    across_protocols: bool = False,
    margin: float = 0.0,
) -> dict[str, Any]:
    """Return the comparison of every variant with the reference, as `compare --json` prints it."""
    return comparison.compare_variants(
        ws,
        metric=metric,
        split=split,
        reference=reference,
        protocol=protocol,
        variants=variants,
        across_protocols=across_protocols,
        margin=margin,
    )


@kept
def scores(ws: Workspace, *, metric: str, split: str, protocol: str) -> pd.DataFrame:
    """Return one row a variant and example: variant, persona_id, example_id, value."""
    return store.score_table(ws, metric=metric, split=split, protocol=protocol)


@kept
def example_rows(ws: Workspace, *, persona_id: str, split: str, protocol: str) -> pd.DataFrame:
    """Return what every variant said to one persona."""
    return store.example_rows(ws, persona_id=persona_id, split=split, protocol=protocol)


@kept
def variants(ws: Workspace) -> list[Variant]:
    """Return every variant, in the order of their making."""
    return store.variants(ws)


@kept
def protocols(ws: Workspace) -> pd.DataFrame:
    """Return one row a protocol and split, newest protocol first."""
    return store.protocols(ws)


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


def domain(ws: Workspace) -> Domain:
    """Return what the workspace's data is about."""
    return domain_of(ws)


def circumstances(ws: Workspace) -> dict[str, list[Any]]:
    """Return what each circumstance that a prompt shows can be, as `conversation.choices`."""
    return _circumstances(str(ws.root), card(ws)["data_hash"], domain(ws).identity)


def subjects(ws: Workspace) -> dict[str, float]:
    """Return what replies act on, with the share of the replies that do; {} where that cannot be told."""
    return _subjects(str(ws.root), card(ws)["data_hash"], domain(ws).identity)


@st.cache_data(ttl=3600, max_entries=8, show_spinner=False)
def _circumstances(root: str, data_hash: str, domain_identity: str) -> dict[str, list[Any]]:
    ws = Workspace(Path(root))
    about = domain(ws)
    return choices(about.facts(dialogue.meta) for dialogue in dataset(ws).dialogues)


@st.cache_data(ttl=3600, max_entries=8, show_spinner=False)
def _subjects(root: str, data_hash: str, domain_identity: str) -> dict[str, float]:
    ws = Workspace(Path(root))
    return subject_shares(dataset(ws).dialogues, domain(ws))
