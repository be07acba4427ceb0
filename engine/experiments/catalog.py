"""The ONE registry of experiments. Owns what exists; plans and runs nothing, and imports no model code.

A new strategy is one entry here and one step.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.errors import unknown_name
from engine.experiments.spec import (
    Experiment,
    ListOf,
    Parameters,
    Upstream,
    character_needed,
    history_needed,
    truth_needed,
)

_PROMPT_STEP = "engine.steps.evaluate_prompt:run"
_SCORING = {"load": 3.0, "generate": 90.0, "score": 7.0}


class UnifiedParameters(Parameters):
    """How one LoRA adapter is trained on the train dialogues of all personas."""

    rank: int = Field(8, ge=1, le=256, description="Rank of the low-rank update.")
    alpha: float = Field(16, gt=0, le=1024, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the update, while training.")
    target_modules: ListOf[str] = Field(
        ["q_proj", "v_proj"], min_length=1, description="Linear layers of the base that get an update."
    )
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Peak learning rate of AdamW.")
    epochs: int = Field(3, ge=1, le=100, description="Passes over the train dialogues; the best one is kept.")
    warmup_share: float = Field(0.1, ge=0, le=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="Weight decay of AdamW.")
    batch_size: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Dialogues in one step; by default 1 to 8, fewer where data is scarce.",
    )
    max_grad_norm: float = Field(1.0, gt=0, le=1000, description="Gradients are clipped to this norm.")
    personas: int | None = Field(None, ge=1, description="Train on a seeded subset of so many personas only.")


class RetrievalParameters(Parameters):
    """How a persona's own past interactions are put into the prompt."""

    over: Literal["unified", "base"] = Field("unified", description="The variant that reads the memories.")
    k: ListOf[int] = Field(
        [0, 1, 3, 5], min_length=1, description="How many of the most similar past interactions to show."
    )


def _retrieval_needs(parameters: RetrievalParameters) -> tuple[Upstream, ...]:
    return (Upstream(role="over", experiment=parameters.over),)


_DECLARED = (
    Experiment(
        name="base",
        title="Base model",
        family="prompt",
        question="How well does the frozen base model answer, knowing nothing of the persona?",
        makes="base",
        step=_PROMPT_STEP,
        fixed={"profile": False},
        stages=_SCORING,
    ),
    Experiment(
        name="profile-prompt",
        title="Profile in the prompt",
        family="prompt",
        question="Does the persona's character text in the system prompt help the frozen base model?",
        makes="profile-prompt",
        step=_PROMPT_STEP,
        fixed={"profile": True},
        stages=_SCORING,
        beside=("base",),
        applies=character_needed,
    ),
    Experiment(
        name="unified",
        title="Unified LoRA",
        family="unified",
        question="How far does one adapter, trained on everybody's dialogues, carry?",
        makes="unified",
        step="engine.steps.train_lora:run",
        parameters=UnifiedParameters,
        stages={"load": 2.0, "train": 60.0, "generate": 35.0, "score": 3.0},
        beside=("base",),
    ),
    Experiment(
        name="retrieval",
        title="Retrieval from history",
        family="retrieval",
        question="Do the persona's own most similar past interactions in the prompt help?",
        makes="unified+retrieval-1, -3 and -5",
        step="engine.steps.evaluate_retrieval:run",
        parameters=RetrievalParameters,
        needs=_retrieval_needs,
        stages={"load": 3.0, "generate": 92.0, "score": 5.0},
        beside=("base",),
        applies=history_needed,
    ),
    Experiment(
        name="ceiling",
        title="Ceiling",
        family="ceiling",
        question="What would an assistant score that knows the persona, or the population, perfectly?",
        makes="ceiling-persona, ceiling-population",
        step="engine.steps.evaluate_ceiling:run",
        stages={"load": 10.0, "score": 90.0},
        beside=("base",),
        applies=truth_needed,
    ),
)

EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _DECLARED}


def get(name: str) -> Experiment:
    """Return the experiment of that name. Raises EngineError with the nearest known name."""
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]
