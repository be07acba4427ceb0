"""Catalog entries around the counting step: `count`, `gain` (beside count) and `after` (needs gain)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from engine.core.parameters import Parameters
from engine.runs.context import RunContext
from engine.strategies.spec import Experiment, Upstream
from tests.steps_for_tests import count

Ending = Literal["well", "badly", "with a hint", "by exit", "deaf", "tells a secret"]


class CountParameters(Parameters):
    """What the counting step is told."""

    ticks: int = Field(3, ge=1, le=100_000, description="How far to count.")
    pause: float = Field(0.0, ge=0, le=60, description="Seconds between two counts.")
    lift: float = Field(0.0, ge=-1, le=1, description="Added to every score.")
    ending: Ending = Field("well", description="How to end.")


def _needs_gain(_: CountParameters) -> tuple[Upstream, ...]:
    return (Upstream(role="over", experiment="gain"),)


COMMON = {
    "title": "Count",
    "family": "test",
    "question": "Does it count?",
    "step": count,
    "stages": {"load": 1.0, "count": 9.0},
    "parameters": CountParameters,
}
SPACE = {"lift": (0.0, 0.05, -0.05, 0.2), "ticks": (2, 3)}
EXPERIMENTS = {
    "count": Experiment(name="count", makes="count", fixed={"gain": 0.0}, **COMMON),
    "gain": Experiment(
        name="gain", makes="gain", fixed={"gain": 0.1}, beside=("count",), space=SPACE, **COMMON
    ),
    "after": Experiment(name="after", makes="after", fixed={"gain": 0.2}, needs=_needs_gain, **COMMON),
}


def _count_slowly(context: RunContext) -> None:
    from tests.slow_to_load import count

    count(context)


SLOW = {**EXPERIMENTS, "count": replace(EXPERIMENTS["count"], step=_count_slowly)}
