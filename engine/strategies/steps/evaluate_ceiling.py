"""Scores the two oracles of a synthetic world: bounds to hold variants against, never contenders."""

from __future__ import annotations

import json

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import read_text
from engine.data.dataset import TRUTH
from engine.lm.generate import Reply
from engine.lm.load import load_base
from engine.lm.scorer import Scorer
from engine.runs.context import RunContext
from engine.strategies.steps.scoring import Answer, declare_protocol, example_set, write_scores

ORACLES = {"ceiling-persona": "knows_persona", "ceiling-population": "knows_population"}


def run(context: RunContext) -> None:
    """Score what an assistant says that knows the persona, and one that knows only the population."""
    context.progress("load", 0, 1)
    chosen = example_set(context)
    # The base takes no part, but its dtype and device belong to the protocol the others are scored under.
    protocol = declare_protocol(context, chosen, load_base(context.spec.base))
    truth = {}
    integrity.refuse_changed(context.workspace, TRUTH)
    for line in read_text(context.workspace.dataset / TRUTH).split("\n")[:-1]:
        record = json.loads(line)
        truth[record["example_id"]] = record
    missing = [example.example_id for _, example in chosen.all if example.example_id not in truth]
    if missing:
        raise EngineError(
            f"The world's truth lacks {len(missing)} examples, {missing[0]} among them.",
            "Create the workspace anew: the world's files do not belong together.",
        )
    answers = []
    for variant, key in ORACLES.items():
        context.variant(variant, {"oracle": key}, family="ceiling")
        answers += [
            Answer(variant, split, example, Reply(truth[example.example_id][key], 0, 0, 0.0))
            for split, example in chosen.all
        ]
    write_scores(context, answers, protocol, Scorer())
