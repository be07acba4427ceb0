"""Networks that all share: from embeddings of a persona's history and character to what acts for her.

A prefix (after PPlug and PERSOMA) or a change of layers (after Profile-to-PEFT), trained on frozen unified.
Whom unified does not know, they do not know either, and serve all the same.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from engine.core.errors import EngineError
from engine.core.parameters import SetOf
from engine.core.wording import count
from engine.lm.layers import AUTO
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec
from engine.strategies.ground import Ground
from engine.strategies.spec import Experiment, InName, Traits, Wish, character_needed, history_needed
from engine.strategies.trained import STAGES, ScheduleParameters, on_unified, on_usual_layers


class NetworkParameters(ScheduleParameters):
    """What a network reads of a persona, how much it may say of her, and when its training stops."""

    features: Annotated[Literal["character", "history", "both"], InName("from-{}")] = Field(
        "both", description="It reads her character text, the replies of her train dialogues, or both."
    )
    history: int | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Read so many of each persona's train dialogues only, the most recent ones.",
    )
    held_out: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of the personas that are never trained on: their loss chooses when to stop.",
    )
    code: int = Field(16, ge=1, le=256, description="How many numbers tell a persona from another.")
    epochs: int = Field(
        20, ge=1, le=100, description="At most so many passes over the train dialogues; the best one is kept."
    )


class ProjectorParameters(NetworkParameters):
    """A network whose answer is a prefix."""

    learning_rate: float = Field(2e-3, gt=0, le=1, description="Peak learning rate of AdamW.")
    length: int = Field(8, ge=1, le=512, description="Positions of keys and values before the prompt.")


class TrainedHypernetworkParameters(NetworkParameters):
    """A network whose answer is a weighted sum of low-rank changes that are trained with it."""

    rank: int = Field(2, ge=1, le=256, description="Rank of each of the changes that are summed.")
    alpha: float = Field(4, gt=0, le=1024, description="Each change is scaled by alpha / rank.")
    target_modules: SetOf[str] = Field(
        [AUTO],
        min_length=1,
        description="Linear layers of the base that get an update; auto: the usual ones of its architecture.",
    )
    learning_rate: float = Field(2e-4, gt=0, le=1, description="Peak learning rate of AdamW.")


def _applies(parameters: NetworkParameters, ground: Ground) -> None:
    if parameters.features != "character":
        history_needed(parameters, ground)
    if parameters.features == "character" or (parameters.features == "both" and parameters.history == 0):
        character_needed(parameters, ground)
    if parameters.features == "history" and parameters.history == 0:
        raise EngineError(
            "Of no history nothing can be read.", "Read the character text too: --set features=both"
        )


def _holds_out(wish: Wish) -> None:
    """Raise EngineError where unified cannot know enough personas."""
    known = wish.ground.personas - wish.ground.unseen
    told_apart(min(known, wish.upstream["unified"].parameters.get("personas") or known), wish.spec)


def told_apart(known: int, spec: RunSpec) -> int:
    """Return how many of so many personas are held out. Raises EngineError where too few are left."""
    share = spec.parameters["held_out"]
    held_out = max(1, round(share * known))
    if known - held_out < 2:
        less = f", or hold fewer out: --set held_out={1 / known:.1g}" if known > 2 and held_out > 1 else ""
        raise EngineError(
            f"Unified knows {count(known, 'persona')}, too few to train on some and to hold others out.",
            f"Import more personas{less}",
        )
    return held_out


def project(context: RunContext) -> None:
    """Train the projector and score its variant."""
    from engine.lm.persona_network import ProjectorForm
    from engine.strategies.steps.lessons import prefix_form
    from engine.strategies.steps.network import run

    size = context.spec.parameters["code"]
    run(context, lambda base, known: ProjectorForm(prefix_form(context, base), known, size))


def predict(context: RunContext) -> None:
    """Train the hypernetwork and score its variant."""
    from engine.lm.persona_network import MixtureForm
    from engine.strategies.steps.lessons import shape_of
    from engine.strategies.steps.network import run

    size = context.spec.parameters["code"]
    run(context, lambda base, known: MixtureForm(base.model, shape_of(context), known, size))


def _network(name: str, **more: Any) -> Experiment:
    return Experiment(
        name=name,
        family="network",
        group="From profile and history",
        makes=name,
        version=2,  # since then codes begin along what tells the personas apart
        needs=on_unified,
        stages=STAGES,
        beside=("base",),
        applies=_applies,
        fits=_holds_out,
        traits=Traits(
            personal=True, readable=True, mixable=True, newcomers=True, serves_unseen=True, trains=True
        ),
        **more,
    )


STRATEGIES = (
    _network(
        "projected-profile",
        title="Profile projected to a prefix",
        question="Can one network turn what is known of a persona into a prefix that serves her?",
        parameters=ProjectorParameters,
        step=project,
        space={
            "learning_rate": (5e-4, 1e-3, 2e-3, 4e-3),
            "code": (4, 16, 64),
            "length": (4, 8, 16),
            "features": ("history", "both"),
        },
    ),
    _network(
        "hypernetwork-trained",
        title="Adapter predicted by a trained network",
        question="Can one network, trained end to end, turn what is known of a persona into her adapter?",
        parameters=TrainedHypernetworkParameters,
        step=predict,
        settle=on_usual_layers,
        settles=("target_modules",),
        space={
            "learning_rate": (1e-4, 2e-4, 5e-4, 1e-3),
            "code": (4, 16, 64),
            "rank": (1, 2, 4),
            "features": ("history", "both"),
        },
    ),
)
