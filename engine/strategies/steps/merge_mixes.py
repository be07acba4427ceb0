"""Whose adapters go into which merge: reads what the weights are made of and hands out the mixes.

Reads training dialogues, validation scores and dialogues, and the clustering; never anything of test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from engine.core.errors import EngineError
from engine.core.types import Splits
from engine.core.wording import percent
from engine.data.dataset import examples, load_dataset, load_splits
from engine.data.splits import as_if_known
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.domains.registry import domain_of
from engine.lm import hypernetwork, merge_weights
from engine.lm.effects import Stored
from engine.lm.features import Features, behaviour_features, character_features, joined, load_features
from engine.lm.load import Base
from engine.lm.merge import cosines, products
from engine.lm.merge_weights import Matrix, Mix
from engine.lm.recipes import Shelf
from engine.lm.retrieve import request_of
from engine.lm.scorer import Scorer
from engine.runs import answers
from engine.runs.context import RunContext
from engine.stats.routing import FOLDS, folds
from engine.strategies.clusterings import read_clusters, refuse_incomplete
from engine.strategies.merges import nothing_known
from engine.strategies.steps.cluster import FEATURES
from engine.strategies.steps.merge_learned import Mixes, learned
from engine.strategies.steps.sources import Sources, between


def mixes_of(
    context: RunContext, sources: Sources, shelf: Shelf, base: Base, below: Sequence[Stored]
) -> Mixes:
    """Return whose adapters go into which merge, by the experiment's method.

    `below` is what lies under the merged adapters in the variant's recipe, for the weights that are learned.
    """
    parameters, personas = context.spec.parameters, sources.personas
    if parameters["method"] == "learned":
        assignment = _assignment(context, personas)
        return learned(context, sources, shelf, base, below=below, assignment=assignment)
    if parameters["method"] == "weighted":
        return _weighted(context, _assignment(context, personas))
    return Mixes(_unlearned(context, sources, shelf))


def _weighted(context: RunContext, assignment: Mapping[str, int]) -> Mixes:
    """Weigh each cluster's adapters by their val scores: by all of them, and by all but each fold's."""
    table, decides = _val_table(context), metrics.primary(context.workspace)
    fold_of = folds(zip(table["persona_id"], table["dialogue_id"], strict=True))
    temperature = context.spec.parameters["temperature"]
    typical = _typical(context, list(assignment))
    everybody = _val_scores(context, list(assignment), table)

    def weighed(left_out: int | None) -> list[Mix]:
        kept = table[[fold_of[one] != left_out for one in table["dialogue_id"]]]
        # Who has no val dialogue in the other folds has nothing of her own to weigh: the mean of the others.
        own = _means(kept, decides)
        mean = float(np.mean([own[one] for one in assignment if one in own] or [0.0]))
        scores = everybody if left_out is None else {one: own.get(one, mean) for one in assignment}
        mixes = merge_weights.cluster_weighted(
            dict(assignment), {one: scores[one] * typical[one] for one in assignment}, temperature=temperature
        )
        name = "" if left_out is None else f"-without-{left_out}"
        return [replace(mix, name=f"{mix.name}{name}") for mix in mixes]

    return Mixes(weighed(None), tuple(weighed(fold) for fold in range(FOLDS)), fold_of)


def _unlearned(context: RunContext, sources: Sources, shelf: Shelf) -> list[Mix]:
    parameters, personas = context.spec.parameters, sources.personas
    method = parameters["method"]
    if method == "average":
        return merge_weights.average(personas)
    if method in ("moe", "topk", "soft"):
        return merge_weights.nearest(
            personas,
            _likeness(context, sources, shelf),
            k=parameters.get("k"),
            temperature=parameters["temperature"],
            own=parameters["own"],
            assignment=_assignment(context, personas) if method == "moe" else None,
        )
    if method == "predicted":
        return _predicted(context, sources, shelf)
    if method == "cluster":
        return merge_weights.cluster_average(_assignment(context, personas))
    raise AssertionError(f"{method} is no way to merge")


def _predicted(context: RunContext, sources: Sources, shelf: Shelf) -> list[Mix]:
    """Predict each persona's adapter from what is known of her, as a sum of those that exist; of unseen ones
    from their profile and the dialogues before what is judged."""
    parameters, personas = context.spec.parameters, sources.personas
    splits, scorer = load_splits(context.workspace), Scorer(context.workspace)
    features = _known_of(context, parameters["features"], splits, scorer)
    unknown = [persona for persona in personas if persona not in features.personas]
    if unknown:
        raise nothing_known(len(unknown))
    rows, inner = _rows(features, personas), between(sources, shelf, products)
    fit = hypernetwork.best(rows, inner, parameters["ridge"], own=parameters["own"])
    context.summary(ridge=fit.ridge, explained=fit.explained)
    context.log(
        f"ridge {fit.ridge:g}: {percent(fit.explained, 1)} of what tells the adapters from their mean is "
        "predicted for personas it does not know"
    )
    found = {persona: row.tolist() for persona, row in zip(personas, fit.weights, strict=True)}
    for stranger in sorted(splits.unseen):
        # As each of the others is read where her own adapter takes no part: beside all whose adapters exist.
        beside = _known_of(context, parameters["features"], as_if_known(splits, stranger), scorer)
        if stranger in beside.personas:
            vectors = _rows(beside, [*personas, stranger])
            found[stranger] = hypernetwork.for_stranger(vectors, fit.ridge).tolist()
    return [merge_weights.signed(persona, personas, row) for persona, row in found.items()]


def _rows(features: Features, personas: Sequence[str]) -> Matrix:
    places = {persona: place for place, persona in enumerate(features.personas)}
    return features.vectors[[places[persona] for persona in personas]]


def _known_of(context: RunContext, which: str, splits: Splits, scorer: Scorer) -> Features:
    """Return what is known of the personas: their character texts, what their train dialogues do, or both."""
    dataset, parts = load_dataset(context.workspace), list[Features]()
    if which != "behaviour":
        parts.append(character_features(dataset, splits, scorer))
    if which != "character":
        parts.append(behaviour_features(dataset, splits, domain_of(context.workspace)))
    return joined(parts)


def _assignment(context: RunContext, personas: Sequence[str]) -> dict[str, int]:
    found = read_clusters(context.workspace, context.spec.upstream["clusters"])
    return found.of(personas, only=context.spec.parameters.get("cluster"))


def _likeness(context: RunContext, sources: Sources, shelf: Shelf) -> Matrix:
    """Return how alike the personas are, [n, n]: by the clustering's features, or by their adapters."""
    personas = sources.personas
    if context.spec.parameters["likeness"] == "adapters":
        return between(sources, shelf, cosines)
    features = load_features(context.workspace.run_folder(context.spec.upstream["clusters"]) / FEATURES)
    refuse_incomplete(context.spec.upstream["clusters"], personas, features.personas)
    rows = [features.personas.index(persona) for persona in personas]
    return features.likeness[np.ix_(rows, rows)]


