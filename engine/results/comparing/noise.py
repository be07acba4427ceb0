"""What training alone changes: repeats of one recipe from other seeds, and what that says of a difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.paths import Workspace
from engine.results.comparing.grounds import Seeds
from engine.results.comparing.scene import Scene
from engine.results.variants import Variant
from engine.runs.runfolder import read_spec
from engine.stats.compare import Comparison
from engine.stats.seeds import TrainingNoise, noise_of_mean, training_noise
from engine.strategies import repeating
from engine.strategies.cloning import command_of


def noise_of(
    scene: Scene, variant: Variant, seeds: Seeds | None, controls: Mapping[str, Comparison]
) -> TrainingNoise | None:
    """Return what another seed alone does, to this recipe or the reference's; to the mean of its own seeds
    where it has some. `controls` are repeats against what they repeat."""
    if seeds is not None and variant.variant_id != scene.reference.variant_id:
        is_one = len({own for own, _ in scene.pairs[variant.variant_id]}) == 1
        return noise_of_mean(seeds.deltas, own_once=is_one and variant.parameters_trained > 0)
    return training_noise([_from(first, controls) for first in {variant.variant, scene.reference.variant}])


def noise_of_table(ws: Workspace, scene: Scene, controls: Mapping[str, Comparison]) -> dict[str, Any]:
    """Return what a table says of noise: repeats, floor, limit, and the command that makes more of them."""
    firsts = dict.fromkeys(row.reference for row in controls.values())
    found = training_noise([_from(first, controls) for first in firsts])
    return {
        "floor": found and found.largest,
        "limit": found and found.limit,
        "pairs": found.pairs if found else 0,
        "repeats": [row.as_json() for row in controls.values()],
        "command": _second_seed(ws, scene),
    }


def _from(first: str, controls: Mapping[str, Comparison]) -> list[float]:
    """How far each seed of a recipe is from the first, itself counted."""
    again = [row.delta for row in controls.values() if row.reference == first and row.delta is not None]
    return [0.0, *again]


def _second_seed(ws: Workspace, scene: Scene) -> str | None:
    """The command that makes the reference again from other seeds; None where it is not trained."""
    origin = scene.origins.get(scene.reference.run_id)
    if origin is None or not scene.reference.parameters_trained:
        return None
    if scene.reference.is_reference:
        return repeating.command_of(ws)
    return command_of(read_spec(ws.run_folder(scene.reference.run_id)), ws, seed=origin.seed + 1)
