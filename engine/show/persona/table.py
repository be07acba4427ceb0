"""All scores of one protocol, split and metric as one wide table, and what follows from it for a persona.

Owns the pairing by example within a persona: a difference counts only where both variants have a value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.stats.heterogeneity import effects
from engine.stats.inference import student
from engine.stats.levels import CONFIDENCE, NOISE


@dataclass(frozen=True, slots=True)
class Scored:
    """One variant on one persona's examples. Values are in the metric's unit.

    `delta` is against the reference on the `n` examples that both have a value for; the interval is Student's
    t over those examples, None with fewer than two. `higher`, `same` and `lower` count examples.
    """

    variant: str
    mean: float | None
    delta: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    higher: int
    same: int
    lower: int


def wide(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row an example, indexed by (persona_id, example_id), and one column a variant.

    `scores` holds variant, persona_id, example_id, value; what is undefined or not scored is NaN.
    """
    table = scores.pivot(index=["persona_id", "example_id"], columns="variant", values="value")
    return table.sort_index().rename_axis(columns=None)


def persona_means(table: pd.DataFrame) -> pd.DataFrame:
    """Return each persona's mean under each variant, over the examples with a value."""
    return table.groupby(level="persona_id").mean()


def persona_gains(
    table: pd.DataFrame, reference: str, grounds: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return each persona's mean difference to the reference under each variant, example by example.

    `grounds` names for some variants what they are compared with instead: what they are built on.
    """
    against = table[_against(table, reference, grounds or {})].to_numpy(dtype=np.float64)
    return table.sub(against).groupby(level="persona_id").mean()


def _against(table: pd.DataFrame, reference: str, grounds: Mapping[str, str]) -> list[str]:
    own = (grounds.get(str(name), reference) for name in table.columns)
    return [name if name in table.columns else reference for name in own]


def scored(
    table: pd.DataFrame, persona_id: str, reference: str, grounds: Mapping[str, str] | None = None
) -> list[Scored]:
    """Return every variant that has a value for this persona, the largest difference first.

    Differences are to the reference, or to what `grounds` names for a variant.
    Variants that share no example with the reference come last.
    """
    if persona_id not in table.index.get_level_values("persona_id"):
        return []
    own = table.loc[persona_id]
    columns = own.to_numpy(dtype=np.float64).T
    against = own[_against(own, reference, grounds or {})].to_numpy(dtype=np.float64).T
    found = [
        _scored(str(name), values, base)
        for name, values, base in zip(own.columns, columns, against, strict=True)
        if not np.isnan(values).all()
    ]
    return sorted(found, key=lambda one: (one.delta is None, -(one.delta or 0.0), one.variant))


def true_gains(
    table: pd.DataFrame, variant: str, reference: str, *, sign: float = 1.0
) -> pd.DataFrame | None:
    """Return what each persona truly gains by a variant, with the luck of few examples taken out; None where
    there are too few personas or examples to tell.

    One row a persona_id: effect, low, high (95 %), chance (that it is above 0).
    """
    if variant == reference or not {variant, reference} <= set(table.columns):
        return None
    own = (sign * (table[variant] - table[reference])).dropna().groupby(level="persona_id")
    told = own.agg(["mean", "count", "var"]).fillna(0.0)
    found = effects(told["mean"].to_numpy(), told["count"].to_numpy(np.float64), told["var"].to_numpy())
    if found is None:
        return None
    held = {"effect": found.effect, "low": found.low, "high": found.high, "chance": found.chance}
    return pd.DataFrame(held, index=told.index)


def _scored(variant: str, values: np.ndarray, reference: np.ndarray) -> Scored:
    differences = values - reference
    differences = differences[~np.isnan(differences)]
    differences = np.where(np.abs(differences) < NOISE, 0.0, differences)
    low, high = _interval(differences)
    return Scored(
        variant=variant,
        mean=float(np.nanmean(values)),
        delta=float(differences.mean()) if len(differences) else None,
        ci_low=low,
        ci_high=high,
        n=len(differences),
        higher=int((differences > 0).sum()),
        same=int((differences == 0).sum()),
        lower=int((differences < 0).sum()),
    )


def _interval(differences: np.ndarray) -> tuple[float | None, float | None]:
    if len(differences) < 2:
        return None, None
    if np.ptp(differences) < NOISE:
        return float(differences[0]), float(differences[0])
    return student(differences, confidence=CONFIDENCE)


def ordered(
    personas: Sequence[str],
    order: str,
    *,
    gain: Mapping[str, float],
    level: Mapping[str, float],
    cluster: Mapping[str, int],
) -> list[str]:
    """Return the personas in an order of `ORDERS`; who has no value there comes last, ties by id."""
    if order == "cluster":
        return sorted(personas, key=lambda name: (name not in cluster, cluster.get(name, 0), name))
    if order == "id":
        return sorted(personas)
    values, sign = {"gain": (gain, -1.0), "loss": (gain, 1.0), "score": (level, -1.0)}[order]

    def place(name: str) -> tuple[bool, float, str]:
        value = values.get(name, float("nan"))
        return np.isnan(value), 0.0 if np.isnan(value) else sign * value, name

    return sorted(personas, key=place)


ORDERS = ("id", "gain", "loss", "score", "cluster")
