"""Merges whose weights are fitted to validation dialogues, and what judges them there: cross-fitting.

Weights that were fitted to a dialogue look better on it by that alone. So each val dialogue is answered with
weights that the other folds' dialogues fit; test, and whoever is chatted with, gets those of all of them.
Owns the fits and the files that say which weights answer which val dialogue.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import torch

from engine.core.errors import EngineError
from engine.lm import merge_weights
from engine.lm.adapters import Lora, added
from engine.lm.bank import written
from engine.lm.effects import Stored
from engine.lm.encode import Encoded
from engine.lm.load import Base
from engine.lm.merge import stacked
from engine.lm.merge_learned import learn
from engine.lm.merge_weights import Mix
from engine.lm.recipes import Shelf
from engine.lm.train import Hooks, Stopped, TrainSettings
from engine.runs.context import Cancelled, RunContext
from engine.stats.routing import FOLDS, folds
from engine.strategies.merges import FIT
from engine.strategies.steps.lessons import dialogues_of
from engine.strategies.steps.sources import Sources

_Dialogues = Mapping[tuple[str, str], Sequence[Encoded]]


@dataclass(frozen=True, slots=True)
class Mixes:
    """The merges of a run. Where they are learned, `crossed` has those fitted without each fold of the val
    dialogues, and `fold_of` says which dialogue is in which."""

    final: list[Mix]
    crossed: tuple[list[Mix], ...] = ()
    fold_of: Mapping[str, int] = field(default_factory=dict)

    @property
    def all(self) -> list[Mix]:
        return [*self.final, *(mix for mixes in self.crossed for mix in mixes)]


def learned(
    context: RunContext,
    sources: Sources,
    shelf: Shelf,
    base: Base,
    *,
    below: Sequence[Stored],
    assignment: Mapping[str, int],
) -> Mixes:
    """Fit each cluster's weights to the replies of its members' validation dialogues, all and fold by fold.

    Raises EngineError where a cluster has none.
    """
    dialogues = dialogues_of(context, base, set(assignment), "val")
    fold_of = folds(dialogues)
    even = merge_weights.cluster_average(assignment)
    rounds: list[list[Mix]] = []
    for left_out in (None, *range(FOLDS)):
        kept = {key: rows for key, rows in dialogues.items() if fold_of[key[1]] != left_out}
        made = []
        for number, mix in enumerate(even):
            place = len(rounds) * len(even) + number, (1 + FOLDS) * len(even)
            fitted = _fitted(context, sources, shelf, base, below=below, mix=mix, dialogues=kept, place=place)
            if fitted is None and left_out is None:
                raise EngineError(
                    f"{mix.name} has no validation dialogue to fit its weights to.",
                    "Choose merge-cluster, whose weights are even.",
                )
            name = mix.name if left_out is None else f"{mix.name}-without-{left_out}"
            made.append(replace(fitted or mix, name=name))
        rounds.append(made)
    return Mixes(rounds[0], tuple(rounds[1:]), fold_of)


def _fitted(
    context: RunContext,
    sources: Sources,
    shelf: Shelf,
    base: Base,
    *,
    below: Sequence[Stored],
    mix: Mix,
    dialogues: _Dialogues,
    place: tuple[int, int],
) -> Mix | None:
    """One cluster's weights; None where none of these dialogues is a member's. `place` is of how many
    fits."""
    if len(mix.members) == 1:
        return mix
    rows = [row for (persona, _), of_it in dialogues.items() if persona in mix.members for row in of_it]
    if not rows:
        return None
    parameters, (number, fits) = context.spec.parameters, place
    settings = TrainSettings(
        learning_rate=parameters["learning_rate"],
        epochs=parameters["epochs"],
        batch_size=parameters["batch_size"],
        l2=parameters["l2"],
        weight_decay=0.0,
        seed=context.spec.seed,
    )
    hooks = Hooks(
        progress=lambda done, total: context.progress(FIT, number * total + done, fits * total, unit="steps"),
        stop=context.stop_requested,
        say=context.log if number * (1 + FOLDS) < fits else lambda _: None,
    )
    with ExitStack() as under:
        under.enter_context(written(base.model, shelf.change(below)))
        try:
            shares = learn(
                base.model,
                stacked(members_loras(sources, shelf, mix)),
                rows,
                settings,
                name=mix.name,
                pad_id=base.pad_id,
                hooks=hooks,
                by_layer=parameters["by_layer"],
            )
        except Stopped as stopped:
            raise Cancelled from stopped
    mean = torch.stack(list(shares.values())).mean(dim=0)
    each = {path: tuple(own.tolist()) for path, own in shares.items()} if parameters["by_layer"] else {}
    return replace(merge_weights.weighed(mix, mean.tolist()), by_module=each)


def members_loras(sources: Sources, shelf: Shelf, mix: Mix) -> list[Lora]:
    """Return what stands for each member of a mix, as one adapter each, in their order."""
    return [
        Lora(added([(shelf.lora(one.run, one.name), one.weight) for one in sources.sums[persona]]), 1.0)
        for persona in mix.members
    ]
