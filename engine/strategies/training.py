"""The experiments that train adapters: for all, for clusters, for each persona; LoRA and prefix.

Declarations only; catalog.py is the registry that takes them in.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from engine.strategies.spec import Experiment, Parameters, SetOf, Upstream, history_needed

_STEP = "engine.strategies.steps.train_adapters:run"
_STAGES = {"load": 2.0, "train": 70.0, "generate": 25.0, "score": 3.0}


class LoraShape(Parameters):
    """The shape of a LoRA adapter."""

    rank: int = Field(8, ge=1, le=256, description="Rank of the low-rank update.")
    alpha: float = Field(16, gt=0, le=1024, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the update, while training.")
    target_modules: SetOf[str] = Field(
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
    personas: int | None = Field(
        None, ge=1, description="A pilot: train adapters for a seeded subset of so many personas only."
    )
    history: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Train on so many of each persona's dialogues only, the most recent ones.",
    )
    use_augmented: bool = Field(
        False, description="Train on what an augmentation run made of these dialogues too; val and test stay."
    )


class HistoryParameters(TrainingParameters):
    """Training on the train dialogues, with their online slice or without it."""

    use_online: bool = Field(
        True, description="Whether the online slice, the last dialogues of train, is trained on too."
    )


class LoraParameters(HistoryParameters, LoraShape):
    """LoRA adapters: their shape, then their training."""


class OwnLoraParameters(LoraParameters):
    """LoRA adapters from the base, which the L2 penalty may keep near the unified one."""

    l2_toward: Literal["zero", "unified"] = Field(
        "zero",
        description="Where the L2 penalty pulls: weights to zero, or each layer's change to unified's.",
    )

    @field_validator("l2_toward")
    @classmethod
    def _pulls(cls, value: str, seen: ValidationInfo) -> str:
        if value == "unified" and seen.data.get("l2") == 0:
            raise ValueError("nothing pulls while l2 is 0; give a weight, such as l2=0.1")
        return value


class PrefixParameters(HistoryParameters):
    """Key-value prefixes: trained positions before the prompt."""

    learning_rate: float = Field(0.01, gt=0, le=1, description="Peak learning rate of AdamW.")
    length: int = Field(20, ge=1, le=512, description="Positions of keys and values before the prompt.")


class ConstrainedParameters(OwnLoraParameters):
    """Small adapters that are held back on every side, against overfitting on few dialogues."""

    rank: int = Field(4, ge=1, le=256, description="Rank of the low-rank update.")
    alpha: float = Field(8, gt=0, le=1024, description="The update is scaled by alpha / rank.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the update, while training.")
    target_modules: SetOf[str] = Field(
        ["q_proj"], min_length=1, description="Linear layers of the base that get an update."
    )
    weight_decay: float = Field(0.05, ge=0, le=1, description="Weight decay of AdamW.")
    l2: float = Field(0.01, ge=0, le=100, description="Weight of the L2 penalty that pulls weights to zero.")


class ClusterParameters(OwnLoraParameters):
    """How one LoRA adapter a cluster is trained."""

    cluster: int | None = Field(None, ge=0, description="Train and score this cluster only; by default all.")


class FromUnifiedParameters(ClusterParameters):
    """How a cluster's adapter begins at the unified one."""

    start: Literal["delta", "weights"] = Field(
        "delta",
        description="A delta beside the frozen unified adapter, or one adapter that begins as its weights.",
        validate_default=True,
    )

    @field_validator("start")
    @classmethod
    def _pulls_what_is_whole(cls, value: str, seen: ValidationInfo) -> str:
        if value == "delta" and seen.data.get("l2_toward") == "unified":
            raise ValueError("a delta is pulled to unified by l2_toward=zero; start=weights needs the other")
        return value


class OnlineParameters(TrainingParameters):
    """How each persona's adapter is continued on her online slice."""

    over: Literal["per-persona", "hybrid"] = Field(
        "per-persona", description="The experiment whose adapters, trained without the slice, go on."
    )
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Peak learning rate of AdamW.")
    epochs: int = Field(1, ge=1, le=100, description="Passes over the online slice; the best one is kept.")


def _on_unified(_: Any) -> tuple[Upstream, ...]:
    return (Upstream(role="unified", experiment="unified"),)


def _toward(parameters: OwnLoraParameters) -> tuple[Upstream, ...]:
    near = parameters.l2_toward == "unified"
    return (Upstream(role="toward", experiment="unified"),) if near else ()


def _clusters(parameters: ClusterParameters) -> tuple[Upstream, ...]:
    return (Upstream(role="clusters", experiment="clustering"), *_toward(parameters))


