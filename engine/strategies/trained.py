"""What strategies that train share: the forms of their parameters, and how they are declared.

A strategy's own file says what is trained, on whom, and upon what; engine/strategies/steps/train_adapters.py
does it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from engine.core.base_folder import base_on_disk
from engine.core.command import typed
from engine.core.errors import EngineError
from engine.lm.layers import AUTO, AUTO_ONE, chosen_layers
from engine.lm.shape import LoraShape
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec
from engine.strategies.ground import Ground
from engine.strategies.spec import Experiment, Parameters, Traits, Upstream, history_needed

AUGMENTED = "augmented"
"""The role under which a training run finds the augmentation it takes dialogues from."""
_LORA_TRAINING = 1
"""Raised when training LoRAs gives other weights for the same parameters (last: how dropout is drawn)."""
STAGES = {"load": 2.0, "train": 70.0, "generate": 25.0, "score": 3.0}
ALIKE = Traits(readable=True, mixable=True, serves_unseen=True, divides=("training", "replies"))
"""One adapter for everybody."""
PERSONAL = Traits(personal=True, readable=True, mixable=True, trains=True, divides=("training", "replies"))
"""Adapters that differ from persona to persona."""
LIBRARY = replace(PERSONAL, library=True)
"""LoRAs for personas or for groups of them, all begun alike."""
MERGEABLE = replace(LIBRARY, mergeable=True)
"""A LoRA of her own for each persona, all begun alike."""


class ScheduleParameters(Parameters):
    """How long, how fast and how evenly something is trained."""

    rare: ClassVar[frozenset[str]] = frozenset(
        {"dropout", "target_modules", "warmup_share", "weight_decay", "batch_size", "max_grad_norm"}
        | {"patience", "l2", "l2_toward", "use_augmented", "use_online"}
    )
    learning_rate: float = Field(5e-4, gt=0, le=1, description="Peak learning rate of AdamW.")
    epochs: int = Field(
        10, ge=1, le=100, description="At most so many passes over the train dialogues; the best one is kept."
    )
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
        2,
        ge=1,
        le=100,
        description="An adapter stops after so many epochs without a better validation loss of its own; "
        "null: it goes on to the last.",
    )
    l2: float = Field(0.0, ge=0, le=100, description="Weight of the L2 penalty that pulls weights to zero.")


class TrainingParameters(ScheduleParameters):
    """How adapters are trained on the train dialogues of the personas that share them."""

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


def other_shape(start: RunSpec) -> EngineError:
    """Return the refusal to begin as the adapter of a run that was trained in another shape."""
    theirs = " ".join(
        f"--set {name}={typed(start.parameters[name])}" for name in ("rank", "alpha", "target_modules")
    )
    return EngineError(
        f"The adapter of {start.run_id} has another shape than this run asks for.",
        f"Ask for the one that it was trained with: {theirs}",
    )


def on_unified(_: Any) -> tuple[Upstream, ...]:
    return (Upstream(role="unified", experiment="unified"),)


def toward_unified(parameters: OwnLoraParameters) -> tuple[Upstream, ...]:
    near = parameters.l2_toward == "unified"
    return (Upstream(role="toward", experiment="unified"),) if near else ()


def on_usual_layers(parameters: LoraParameters, ground: Ground) -> LoraParameters:
    """Return the parameters with the layers named that they mean on this base.

    Raises EngineError for one that the base has not got. Of a hub model that is not on this machine yet,
    only what is given is known.
    """
    folder = base_on_disk(ground.base)
    asked = parameters.target_modules
    if folder is not None:
        return parameters.model_copy(update={"target_modules": chosen_layers(folder, asked)})
    if asked in ([AUTO], [AUTO_ONE]):
        raise EngineError(
            f"The base model {ground.base} is not on this machine yet, so its layers are not known.",
            f"Fetch and probe it: python -m engine base probe {ground.base}",
        )
    return parameters


def train_lora(context: RunContext) -> None:
    """The step of strategies that train LoRA adapters of the shape that their parameters name."""
    from engine.lm.forms import LoraForm
    from engine.strategies.steps.lessons import shape_of
    from engine.strategies.steps.train_adapters import train

    train(context, lambda base: LoraForm(base.model, shape_of(context)))


def train_prefix(context: RunContext) -> None:
    """The step of strategies that train prefixes of the length that their parameters name."""
    from engine.strategies.steps.lessons import prefix_form
    from engine.strategies.steps.train_adapters import train

    train(context, lambda base: prefix_form(context, base))


def trained(
    name: str,
    *,
    title: str,
    question: str,
    parameters: type[ScheduleParameters],
    step: Callable[[RunContext], None],
    by: Literal["all", "cluster", "persona"] = "persona",
    family: str | None = None,
    traits: Traits = PERSONAL,
    fixed: dict[str, Any] | None = None,
    **more: Any,
) -> Experiment:
    """Declare a strategy that trains one effect for all, for each cluster or for each persona."""
    usual: dict[str, Any] = {"beside": ("base", "unified")}
    if issubclass(parameters, LoraShape):
        usual |= {"settle": on_usual_layers, "settles": ("target_modules",)}
        usual["version"] = more.pop("version", 1) + _LORA_TRAINING
    if by != "all":
        usual["applies"] = history_needed
    own = more.pop("needs", lambda _: ())
    rate = parameters.model_fields["learning_rate"].default
    space = {"learning_rate": tuple(rate * factor for factor in (0.25, 0.5, 1, 2, 4)), "epochs": (1, 2, 3, 5)}
    if issubclass(parameters, LoraShape):
        space["rank"] = (2, 4, 8, 16)
    if issubclass(parameters, PrefixParameters):
        space["length"] = (5, 10, 20, 40)
    usual["space"] = space

    def needs(given: Any) -> tuple[Upstream, ...]:
        grown = getattr(given, "use_augmented", False)
        more = (Upstream(role=AUGMENTED, experiment="augmentation"),) if grown else ()
        return (*own(given), *more)

    return Experiment(
        name=name,
        title=title,
        family=family or name,
        question=question,
        makes=more.pop("makes", name),
        step=step,
        needs=needs,
        parameters=parameters,
        fixed={"by": by, "family": family or name, **(fixed or {})},
        stages=STAGES,
        traits=traits,
        **{**usual, **more},
    )
