"""Routing where only published scores exist: one mean a persona and variant, all of one split.

Owns what can still be said. What chooses a route there is what judges it, so the best variant for each
persona is a bound in hindsight; one variant for everybody, chosen on other personas, is a result; and the
choices a study published are taken as they are. Runs nothing and writes nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.results import store
from engine.results.comparing import row_role
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.pairings import pairings
from engine.results.imported.protocol import SPLIT
from engine.stats.compare import Comparison, compare
from engine.stats.pairing import Pairing
from engine.stats.routing import Hindsight, hindsight

ROUTING = "routing"
FOLDS = 10
Claim = Literal["bound", "result", "as published"]

WHY = (
    "Published scores are one mean a persona on one split: a route by persona is chosen on the scores that"
    " judge it. Only the choice of one variant for everybody can be cross-fitted."
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to choose, and what it is worth over the fallback. `routes` maps personas to variants."""

    name: str
    kind: Claim
    words: str
    comparison: Comparison
    shares: Mapping[str, float]
    routes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ImportedRouting:
    """What routing is worth on published scores. It chooses among `candidates` and `fallback`."""

    protocol: str
    metric: str
    fallback: str
    candidates: tuple[str, ...]
    rules: tuple[Rule, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return {**asdict(self), "why": WHY}


def route_imported(
    ws: Workspace,
    *,
    metric: str | None = None,
    fallback: str | None = None,
    margin: float = 0.0,
    protocol: str | None = None,
) -> ImportedRouting:
    """Return what routing gives on the newest import, over `fallback` (by default unified, else base).

    A variant must gain more than `margin`, in the metric's unit, to take a persona. Raises EngineError where
    nothing was imported, for names nobody knows, and for a metric without better and worse.
    """
    decides = metrics.chosen(ws, metric)
    higher = decides.higher_is_better
    if higher is None:
        raise EngineError(f"{decides.label} has no better and worse.", "Choose another metric.")
    found = compare_variants(
        ws, reference=fallback, metric=decides.name, split=SPLIT, protocol=protocol or _newest_import(ws)
    )
    paired = pairings(ws, found)
    rows = [row for row in found["rows"] if row_role.competes(row) and row["delta"] is not None]
    candidates = tuple(row["variant"] for row in rows if row["family"] != ROUTING)
    if not candidates:
        raise EngineError(
            "There is nothing to route to: only the fallback is scored.", "Import more results."
        )
    sign = 1.0 if higher else -1.0
    gains = {name: _gains(paired[name], sign) for name in candidates}
    reference = paired[found["reference"]]
    chosen = hindsight(
        gains, fallback=found["reference"], personas=reference.personas, margin=margin, folds=FOLDS
    )
    rules = [*_made(chosen, reference, higher, sign)]
    rules += [
        _published(row["variant"], paired[row["variant"]], higher) for row in rows if row["family"] == ROUTING
    ]
    return ImportedRouting(found["protocol"], decides.name, found["reference"], candidates, tuple(rules))


def _newest_import(ws: Workspace) -> str:
    seen = store.overview(ws)
    for protocol in dict.fromkeys(str(name) for name in seen.coverage["protocol"]):
        if seen.protocols.get(protocol, {}).get("imported"):
            return protocol
    raise EngineError(
        "No published study was imported into this workspace.",
        "Import one: python -m engine import-study DIR. For runs made here: python -m engine run routing",
    )


def _gains(one: Pairing, sign: float) -> dict[str, float]:
    return dict(zip(one.personas, (sign * one.differences).tolist(), strict=True))


def _made(chosen: Hindsight, reference: Pairing, higher: bool, sign: float) -> list[Rule]:
    told = {
        "best for each, in hindsight": ("bound", "chosen on the scores that judge it", chosen.best),
        "one for everybody": (
            "result",
            f"chosen on the personas of {FOLDS - 1} folds of {FOLDS}",
            chosen.crossed,
        ),
    }
    rules = []
    for name, (kind, words, routes) in told.items():
        moved = np.array([sign * routes[persona][1] for persona in reference.personas])
        comparison = compare(_shifted(reference, moved), higher_is_better=higher)
        by_persona = {persona: variant for persona, (variant, _) in routes.items()}
        rules.append(Rule(name, kind, words, comparison, _shares(by_persona), by_persona))  # type: ignore[arg-type]
    return rules


def _published(name: str, one: Pairing, higher: bool) -> Rule:
    words = "the study's choices, made on test; each persona's own score"
    return Rule(name, "as published", words, compare(one, higher_is_better=higher), {}, {})


def _shifted(reference: Pairing, moved: np.ndarray) -> Pairing:
    """The reference's personas with these differences to it."""
    n = reference.n_paired
    return Pairing(
        reference.personas, reference.reference + moved, reference.reference, moved, n, 0, 0, 0, 0, 0
    )


def _shares(routes: Mapping[str, str]) -> dict[str, float]:
    names = list(routes.values())
    counted = {name: names.count(name) / len(names) for name in dict.fromkeys(names)}
    return dict(sorted(counted.items(), key=lambda item: -item[1]))
