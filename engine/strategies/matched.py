"""The step-matched unified of a variant: one adapter for everybody, trained on as much as all behind it was.

What beats unified but not this one gained by more training, not by the persona. As the placebo it is a
control: it competes with nobody. Passes are rounded up to whole ones (steps/train_adapters.py).
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from engine.strategies.budgets import MATCHED, MATCHED_TO
from engine.strategies.spec import Having, Traits, Upstream
from engine.strategies.trained import LoraParameters, train_lora, trained


class MatchedParameters(LoraParameters):
    """To what the training is matched. All else is as unified's."""

    to: Annotated[str, Having("trains")] = Field(
        "per-persona", description="The experiment whose whole training, over all its adapters, is matched."
    )
    epochs: int = Field(
        100, ge=1, le=1000, description="At most so many passes, should the budget ask for more."
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Stop after so many epochs without a better validation loss; by default it goes on.",
    )


def name_of(experiment: str) -> str:
    """Return the name of the variant that is matched to an experiment's."""
    return f"unified~{experiment}-steps"


def _needs(parameters: MatchedParameters) -> tuple[Upstream, ...]:
    return (Upstream(role=MATCHED_TO, experiment=parameters.to, apart=True),)


def parameters_like(reference: Mapping[str, Any], to: str) -> dict[str, Any]:
    """Return the parameters of a control that is trained as the reference was, but for how long."""
    own = {name for name in MatchedParameters.model_fields if name not in ("to", "epochs", "patience")}
    return {"to": to, **{name: value for name, value in reference.items() if name in own}}


STRATEGY = trained(
    "matched",
    title="Step-matched unified",
    question="Does a personalised variant beat one adapter for all that was trained on just as much?",
    parameters=MatchedParameters,
    step=train_lora,
    by="all",
    family=MATCHED,
    traits=Traits(
        routable=False, readable=False, mixable=False, serves_unseen=True, divides=("training", "replies")
    ),
    group="Bounds and controls",
    needs=_needs,
    makes=name_of("per-persona"),
    beside=("base", "unified"),
)
