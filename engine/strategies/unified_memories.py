"""One adapter for everybody that reads: trained and answering with a persona's own memories in the prompt.

The retrieval-augmented baseline of LaMP. At training a dialogue's memories are of what came before it alone.
Retrieval by other means goes over it as over any variant: --set over=unified-memories.
"""

from typing import Annotated

from pydantic import Field

from engine.lm.shape import LoraShape
from engine.strategies.retrieval import RetrieverName
from engine.strategies.scorer import retrieves_blindly
from engine.strategies.spec import InName, Traits, history_needed
from engine.strategies.trained import ScheduleParameters, train_lora, trained


class ReadingParameters(ScheduleParameters, LoraShape):
    """Which memories stand in the prompt, then the adapter that is trained to read them."""

    memories: Annotated[int, InName()] = Field(
        3, ge=1, le=100, description="How many past interactions stand before each query, at training too."
    )
    retriever: Annotated[RetrieverName, InName()] = Field(
        "similarity",
        description="What makes one near the query: the sentence encoder, shared words, its date, or chance.",
    )
    history: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Train on, and remember, so many of each persona's dialogues only, the most recent ones.",
    )


STRATEGY = trained(
    "unified-memories",
    title="Unified LoRA that reads memories",
    question="Do memories help one adapter for everybody that was trained to read them?",
    parameters=ReadingParameters,
    step=train_lora,
    by="all",
    family="retrieval",
    traits=Traits(
        personal=True, readable=True, mixable=True, serves_unseen=True, divides=("training", "replies")
    ),
    group="From profile and history",
    applies=history_needed,
    outlook=retrieves_blindly,
)
