"""The best of a tuning's settings as a variant, with val scores that the choice took no part in.

`tune` makes it. The tried settings are its upstreams; they show on val and are never chosen there, for this
stands for them (engine/results/comparing/scene.py).
"""

from pydantic import Field

from engine.core.errors import EngineError
from engine.core.parameters import Parameters
from engine.strategies.spec import Experiment, StepOf, Traits, Upstream, Wish, no_val

NAME = "tuned"
ROLE = "setting-"


class TunedParameters(Parameters):
    """What was tuned, and in how many settings."""

    of: str = Field("unified", max_length=100, description="The experiment that was tuned.")
    settings: int = Field(2, ge=2, le=1000, description="How many of its runs there are to choose from.")


def _needs(parameters: TunedParameters) -> tuple[Upstream, ...]:
    return tuple(
        Upstream(role=f"{ROLE}{number}", experiment=parameters.of, same_protocol=True)
        for number in range(parameters.settings)
    )


def _compares(wish: Wish) -> None:
    """Raise EngineError where there is nothing to choose among, or nothing to choose by."""
    if len({spec.run_id for spec in wish.upstream.values()}) < 2:
        raise EngineError(
            "There is one setting only, so nothing was tuned.",
            f"Try settings of it: python -m engine tune {wish.spec.parameters['of']}",
        )
    if not wish.judges_on_val:
        raise no_val("settings", is_list=False)


STRATEGY = Experiment(
    name=NAME,
    title="Best of a tuning",
    family=NAME,
    group="Choosing and mixing",
    question="What does the best of several settings gain, judged by dialogues that did not choose it?",
    makes="hybrid-tuned",
    step=StepOf("tuned"),
    parameters=TunedParameters,
    needs=_needs,
    fits=_compares,
    stages={"choose": 100.0},
    traits=Traits(personal=True, readable=True, routable=False, serves_unseen=True),
)
