"""The persona's own past interactions in the prompt, found by a retriever, over any variant that reads."""

from typing import Annotated, Literal

from pydantic import Field

from engine.core.errors import EngineError
from engine.core.parameters import Parameters, SetOf
from engine.lm.effects import SIMILARITY, Prompt
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec
from engine.strategies.published import START
from engine.strategies.scorer import retrieves_blindly
from engine.strategies.spec import Experiment, Having, Preset, Traits, history_needed, named_by

RetrieverName = Literal["similarity", "bm25", "newest", "random"]
"""What makes one near the query; the newest is what is chosen by age alone."""


def remembering(name: RetrieverName, k: int, *, recency: float = 0.0, history: int | None = None) -> Prompt:
    """Return so many memories before the query, found by the retriever of that name."""
    return Prompt(False, k, 1.0, history) if name == "newest" else Prompt(False, k, recency, history, name)


class RetrievalParameters(Parameters):
    """How a persona's own past interactions are put into the prompt."""

    over: Annotated[str, Having("readable")] = Field(
        "unified", description="The experiment whose variant reads the memories."
    )
    k: SetOf[int] = Field(
        [0, 1, 3, 5], min_length=1, description="How many past interactions to show; each is a variant."
    )
    retriever: RetrieverName = Field(
        "similarity",
        description="What makes one near the query: the sentence encoder, shared words, its date, or chance.",
    )
    recency: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How much being recent counts beside being near when memories are chosen.",
    )
    history: int | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Choose from so many of her train dialogues only, the most recent ones.",
    )


def memories_of(spec: RunSpec) -> list[int]:
    """Return how many memories stand before the query in each of a run's variants."""
    shown: list[int] = spec.parameters["k"] if spec.experiment == STRATEGY.name else []
    return shown or [spec.parameters.get("memories", 0)]


def refuse_open_choice(spec: RunSpec) -> None:
    """Raise EngineError where the best of a run's variants would be built on, and val is not scored there."""
    if len(memories_of(spec)) > 1 and "val" not in spec.protocol["splits"]:
        raise EngineError(
            f"{spec.run_id} has several variants and no scores on val to choose by.",
            "Score them on val as well: --set splits=val,test",
        )


def step(context: RunContext) -> None:
    """Score "<over>+retrieval-k" for each k; k = 0 is the variant itself and scored only where it is not."""
    from engine.runs.runfolder import read_spec
    from engine.strategies.steps.made import made_by
    from engine.strategies.steps.scoring import score_variants

    context.progress("load", 0, 1)
    over, parameters = made_by(context, "over"), context.spec.parameters
    wanted, named = sorted(set(parameters["k"])), f"{over.name}+retrieval"
    told = {
        k: remembering(
            parameters.get("retriever", SIMILARITY),
            k,
            recency=parameters["recency"],
            history=parameters["history"],
        )
        for k in wanted
    }
    one = told[wanted[0]]
    named += f"-{one.retriever}" if one.retriever != SIMILARITY else ""
    named += f"-recent-{one.recency:g}" if one.recency else ""
    named += "" if one.history is None else f"-history-{one.history}"
    recipes = {f"{named}-{k}": over.recipe.showing(told[k]) for k in wanted}
    for variant, recipe in recipes.items():
        context.variant(variant, recipe.as_json(), family="retrieval")
    upstream = read_spec(context.workspace.run_folder(context.spec.upstream["over"]))
    if 0 in wanted and len(wanted) > 1 and upstream.protocol == context.spec.protocol:
        del recipes[f"{named}-0"]
    score_variants(context, recipes)


STRATEGY = Experiment(
    name="retrieval",
    title="Retrieval from history",
    family="retrieval",
    group="Without training",
    question="Do the persona's own most similar past interactions in the prompt help?",
    makes="unified+retrieval-1, -3 and -5",
    step=step,
    parameters=RetrievalParameters,
    needs=named_by(over="over"),
    stages={"load": 3.0, "memories": 20.0, "generate": 72.0, "score": 5.0},
    beside=("base", "unified"),
    applies=history_needed,
    outlook=retrieves_blindly,
    traits=Traits(personal=True, mixable=True, newcomers=True, serves_unseen=True, divides=("replies",)),
    space={"k": ([1], [3], [5], [8]), "retriever": ("similarity", "bm25"), "recency": (0.0, 0.2, 0.5)},
    presets=(
        Preset(
            "quick-start",
            "0, 1, 3 and 5 past interactions for unified",
            {"over": "unified", "k": [0, 1, 3, 5]},
            f"{START}, experiment 2.",
        ),
    ),
)
