"""Which personas share what was trained for a variant: those of one cluster are no independent witnesses.

Owns the groups, read from what runs hold for each persona. Where nobody shares anything, or all share
everything, there are none. What is prompted (memories, a profile) is each persona's own and no part of it.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from engine.core.paths import Workspace, read_json
from engine.lm.effects import Logits, Own, Recipe, effects_of
from engine.results.variants import Variant

PERSONAS = "personas.json"


def groups(
    ws: Workspace, variants: Iterable[Variant], *, among: Collection[str] | None = None
) -> dict[str, dict[str, int]]:
    """Return variant id -> persona -> number of her group, for the variants that groups of personas share;
    `among` leaves out all other personas.

    A variant whose adapters are no longer there is left out: nobody can tell.
    """
    held: dict[str, Mapping[str, Any] | None] = {}
    found = {}
    for variant in variants:
        runs = sorted(set(_own_runs(effects_of(variant.recipe))))
        for run in runs:
            if run not in held:
                held[run] = _held(ws, run)
        parts = [part for run in runs if (part := held[run]) is not None]
        if runs and len(parts) == len(runs):
            own = _groups(parts, among)
            if 1 < len(set(own.values())) < len(own):
                found[variant.variant_id] = own
    return found


def _own_runs(effects: Iterable[Any]) -> Iterator[str]:
    """The runs that hold effects for each persona. A choice made for each persona is her own."""
    for effect in effects:
        if isinstance(effect, Own) and not effect.chosen:
            yield effect.run
        elif isinstance(effect, Logits):
            for side in (effect.first, effect.second):
                yield from _own_runs(side.effects if isinstance(side, Recipe) else ())


def _held(ws: Workspace, run: str) -> Mapping[str, Any] | None:
    path = ws.adapters(run) / PERSONAS
    return read_json(path) if path.exists() else None


def _groups(parts: list[Mapping[str, Any]], among: Collection[str] | None) -> dict[str, int]:
    known: dict[str, int] = {}
    shared = set.intersection(*(set(part) for part in parts))
    personas = sorted(shared if among is None else shared & set(among))
    return {
        persona: known.setdefault(json.dumps([part[persona] for part in parts], sort_keys=True), len(known))
        for persona in personas
    }
