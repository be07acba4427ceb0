"""How much of whose adapter went into a persona's merge. Reads weights.json; merges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.results.variants import Variant

_FILE = "weights.json"


@dataclass(frozen=True, slots=True)
class Merge:
    """One persona's merge: its name, method, how many adapters it amounts to, the largest weight first."""

    variant: str
    name: str
    method: str
    combine: str
    effective: float
    weights: tuple[tuple[str, float], ...]


def merged_variants(ws: Workspace, variants: Sequence[Variant]) -> dict[str, str]:
    """Return the variants whose run left merge weights, by name -> run, newest first."""
    return {
        one.variant: one.run_id for one in reversed(variants) if (ws.run_folder(one.run_id) / _FILE).exists()
    }


def merge_of(ws: Workspace, variant: str, run_id: str, persona_id: str) -> Merge | None:
    """Return the weights of a persona's merge; None when the run has none for her.

    Raises EngineError when weights.json is torn.
    """
    try:
        found = read_json(integrity.result(ws, run_id, _FILE))
        name = found["assignment"].get(persona_id)
        if name is None:
            return None
        entry = found["merges"][name]
        weights = sorted(entry["weights"].items(), key=lambda pair: (-pair[1], pair[0]))
        return Merge(
            variant=variant,
            name=str(name),
            method=str(found["method"]),
            combine=str(found["combine"]),
            effective=float(entry["effective_adapters"]),
            weights=tuple((str(persona), float(weight)) for persona, weight in weights),
        )
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise EngineError(
            f"The merge weights of {run_id} cannot be read: {error}",
            "Run it again: delete its folder first.",
        ) from error
