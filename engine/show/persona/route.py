"""Which variant a persona is routed to, and how much of whose adapter went into her merge.

Reads routes.json and weights.json; chooses and merges nothing, as the choice was made on val, elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.core import integrity
from engine.core.paths import Workspace, read_record
from engine.lm.effects import Own, Value, effects_of, normal
from engine.results.variants import Variant
from engine.stats.levels import NOISE
from engine.strategies.merges import WEIGHTS

ROUTES = "routes.json"
_AGAIN = "Run it again: delete its folder first."


@dataclass(frozen=True, slots=True)
class Candidate:
    """One variant that routing could choose: its val mean and gain over the fallback, in the metric's unit.

    None where she has no val score of it.
    """

    variant: str
    mean: float | None
    gain: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Route:
    """Where one persona goes. `higher_is_better` is the metric's direction; gains count with its sign."""

    run_id: str
    variant: str
    fallback: str
    margin: float
    metric: str
    candidates: tuple[Candidate, ...]

    @property
    def stays(self) -> bool:
        """Whether nothing beat the fallback."""
        return self.variant == self.fallback

    @property
    def best_rival(self) -> Candidate | None:
        """The candidate with the highest gain that is not the fallback."""
        rivals = [one for one in self.candidates if one.variant != self.fallback and one.gain is not None]
        return max(rivals, key=lambda one: one.gain or 0.0, default=None)


@dataclass(frozen=True, slots=True)
class _Choosable:
    recipe: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Chosen:
    variant: str


@dataclass(frozen=True, slots=True)
class _Routes:
    metric: str
    margin: float
    fallback: str
    candidates: dict[str, _Choosable]
    routes: dict[str, _Chosen]


def routing_runs(ws: Workspace, variants: Sequence[Variant]) -> dict[str, str]:
    """Return the routed variants by name -> run, newest first."""
    chosen = {
        one.variant: effect.run
        for one in reversed(variants)
        for effect in effects_of(one.recipe)
        if isinstance(effect, Own) and effect.chosen
    }
    return {name: run for name, run in chosen.items() if (ws.run_folder(run) / ROUTES).exists()}


def read_routes(ws: Workspace, run_id: str, variants: Sequence[Variant]) -> dict[str, Any]:
    """Return routes.json with every candidate under its name on screens.

    Keys: metric, margin, fallback, candidates (names), routes (persona -> name). Raises EngineError when the
    file is torn.
    """
    found = read_record(integrity.result(ws, run_id, ROUTES), _Routes, hint=_AGAIN)
    names = {name: _on_screen(name, one.recipe, variants) for name, one in found.candidates.items()}
    return {
        "metric": found.metric,
        "margin": found.margin,
        "fallback": names.get(found.fallback, found.fallback),
        "candidates": tuple(names.values()),
        "routes": {who: names.get(one.variant, one.variant) for who, one in found.routes.items()},
    }


def route_of(
    run_id: str,
    routes: Mapping[str, Any],
    persona_id: str,
    val: pd.DataFrame,
    *,
    higher_is_better: bool = True,
) -> Route | None:
    """Return a persona's route with the val scores behind it; None when she has none.

    `val` is the wide table of the route's metric on val.
    """
    chosen = routes["routes"].get(persona_id)
    if chosen is None:
        return None
    fallback = routes["fallback"]
    known = persona_id in val.index.get_level_values("persona_id")
    own = val.loc[persona_id] if known else val.iloc[:0]
    sign = 1.0 if higher_is_better else -1.0
    candidates = [_candidate(own, name, fallback, sign) for name in routes["candidates"]]
    candidates.sort(key=lambda one: (one.gain is None, -(one.gain or 0.0), one.variant))
    return Route(run_id, chosen, fallback, routes["margin"], routes["metric"], tuple(candidates))


def _candidate(own: pd.DataFrame, name: str, fallback: str, sign: float) -> Candidate:
    if name not in own or fallback not in own or not own[name].notna().any():
        return Candidate(name, None, None, 0)
    differences = (own[name] - own[fallback]).dropna().to_numpy(dtype=np.float64)
    gain = sign * float(differences.mean()) if len(differences) else None
    gain = 0.0 if gain is not None and abs(gain) < NOISE else gain
    return Candidate(name, float(own[name].mean()), gain, len(differences))


def _on_screen(name: str, recipe: Value, variants: Sequence[Variant]) -> str:
    """The name that a candidate's recipe goes by; its plain name where the recipe is not known."""
    return next((one.variant for one in variants if one.recipe == normal(recipe)), name)


@dataclass(frozen=True, slots=True)
class Merge:
    """One persona's merge: its name, method, how many adapters it amounts to, the largest weight first."""

    variant: str
    name: str
    method: str
    combine: str
    effective: float
    weights: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class _Merged:
    effective_adapters: float
    weights: dict[str, float]


@dataclass(frozen=True, slots=True)
class KeptWeights:
    """What a merge leaves in weights.json: whose merge each persona has, and how much of whom is in it."""

    method: str
    combine: str
    assignment: dict[str, str]
    merges: dict[str, _Merged]


def merged_variants(ws: Workspace, variants: Sequence[Variant]) -> dict[str, str]:
    """Return the variants whose run left merge weights, by name -> run, newest first."""
    return {
        one.variant: one.run_id
        for one in reversed(variants)
        if (ws.run_folder(one.run_id) / WEIGHTS).exists()
    }


def merge_of(ws: Workspace, variant: str, run_id: str, persona_id: str) -> Merge | None:
    """Return the weights of a persona's merge; None when the run has none for her.

    Raises EngineError when weights.json is torn.
    """
    found = read_record(integrity.result(ws, run_id, WEIGHTS), KeptWeights, hint=_AGAIN)
    name = found.assignment.get(persona_id, "")
    entry = found.merges.get(name)
    if entry is None:
        return None
    return Merge(
        variant=variant,
        name=name,
        method=found.method,
        combine=found.combine,
        effective=entry.effective_adapters,
        weights=tuple(sorted(entry.weights.items(), key=lambda pair: (-pair[1], pair[0]))),
    )
