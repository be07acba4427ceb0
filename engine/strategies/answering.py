"""The experiments that answer in another way with what is there: retrieval, mixture, placebo.

Declarations only; catalog.py is the registry that takes them in.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.strategies.spec import Experiment, Parameters, SetOf, Upstream, history_needed

Adapted = Literal[
    "unified",
    "base",
    "per-persona",
    "hybrid",
    "constrained",
    "online",
    "prefix",
    "prefix-unified",
    "global-prefix",
    "cluster",
    "cluster-from-unified",
    "merge-average",
    "merge-cluster",
    "merge-weighted",
    "merge-moe",
    "merge-topk",
    "merge-soft",
    "merge-learned",
]
"""Experiments that make one variant of adapters, or of none."""
Readable = Literal[Adapted, "mixture", "routing"]
"""Experiments whose variant can read memories."""
Answering = Literal[Adapted, "profile-prompt", "retrieval", "routing"]
"""All but mixtures themselves, of which a mixture would need a second run."""
Personal = Literal[
    "per-persona",
    "hybrid",
    "constrained",
    "online",
    "prefix",
    "prefix-unified",
    "cluster",
    "cluster-from-unified",
    "merge-cluster",
    "merge-weighted",
    "merge-moe",
    "merge-topk",
    "merge-soft",
    "merge-learned",
    "profile-prompt",
    "retrieval",
    "mixture",
    "routing",
]
"""Experiments whose variants answer different personas differently."""

Share = Annotated[float, Field(ge=0, le=1)]
_SCORING = {"load": 3.0, "generate": 92.0, "score": 5.0}


class RetrievalParameters(Parameters):
    """How a persona's own past interactions are put into the prompt."""

    over: Readable = Field("unified", description="The experiment whose variant reads the memories.")
    k: SetOf[int] = Field(
        [0, 1, 3, 5], min_length=1, description="How many past interactions to show; each is a variant."
    )
    recency: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How much being recent counts beside being similar when memories are chosen.",
    )


class MixtureParameters(Parameters):
    """Which two variants answer together, and with which weight."""

    first: Answering = Field("unified", description="The experiment whose variant has the weight.")
    second: Answering = Field("cluster", description="The experiment whose variant has the rest.")
    weights: SetOf[Share] = Field(
        [0.6],
        min_length=1,
        description="The first one's share of the probabilities; of several the best on val is kept.",
    )


class PlaceboParameters(Parameters):
    """Whose placebo."""

    of: Personal = Field("per-persona", description="The experiment whose variant is answered as another.")
    k: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="With retrieval: the variant with so many memories; by default the best on val.",
    )
    over: Readable | None = Field(
        None, description="With retrieval: the experiment it reads over; by default the usual run's."
    )


def _retrieval_needs(parameters: RetrievalParameters) -> tuple[Upstream, ...]:
    return (Upstream(role="over", experiment=parameters.over),)


def _mixture_needs(parameters: MixtureParameters) -> tuple[Upstream, ...]:
    return (
        Upstream(role="first", experiment=parameters.first),
        Upstream(role="second", experiment=parameters.second),
    )


def _placebo_needs(parameters: PlaceboParameters) -> tuple[Upstream, ...]:
    which = {"over": parameters.over} if parameters.of == "retrieval" and parameters.over else {}
    return (Upstream(role="of", experiment=parameters.of, parameters=which, same_protocol=True),)


ANSWERING = (
    Experiment(
        name="retrieval",
        title="Retrieval from history",
        family="retrieval",
        question="Do the persona's own most similar past interactions in the prompt help?",
        makes="unified+retrieval-1, -3 and -5",
        step="engine.strategies.steps.evaluate_retrieval:run",
        parameters=RetrievalParameters,
        needs=_retrieval_needs,
        stages=_SCORING,
        beside=("base", "unified"),
        applies=history_needed,
    ),
    Experiment(
        name="mixture",
        title="Mixture of two variants",
        family="mixture",
        question="Do two variants answer better together, their probabilities added token by token?",
        makes="mixture-0.6",
        step="engine.strategies.steps.mix:run",
        parameters=MixtureParameters,
        needs=_mixture_needs,
        stages={"load": 3.0, "sweep": 60.0, "generate": 32.0, "score": 5.0},
        beside=("base", "unified"),
        applies=history_needed,
    ),
    Experiment(
        name="placebo",
        title="Placebo: answered as another",
        family="placebo",
        question="Does a personalised variant beat itself with another persona's adapter or memories?",
        makes="per-persona~placebo",
        step="engine.strategies.steps.placebo:run",
        parameters=PlaceboParameters,
        needs=_placebo_needs,
        stages=_SCORING,
        beside=("base", "unified"),
        applies=history_needed,
    ),
)