def _typical(context: RunContext, personas: Sequence[str]) -> dict[str, float]:
    """Likeness to the cluster's centre, x the amount of useful data if asked for."""
    centrality = read_clusters(context.workspace, context.spec.upstream["clusters"]).likeness
    useful = dict.fromkeys(personas, 1.0)
    if context.spec.parameters["quality"]:
        interactions: dict[str, list[tuple[str, str]]] = {}
        for one in examples(load_dataset(context.workspace), load_splits(context.workspace), "train"):
            interactions.setdefault(one.persona_id, []).append((request_of(one), one.reference))
        useful = merge_weights.quality(interactions, domain_of(context.workspace).is_useful)
    return {persona: centrality[persona] * useful[persona] for persona in personas}


def _val_table(context: RunContext) -> pd.DataFrame:
    """The val scores of the adapters' own run in the primary metric, an example a row."""
    scored = answers.read(context.workspace, context.spec.upstream["adapters"])
    table = scored.values(metrics.primary(context.workspace))
    dialogue = {one["example_id"]: one["dialogue_id"] for one in scored.answers.to_pylist()}
    val = table[table["split"] == "val"].dropna(subset=["value"])
    return val.assign(dialogue_id=[dialogue[one] for one in val["example_id"]])


def _val_scores(context: RunContext, personas: Sequence[str], table: pd.DataFrame) -> dict[str, float]:
    """Each persona's mean. Raises EngineError where somebody has none."""
    found = _means(table, metrics.primary(context.workspace))
    unscored = [persona for persona in personas if persona not in found]
    if unscored:
        raise EngineError(
            f"{context.spec.upstream['adapters']} has no validation score for {len(unscored)} personas, "
            f"{unscored[0]} among them.",
            "Run it with val among its splits: --set splits=val,test",
        )
    return found


def _means(table: pd.DataFrame, decides: Metric) -> dict[str, float]:
    """What each persona's mean is worth: the higher, the better, whichever way the metric counts."""
    means = table.groupby("persona_id")["value"].mean()
    return {str(persona): decides.worth(float(value)) for persona, value in means.items()}
