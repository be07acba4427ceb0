"""Makes more training dialogues for each persona. Makes no variant and scores nothing.

Leaves augmented.jsonl (the dialogues) and augmentation.json (counts, refusals, pairs to look at) in the run's
folder. Reads train dialogues only. A training run that names this run as its upstream takes its dialogues by
`augmented_for`.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from typing import Any

from engine.core.errors import EngineError
from engine.core.paths import read_rows, write_atomically, write_json
from engine.core.types import Dialogue
from engine.data.augment.growing import TAKEN, Growing, grow, training_sources
from engine.data.augment.methods import MODEL_METHODS, chosen_methods, make_methods, user_texts
from engine.data.augment.records import Grown, Nearness, changes, read_augmented
from engine.data.dataset import json_lines, load_dataset, load_splits
from engine.domains.domain import Domain, Method
from engine.domains.registry import domain_of
from engine.lm.rewriting import make_rewriter
from engine.lm.scorer import Scorer
from engine.runs.context import Cancelled, RunContext
from engine.runs.runfolder import append_line, read_spec
from engine.strategies import registry
from engine.strategies.budgets import MATCHED_TO
from engine.strategies.matched import name_of
from engine.strategies.trained import AUGMENTED

DIALOGUES, REPORT = "augmented.jsonl", "augmentation.json"
CHECKPOINT = "checkpoint"
_SHOWN_PAIRS, _SHOWN_REFUSALS = 2, 12


def run(context: RunContext) -> None:
    """Grow every persona's train dialogues; personas of an earlier attempt are kept."""
    context.progress("load", 0, 1)
    dataset = load_dataset(context.workspace)
    sources = training_sources(dataset, load_splits(context.workspace))
    if not sources:
        raise EngineError("No dialogue is in the train split, so there is nothing to augment.")
    domain = domain_of(context.workspace)
    rules_of = domain.augmenting.make([dialogue for some in sources.values() for dialogue in some])
    names = chosen_methods(domain, context.spec.parameters["methods"])
    rewriters = {
        name: make_rewriter(
            name, context.spec.parameters, base=context.spec.base, task=domain.augmenting.rewording
        )
        for name in names
        if name in MODEL_METHODS
    }
    scorer = Scorer(context.workspace)
    part = context.folder / CHECKPOINT / "personas.jsonl"
    part.parent.mkdir(exist_ok=True)
    done = {row["persona_id"]: row for row in read_rows(part)}
    personas = [persona for persona in dataset.personas if persona.persona_id in sources]
    for place, persona in enumerate(personas):
        context.progress("augment", place, len(personas), unit="personas")
        if persona.persona_id not in done:
            if context.stop_requested():
                raise Cancelled
            own = sources[persona.persona_id]
            rewritten = {name: one.alternatives(user_texts(own)) for name, one in rewriters.items()}
            methods = make_methods(names, rules=rules_of(persona), rewritten=rewritten)
            grown = _grown(context, domain, own, methods, scorer.nearness)
            row = _row(persona.persona_id, own, grown)
            append_line(part, json.dumps(row, ensure_ascii=False))
            done[persona.persona_id] = row
    context.progress("augment", len(personas), len(personas), unit="personas")
    _finish(context, [done[persona.persona_id] for persona in personas])
    shutil.rmtree(part.parent)


def augmented_for(context: RunContext, sources: Set[str]) -> list[Dialogue]:
    """Return what the run's augmentation made of these train dialogues, and of no others; [] without one.

    Raises EngineError when the augmentation left no dialogues.
    """
    run_id = context.spec.upstream.get(AUGMENTED)
    if run_id is None:
        return []
    path = context.workspace.run_folder(run_id) / DIALOGUES
    if not path.exists():
        raise EngineError(f"{run_id} left no augmented dialogues.", "Run: python -m engine run augmentation")
    return [read_augmented(row).dialogue for row in read_rows(path) if row["source_id"] in sources]


