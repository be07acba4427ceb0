"""Trains the last of three stages, a persona's delta on her group's on unified; says what each stage adds.

Leaves stages.json in the run's folder: the val scores of the population's, the group's and her own stage.
"""

from typing import Any

from engine.core.paths import write_json
from engine.domains import metrics
from engine.lm.forms import LoraForm
from engine.runs import answers
from engine.runs.answers import by_answer
from engine.runs.context import RunContext
from engine.runs.runfolder import read_spec
from engine.strategies.steps.lessons import shape_of
from engine.strategies.steps.made import val_means
from engine.strategies.steps.train_adapters import train

STAGES = "stages.json"


def run(context: RunContext) -> None:
    """Train and score the persona's stage, then put the three beside each other."""
    scores = train(context, lambda base: LoraForm(base.model, shape_of(context)))
    ws, decides = context.workspace, metrics.primary(context.workspace)
    group = context.spec.upstream["below"]
    population = read_spec(ws.run_folder(group)).upstream["unified"]
    own = val_means(by_answer(scores[scores["metric"] == decides.name], decides))
    stages: list[dict[str, Any]] = []
    for stage, run_id in (("population", population), ("group", group), ("persona", context.spec.run_id)):
        found = own if run_id == context.spec.run_id else val_means(answers.read(ws, run_id).values(decides))
        for variant, mean in found.items():
            stages.append({"stage": stage, "run": run_id, "variant": variant, "val": mean})
            context.summary(**{f"val_{stage}": mean})
            context.log(f"{stage}: {variant} {decides.name} {mean:.4f} on val")
    write_json(context.folder / STAGES, {"metric": decides.name, "split": "val", "stages": stages})
