"""What training alone changes: repeats of one recipe from other seeds, and what that says of a difference."""

from collections.abc import Mapping
from typing import Any

from engine.core.paths import Workspace
from engine.results.comparing.grounds import Seeds
from engine.results.comparing.scene import Scene
from engine.results.variants import Variant, below
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
        return noise_of_mean(seeds.deltas, one_once=_is_one_trained_once(scene, variant))
    return training_noise([_from(first, controls) for first in {variant.variant, scene.reference.variant}])


def _is_one_trained_once(scene: Scene, variant: Variant) -> bool:
    """Whether one of the two sides was trained once, so that its noise is in every difference alike. What is
    built on its reference has the reference's noise in itself."""
    own, against = (set(side) for side in zip(*scene.pairs[variant.variant_id], strict=True))
    if len(own) == 1:
        return variant.parameters_trained > 0
    there = {one.variant_id: one for one in scene.variants.values()}
    other = there[next(iter(against))]
    stands_on_it = other.run_id in below(variant.run_id, scene.origins)
    return len(against) == 1 and other.parameters_trained > 0 and not stands_on_it


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
