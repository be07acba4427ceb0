"""A large model elsewhere answers: any OpenAI-compatible endpoint, or Anthropic's API.

What it costs and whether it may start: engine/strategies/steps/estimate.py.
"""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from engine.core.parameters import Parameters
from engine.core.paths import Workspace
from engine.lm.remote.endpoint import Provider, check_address
from engine.runs.runfolder import RunSpec
from engine.strategies.ground import Ground
from engine.strategies.spec import Experiment, Outlook, StepOf, Traits, character_needed, history_needed


def _or_none(value: Any) -> Any:
    return (value.strip() or None) if isinstance(value, str) else value


class FrontierParameters(Parameters):
    """Which model is asked, what it is shown of a persona, and how fast and dear it may be."""

    rare: ClassVar[frozenset[str]] = frozenset(
        {"price_in", "price_out", "requests_per_minute", "at_once", "timeout_seconds", "retries"}
    )
    provider: Provider = Field("openai-compatible", description="Whose protocol the endpoint speaks.")
    model: str = Field("", max_length=200, description="The model's name, as its endpoint knows it.")
    base_url: Annotated[str | None, BeforeValidator(_or_none)] = Field(
        None,
        max_length=500,
        description="The endpoint's address, such as http://localhost:8000/v1; by default its provider's.",
    )
    profile: bool = Field(False, description="Show the persona's character text: it leaves this machine.")
    memories: int = Field(
        0,
        ge=0,
        le=100,
        description="How many of the persona's past interactions to show: they leave this machine.",
    )
    temperature: float | None = Field(
        0.0, ge=0, le=2, description="0 for the likeliest words; null for models that take no temperature."
    )
    max_output_tokens: int | None = Field(
        None,
        ge=1,
        le=65536,
        description="The longest reply in the model's tokens, thinking included; by default max_new_tokens.",
    )
    personas: int | None = Field(
        None, ge=1, description="A pilot: ask for a seeded subset of so many personas only."
    )
    price_in: float | None = Field(
        None, ge=0, description="Money for a million tokens in, as your provider says; unknown by default."
    )
    price_out: float | None = Field(
        None, ge=0, description="Money for a million tokens out, as your provider says; unknown by default."
    )
    budget: float | None = Field(
        None, gt=0, description="Do not start a run that may cost more, and stop before it does."
    )
    requests_per_minute: float = Field(
        60.0, gt=0, le=100_000, description="How many requests a minute may begin, at most."
    )
    at_once: int = Field(4, ge=1, le=256, description="How many requests may be under way at a time.")
    timeout_seconds: float = Field(
        120.0, gt=0, le=3600, description="How long to wait for one reply before trying again."
    )
    retries: int = Field(
        4, ge=0, le=20, description="How often a request is repeated when the endpoint is busy or fails."
    )


def _can_be_asked(parameters: FrontierParameters, ground: Ground) -> None:
    check_address(parameters.base_url)
    if parameters.profile:
        character_needed(parameters, ground)
    if parameters.memories:
        history_needed(parameters, ground)


def outlook(ws: Workspace, spec: RunSpec) -> Outlook:
    """Say what a launch would cost and send where, and what stands in its way."""
    from engine.strategies.steps.estimate import outlook

    return outlook(ws, spec)


STRATEGY = Experiment(
    name="frontier",
    title="Remote model",
    family="frontier",
    group="Remote models",
    question="How well does a large remote model answer, with a persona's profile or history in its prompt?",
    makes="frontier-MODEL",
    step=StepOf("frontier"),
    parameters=FrontierParameters,
    stages={"load": 3.0, "ask": 90.0, "score": 7.0},
    beside=("base",),
    applies=_can_be_asked,
    outlook=outlook,
    traits=Traits(serves_unseen=True),
)
