"""More training dialogues for each persona, and the parameter by which others train on them."""

from pydantic import Field

from engine.core.errors import EngineError
from engine.core.parameters import ListOf, Parameters, SetOf
from engine.data.augment.methods import ALL_RULES, MODEL_METHODS, chosen_methods
from engine.strategies.ground import Ground
from engine.strategies.spec import Experiment, StepOf, Traits


class AugmentationParameters(Parameters):
    """How many dialogues are made, by what methods, and what is refused."""

    target: int = Field(
        100, ge=1, le=10_000, description="Dialogues of each persona in the end, her own train ones included."
    )
    multiple: int | None = Field(
        None,
        ge=2,
        le=100,
        description="Instead of the target, so many times the dialogues that are there (3: 2,160 to 6,480).",
    )
    methods: SetOf[str] = Field(
        [ALL_RULES],
        min_length=1,
        description="How dialogues are changed, in turn: rules (all of the domain's), single ones of them, "
        f"or by a model: {', '.join(MODEL_METHODS)}.",
    )
    threshold: float = Field(
        0.7,
        ge=-1,
        le=1,
        description="Least likeness (scorer's cosine) of a dialogue's most changed message to its source.",
    )
    resemblance: float = Field(
        0.95,
        gt=0,
        le=1,
        description="Share of common word pairs from which two dialogues are near-duplicates.",
    )
    language_model: str = Field(
        "workspace",
        description="For lm-paraphrase: the workspace's base, or another model that follows instructions.",
    )
    translators: ListOf[str] = Field(
        ["Helsinki-NLP/opus-mt-en-de", "Helsinki-NLP/opus-mt-de-en"],
        min_length=2,
        max_length=2,
        description="For back-translation: the MarianMT models there and back, folders or hub ids.",
    )


def _applies(parameters: AugmentationParameters, ground: Ground) -> None:
    chosen_methods(ground.domain, parameters.methods)
    wants_model = "lm-paraphrase" in parameters.methods and parameters.language_model == "workspace"
    if wants_model and ground.base == "embedded":
        raise EngineError(
            "The embedded base follows no instructions, so it cannot paraphrase.",
            "Name a model that does: --set language_model=Qwen/Qwen2.5-0.5B-Instruct (or a folder).",
        )


STRATEGY = Experiment(
    name="augmentation",
    title="Augmented dialogues",
    family="augmentation",
    group="More data",
    question="How far can each persona's training dialogues be multiplied and stay true to themselves?",
    makes="augmented.jsonl, augmentation.json",
    step=StepOf("augment"),
    parameters=AugmentationParameters,
    stages={"load": 3.0, "augment": 97.0},
    applies=_applies,
    traits=Traits(answers=False, routable=False),
)
