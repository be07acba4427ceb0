"""Routes each persona to the variant that won on her val examples. Generates nothing: scores are taken over.

Leaves routes.json (who goes where, and why) and the chosen answers and scores under the name of the routed
variant. The choice is made from val alone, and val judges it by cross-fitting: each val dialogue has the
answer of the variant that her other val dialogues choose, so that routing does not look better there by
having chosen there. Who is kept unseen has no val to choose by, and is answered by the fallback. Test is for
comparisons to look at, and to count as looked at.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.core.errors import EngineError
from engine.core.paths import Workspace, write_json
from engine.core.wording import percent
from engine.data.dataset import load_splits
from engine.data.splits import UNSEEN
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.lm.effects import Own, Recipe
from engine.lm.recipes import ROUTES, STRANGERS
from engine.runs import answers, manifest
from engine.runs.context import RunContext
from engine.runs.protocol import in_todays_form, without_remarks
from engine.runs.runfolder import read_spec
from engine.stats.pairing import Valued, valued
from engine.stats.routing import Routes, choose, cross_fit, folds
from engine.strategies.steps.crossing import Kept


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One variant to route to: its run, its recipe, its answers, and their scores (both with all splits)."""

    run_id: str
    recipe: Mapping[str, Any]
    answers: pd.DataFrame
    scored: answers.Scored


def run(context: RunContext) -> None:
    """Choose on val, and write the routed variant's rows."""
    parameters = context.spec.parameters
    context.progress("route", 0, 1)
    _, fields, candidates = read_candidates(context.workspace, context.spec.upstream)
    fallback = _fallback(parameters["fallback"], candidates)
    decides = metrics.chosen(context.workspace, parameters["metric"])
    rule: dict[str, Any] = {
        "fallback": fallback,
        "margin": parameters["margin"],
        "higher_is_better": decides.higher_is_better is not False,
    }
    routes = choose(_tables(candidates, decides), **rule)
    held = candidates[fallback].answers
    held = held[held["split"] == "val"]
    fold_of = folds(zip(held["persona_id"], held["dialogue_id"], strict=True))
    by_fold = cross_fit(
        lambda fold: _tables(candidates, decides, {one for one, its in fold_of.items() if its == fold}),
        **rule,
    )
    variant = context.spec.experiment
    context.protocol(fields)
    recipe = Recipe((Own(context.spec.run_id, chosen=True),))
    context.variant(variant, recipe.as_json(), family="routing")
    goes = Kept(routes.by_persona, fold_of, by_fold)
    rows, scores = routed_rows(routes, goes, candidates, variant=variant)
    answers.write(context.folder, rows, scores)
    told = as_json(routes, candidates, metric_name=decides.name)
    strangers = sorted(load_splits(context.workspace).unseen)
    write_json(context.folder / ROUTES, {**told, **({STRANGERS: strangers} if strangers else {})})
    _tell(context, routes)
    context.progress("route", 1, 1)


def read_candidates(
    ws: Workspace, upstream: Mapping[str, str], *, by_run: bool = False
) -> tuple[str, dict[str, Any], dict[str, Candidate]]:
    """Return the protocol (hash and fields) and every variant that the upstream runs scored under it.

    With `by_run` each is named with its run, for runs whose variants share a name. Raises EngineError when
    they were not all scored under one protocol.
    """
    protocols: dict[str, dict[str, Any]] = {}
    candidates: dict[str, Candidate] = {}
    seen: set[tuple[str, ...]] = set()
    for run_id in upstream.values():
        folder = ws.run_folder(run_id)
        done, scored, spec = manifest.read(folder), answers.read(ws, run_id), read_spec(folder)
        table = scored.answers.to_pandas()
        names = tuple(sorted(table["protocol"].unique()))
        known = dict(in_todays_form(done["protocols"], spec).values())
        protocols |= {name: without_remarks(known.get(name, {})) for name in names}
        seen.add(names)
        recipes = {entry["name"]: entry["recipe"] for entry in done["variants"]}
        for name, rows in table.groupby("variant", sort=False):
            named = f"{name} of {run_id}" if by_run else str(name)
            candidates.setdefault(named, Candidate(run_id, recipes[name], rows, scored))
    if len(protocols) != 1 or len(seen) != 1:
        raise EngineError(
            f"These runs were scored under {len(protocols)} protocols: {', '.join(upstream.values())}.",
            "Run them again with the same evaluation settings; only like scores can be routed among.",
        )
    (name,), (fields,) = protocols.keys(), protocols.values()
    return name, fields, candidates


