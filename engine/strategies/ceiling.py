"""The two oracles of a synthetic world: a bound and a yardstick to hold variants against, never contenders.

Who knows the persona is a bound: nothing is expected above it. Who knows the population, and reads the
replies so far, is a yardstick: what is learned from a persona's own words or history may exceed it.
"""

import json

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import read_text
from engine.runs.context import RunContext
from engine.strategies.spec import Experiment, Traits, truth_needed

ORACLES = {"ceiling-persona": "knows_persona", "knows-population": "knows_population"}


def step(context: RunContext) -> None:
    """Score what an assistant says that knows the persona, and one that knows the population and reads on."""
    from engine.data.dataset import TRUTH
    from engine.lm.generate import Reply
    from engine.lm.load import load_base
    from engine.lm.scorer import Scorer
    from engine.strategies.steps.scoring import Answer, declare_protocol, example_set, write_scores

    context.progress("load", 0, 1)
    chosen = example_set(context)
    # The base takes no part, but its dtype and device belong to the protocol the others are scored under.
    protocol = declare_protocol(context, chosen, load_base(context.spec.base))
    integrity.refuse_changed(context.workspace, TRUTH)
    lines = read_text(context.workspace.dataset / TRUTH).split("\n")[:-1]
    truth = {record["example_id"]: record for record in map(json.loads, lines)}
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
    write_scores(context, answers, protocol, Scorer(context.workspace))


STRATEGY = Experiment(
    name="ceiling",
    title="Ceiling",
    family="ceiling",
    group="Bounds and controls",
    question="What would an assistant score that knows the persona, or only the population, perfectly?",
    makes="ceiling-persona, knows-population",
    step=step,
    stages={"load": 10.0, "score": 90.0},
    beside=("base",),
    applies=truth_needed,
    traits=Traits(answers=False, routable=False, serves_unseen=True),
)