def _clusters_from_unified(parameters: FromUnifiedParameters) -> tuple[Upstream, ...]:
    role = "unified" if parameters.start == "delta" else "start"
    return (Upstream(role=role, experiment="unified"), *_clusters(parameters))


def _earlier(parameters: OnlineParameters) -> tuple[Upstream, ...]:
    return (Upstream(role="start", experiment=parameters.over, parameters={"use_online": False}),)


TRAINING = (
    Experiment(
        name="unified",
        title="Unified LoRA",
        family="unified",
        question="How far does one adapter, trained on everybody's dialogues, carry?",
        makes="unified",
        step=_STEP,
        parameters=LoraParameters,
        version=2,
        fixed={"by": "all", "family": "unified"},
        stages=_STAGES,
        beside=("base",),
    ),
    Experiment(
        name="per-persona",
        title="Per-persona LoRA",
        family="per-persona",
        question="Does an adapter of her own, trained on her dialogues alone, serve each persona best?",
        makes="per-persona",
        step=_STEP,
        parameters=OwnLoraParameters,
        fixed={"by": "persona", "family": "per-persona"},
        needs=_toward,
        stages=_STAGES,
        beside=("base", "unified"),
        applies=history_needed,
    ),
    Experiment(
        name="hybrid",
        title="Hybrid: own delta on unified",
        family="hybrid",
        question="Does a small adapter of her own on top of the frozen unified one add what is personal?",
        makes="hybrid",
        step=_STEP,
        parameters=LoraParameters,
        fixed={"by": "persona", "family": "hybrid"},
        needs=_on_unified,
        stages=_STAGES,
        beside=("base",),
        applies=history_needed,
    ),
    Experiment(
        name="prefix",
        title="Per-persona prefix",
        family="prefix",
        question="Do some trained positions of her own before the prompt serve a persona as well as a LoRA?",
        makes="prefix",
        step=_STEP,
        parameters=PrefixParameters,
        fixed={"by": "persona", "family": "prefix"},
        stages=_STAGES,
        beside=("base", "unified"),
        applies=history_needed,
    ),
    Experiment(
        name="global-prefix",
        title="Global prefix",
        family="prefix",
        question="How far does one prefix, trained on everybody's dialogues, carry beside one LoRA?",
        makes="global-prefix",
        step=_STEP,
        parameters=PrefixParameters,
        fixed={"by": "all", "family": "prefix"},
        stages=_STAGES,
        beside=("base", "unified"),
    ),
    Experiment(
        name="prefix-unified",
        title="Prefix on unified",
        family="prefix",
        question="Does a prefix of her own in front of the frozen unified model add what is personal?",
        makes="prefix-unified",
        step=_STEP,
        parameters=PrefixParameters,
        fixed={"by": "persona", "family": "prefix"},
        needs=_on_unified,
        stages=_STAGES,
        beside=("base",),
        applies=history_needed,
    ),
    Experiment(
        name="constrained",
        title="Constrained per-persona LoRA",
        family="per-persona",
        question="Do smaller, held-back adapters of their own avoid the losses of per-persona LoRA?",
        makes="constrained",
        step=_STEP,
        parameters=ConstrainedParameters,
        fixed={"by": "persona", "family": "per-persona"},
        needs=_toward,
        stages=_STAGES,
        beside=("base", "unified"),
        applies=history_needed,
    ),
    Experiment(
        name="cluster",
        title="Cluster LoRA",
        family="cluster",
        question="Do personas who resemble each other share an adapter better than all together?",
        makes="cluster",
        step=_STEP,
        parameters=ClusterParameters,
        fixed={"by": "cluster", "family": "cluster"},
        needs=_clusters,
        stages=_STAGES,
        beside=("base", "unified"),
        applies=history_needed,
    ),
    Experiment(
        name="cluster-from-unified",
        title="Cluster LoRA on unified",
        family="cluster",
        question="Does an adapter for each cluster that builds on the unified one add what its type shares?",
        makes="cluster-from-unified",
        step=_STEP,
        parameters=FromUnifiedParameters,
        fixed={"by": "cluster", "family": "cluster"},
        needs=_clusters_from_unified,
        stages=_STAGES,
        beside=("base",),
        applies=history_needed,
    ),
    Experiment(
        name="online",
        title="Micro-updates on the newest dialogues",
        family="per-persona",
        question="Do a few steps on her newest dialogues bring a persona's adapter up to date?",
        makes="online",
        step=_STEP,
        parameters=OnlineParameters,
        fixed={"by": "persona", "family": "per-persona", "train_on": "online"},
        needs=_earlier,
        stages=_STAGES,
        beside=("base", "unified"),
        applies=history_needed,
    ),
)
