"""The ONE registry of experiments. Owns what exists; plans and runs nothing, and imports no model code.

A new strategy is one entry here and one step.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from engine.errors import unknown_name
from engine.experiments.combining import COMBINING
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
_TRAIN_STEP = "engine.steps.train_adapters:run"
_SCORING = {"load": 3.0, "generate": 90.0, "score": 7.0}
_TRAINING = {"load": 2.0, "train": 70.0, "generate": 25.0, "score": 3.0}


class LoraShape(Parameters):
    """The shape of a LoRA adapter."""

    rank: int = Field(8, ge=1, le=256, description="Rank of the low-rank update.")
    alpha: float = Field(16, gt=0, le=1024, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the update, while training.")
    target_modules: ListOf[str] = Field(
        ["q_proj", "v_proj"], min_length=1, description="Linear layers of the base that get an update."
    )


class TrainingParameters(Parameters):
    """How adapters are trained on the train dialogues of the personas that share them."""

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
    patience: int | None = Field(
        None,
        ge=1,
        le=100,
        description="An adapter stops after so many epochs without a better validation loss of its own.",
    )
    l2: float = Field(0.0, ge=0, le=100, description="Weight of the L2 penalty that pulls weights to zero.")
    personas: int | None = Field(None, ge=1, description="Train on a seeded subset of so many personas only.")


class LoraParameters(TrainingParameters, LoraShape):
    """LoRA adapters: their shape, then their training."""


class PrefixParameters(TrainingParameters):
    """Key-value prefixes: trained positions before the prompt."""

    learning_rate: float = Field(0.01, gt=0, le=1, description="Peak learning rate of AdamW.")
    length: int = Field(20, ge=1, le=512, description="Positions of keys and values before the prompt.")


class ConstrainedParameters(LoraParameters):
    """Small adapters that are held back on every side, against overfitting on few dialogues."""

    rank: int = Field(4, ge=1, le=256, description="Rank of the low-rank update.")
    alpha: float = Field(8, gt=0, le=1024, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the update, while training.")
    target_modules: ListOf[str] = Field(
        ["q_proj"], min_length=1, description="Linear layers of the base that get an update."
    )
    weight_decay: float = Field(0.05, ge=0, le=1, description="Weight decay of AdamW.")
    l2: float = Field(0.01, ge=0, le=100, description="Weight of the L2 penalty that pulls weights to zero.")


class ClusterParameters(LoraParameters):
    """How one LoRA adapter a cluster is trained."""

    cluster: int | None = Field(None, ge=0, description="Train and score this cluster only; by default all.")


class RetrievalParameters(Parameters):
    """How a persona's own past interactions are put into the prompt."""

    over: Literal["unified", "base"] = Field("unified", description="The variant that reads the memories.")
    k: ListOf[int] = Field(
        [0, 1, 3, 5], min_length=1, description="How many of the most similar past interactions to show."
    )


def _on_unified(_: Any) -> tuple[Upstream, ...]:
    return (Upstream(role="unified", experiment="unified"),)


def _from_clusters(_: Any) -> tuple[Upstream, ...]:
    return (Upstream(role="clusters", experiment="clustering"),)


def _from_clusters_on_unified(_: Any) -> tuple[Upstream, ...]:
    return (*_on_unified(_), *_from_clusters(_))


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
        step=_TRAIN_STEP,
        parameters=LoraParameters,
        version=2,
        fixed={"by": "all", "family": "unified"},
        stages=_TRAINING,
        beside=("base",),
    ),
    Experiment(
        name="per-persona",
        title="Per-persona LoRA",
        family="per-persona",
        question="Does an adapter of her own, trained on her dialogues alone, serve each persona best?",
        makes="per-persona",
        step=_TRAIN_STEP,
        parameters=LoraParameters,
        fixed={"by": "persona", "family": "per-persona"},
        stages=_TRAINING,
        beside=("base", "unified"),
        applies=history_needed,
    ),
    Experiment(
        name="hybrid",
        title="Hybrid: own delta on unified",
        family="hybrid",
        question="Does a small adapter of her own on top of the frozen unified one add what is personal?",
        makes="hybrid",
        step=_TRAIN_STEP,
        parameters=LoraParameters,
        fixed={"by": "persona", "family": "hybrid"},
        needs=_on_unified,
        stages=_TRAINING,
        beside=("base",),
        applies=history_needed,
    ),
    Experiment(
        name="prefix",
        title="Per-persona prefix",
        family="prefix",
        question="Do some trained positions of her own before the prompt serve a persona as well as a LoRA?",
        makes="prefix",
        step=_TRAIN_STEP,
        parameters=PrefixParameters,
        fixed={"by": "persona", "family": "prefix"},
        stages=_TRAINING,
        beside=("base", "unified"),
        applies=history_needed,
    ),
    Experiment(
        name="global-prefix",
        title="Global prefix",
        family="prefix",
        question="How far does one prefix, trained on everybody's dialogues, carry beside one LoRA?",
        makes="global-prefix",
        step=_TRAIN_STEP,
        parameters=PrefixParameters,
        fixed={"by": "all", "family": "prefix"},
        stages=_TRAINING,
        beside=("base", "unified"),
    ),
    Experiment(
        name="prefix-unified",
        title="Prefix on unified",
        family="prefix",
        question="Does a prefix of her own in front of the frozen unified model add what is personal?",
        makes="prefix-unified",
        step=_TRAIN_STEP,
        parameters=PrefixParameters,
        fixed={"by": "persona", "family": "prefix"},
        needs=_on_unified,
        stages=_TRAINING,
        beside=("base",),
        applies=history_needed,
    ),
    Experiment(
        name="constrained",
        title="Constrained per-persona LoRA",
        family="per-persona",
        question="Do smaller, held-back adapters of their own avoid the losses of per-persona LoRA?",
        makes="constrained",
        step=_TRAIN_STEP,
        parameters=ConstrainedParameters,
        fixed={"by": "persona", "family": "per-persona"},
        stages=_TRAINING,
        beside=("base", "unified"),
        applies=history_needed,
    ),
    Experiment(
        name="cluster",
        title="Cluster LoRA",
        family="cluster",
        question="Do personas who resemble each other share an adapter better than all together?",
        makes="cluster",
        step=_TRAIN_STEP,
        parameters=ClusterParameters,
        fixed={"by": "cluster", "family": "cluster"},
        needs=_from_clusters,
        stages=_TRAINING,
        beside=("base", "unified"),
        applies=history_needed,
    ),
    Experiment(
        name="cluster-from-unified",
        title="Cluster LoRA on unified",
        family="cluster",
        question="Does a delta for each cluster upon the frozen unified adapter add what its type shares?",
        makes="cluster-from-unified",
        step=_TRAIN_STEP,
        parameters=ClusterParameters,
        fixed={"by": "cluster", "family": "cluster"},
        needs=_from_clusters_on_unified,
        stages=_TRAINING,
        beside=("base",),
        applies=history_needed,
    ),
    *COMBINING,
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