def variant_name(context: RunContext) -> str:
    """Return the name of the variant a training run makes: "mta-of-others", "per-persona+augmented"."""
    if MATCHED_TO in context.spec.upstream:
        to = read_spec(context.workspace.run_folder(context.spec.upstream[MATCHED_TO]))
        return name_of(to.experiment)
    name = registry.variant_of(context.spec, context.workspace)
    return f"{name}{'+augmented' if AUGMENTED in context.spec.upstream else ''}"


def _grown(
    context: RunContext,
    domain: Domain,
    own: Sequence[Dialogue],
    methods: Mapping[str, Method],
    nearness: Nearness,
) -> Grown:
    given = context.spec.parameters
    return grow(
        own,
        methods,
        Growing(
            target=given["target"],
            multiple=given["multiple"],
            threshold=given["threshold"],
            resemblance=given["resemblance"],
            seed=context.spec.seed,
        ),
        keeps=domain.augmenting.keeps,
        nearness=nearness,
    )


def _row(persona_id: str, own: Sequence[Dialogue], grown: Grown) -> dict[str, Any]:
    """One persona's outcome as JSON: what a resumed run takes up."""
    by_id = {dialogue.dialogue_id: dialogue for dialogue in own}
    return {
        "persona_id": persona_id,
        "sources": len(own),
        "wanted": grown.wanted,
        "made": [one.as_json() for one in grown.made],
        "counts": [[method, outcome, count] for (method, outcome), count in sorted(grown.counts.items())],
        "pairs": [
            {
                "method": one.method,
                "source_id": one.source_id,
                "changes": [asdict(change) for change in changes(by_id[one.source_id], one.dialogue)],
            }
            for one in grown.made[:_SHOWN_PAIRS]
        ],
        "refused": [
            {
                "method": one.method,
                "reason": one.reason,
                "source_id": one.source.dialogue_id,
                "nearness": one.nearness,
                "changes": [asdict(change) for change in changes(one.source, one.dialogue)],
            }
            for one in grown.refused[:2]
        ],
    }


def _finish(context: RunContext, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the dialogues, then the report, and say in plain words what came of it."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        counts.update({(method, outcome): count for method, outcome, count in row["counts"]})
    outcomes: Counter[str] = Counter()
    for (_, outcome), count in counts.items():
        outcomes[outcome] += count
    made, sources = outcomes.pop(TAKEN, 0), sum(row["sources"] for row in rows)
    short = {row["persona_id"]: len(row["made"]) for row in rows if len(row["made"]) < row["wanted"]}
    names = chosen_methods(domain_of(context.workspace), context.spec.parameters["methods"])
    by_method: dict[str, dict[str, int]] = {name: {} for name in names}
    for (method, outcome), count in sorted(counts.items()):
        by_method[method][outcome] = count
    write_atomically(context.folder / DIALOGUES, json_lines(one for row in rows for one in row["made"]))
    write_json(
        context.folder / REPORT,
        {
            "sources": sources,
            "made": made,
            "total": sources + made,
            "wanted": sum(row["wanted"] for row in rows),
            "rejected": dict(outcomes.most_common()),
            "by_method": by_method,
            "short_of_target": short,
            "personas": {
                row["persona_id"]: {"sources": row["sources"], "made": len(row["made"])} for row in rows
            },
            "pairs": [pair for row in rows for pair in row["pairs"]][:_SHOWN_REFUSALS],
            "refused": [one for row in rows for one in row["refused"]][:_SHOWN_REFUSALS],
        },
    )
    context.summary(
        source_dialogues=sources,
        augmented_dialogues=made,
        rejected=sum(outcomes.values()),
        personas_short_of_target=len(short),
    )
    context.log(
        f"{sources} train dialogues of {len(rows)} personas gave {made} more: {sources + made} in all"
    )
    context.log("rejected: " + (", ".join(f"{why} {n}" for why, n in outcomes.most_common()) or "none"))
    if short:
        context.log(f"{len(short)} personas stay short of their target: what is left repeats itself")