def routed_rows(
    routes: Routes, kept: Kept, candidates: Mapping[str, Candidate], *, variant: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return each persona's answers from the variant she is routed to, all splits, and their scores (long).

    Both under the name `variant`; on val each dialogue is answered as the others chose. Where the chosen
    variant has no answer to an example, the fallback's stands in.
    """
    order = candidates[routes.fallback].answers
    order = order[order["persona_id"].isin(routes.by_persona) | (order["split"] == UNSEEN)]
    goes = dict(zip(_pairs(order), _goes(order, routes, kept), strict=True))
    rank = {pair: place for place, pair in enumerate(goes)}
    picked = {
        name: one.answers[[goes.get(pair) == name for pair in _pairs(one.answers)]]
        for name, one in candidates.items()
    }
    known = {pair for rows in picked.values() for pair in _pairs(rows)}
    stays = order[[pair not in known for pair in _pairs(order)]]
    picked[routes.fallback] = pd.concat([picked[routes.fallback], stays])
    answered = {name: rows for name, rows in picked.items() if len(rows)}
    table = pd.concat(answered.values())
    table = table.assign(_place=[rank[pair] for pair in _pairs(table)]).sort_values("_place")
    scores = pd.concat([answers.only(candidates[name].scored, rows) for name, rows in answered.items()])
    return (
        table.drop(columns="_place").assign(variant=variant).reset_index(drop=True),
        scores.assign(variant=variant).reset_index(drop=True),
    )


def _goes(order: pd.DataFrame, routes: Routes, kept: Kept) -> Iterator[str]:
    """Yield the variant that answers each row: on val the one that the other folds choose."""
    for split, persona, dialogue in zip(
        order["split"], order["persona_id"], order["dialogue_id"], strict=True
    ):
        chosen = {} if split == UNSEEN else kept.answering(split, dialogue)
        yield chosen.get(persona, routes.fallback)


def _pairs(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(rows["split"], rows["example_id"], strict=True))


def as_json(routes: Routes, candidates: Mapping[str, Candidate], *, metric_name: str) -> dict[str, Any]:
    """Return the routes as the JSON object of routes.json."""
    return {
        "metric": metric_name,
        "margin": routes.margin,
        "fallback": routes.fallback,
        "candidates": {
            name: {"run": candidate.run_id, "recipe": dict(candidate.recipe)}
            for name, candidate in candidates.items()
        },
        "shares": routes.shares,
        "best_single": routes.best_single,
        "routes": {
            route.persona_id: {"variant": route.variant, "gain_val": route.gain} for route in routes.routes
        },
    }


def _fallback(name: str, candidates: Mapping[str, Candidate]) -> str:
    if name not in candidates:
        raise EngineError(
            f"The fallback {name} is no variant of these runs.", f"Choose one of: {', '.join(candidates)}."
        )
    return name


def _tables(
    candidates: Mapping[str, Candidate], decides: Metric, without: Collection[str] = ()
) -> dict[str, list[Valued]]:
    """Return each candidate's val scores, those of the dialogues `without` left out."""
    found = {}
    for name, candidate in candidates.items():
        held = candidate.answers[candidate.answers["split"] == "val"]
        kept = held[~held["dialogue_id"].isin(list(without))]
        rows = candidate.scored.values(decides, among=kept)
        if rows.empty and len(kept):
            raise EngineError(
                f"{name} is not scored in {decides.label}, so nobody can be routed by it.",
                "Compute it for the replies that are there, then resume: "
                f"python -m engine rescore --metric {decides.name}",
            )
        found[name] = list(valued(rows))
    return found


def _tell(context: RunContext, routes: Routes) -> None:
    shares = ", ".join(f"{name} {percent(share)}" for name, share in routes.shares.items())
    context.log(f"{len(routes.routes)} personas: {shares}; {routes.best_single} is best for everybody on val")
    context.log("on val each dialogue is answered by the choice of the others; compare says what it gains")
    context.summary(shares=routes.shares, best_single=routes.best_single)
