"""One experiment, or several, at several values of one parameter: a run a value.

Owns the sweeps that have a name, and what a sweep plans. Launches nothing and reads no result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from engine.core.command import command_line, typed
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.strategies import registry
from engine.strategies.plan import Plan, look, plan
from engine.strategies.spec import EvaluationSettings, Experiment

BELOW = ("unified", "over")
"""The roles in which experiments of a sweep have the unified adapter below them."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A parameter, its values, and the experiments that are run at each of them."""

    name: str
    title: str
    question: str
    experiments: tuple[str, ...]
    parameter: str
    values: tuple[Any, ...]
    source: str = ""
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Experiment -> what else it is told in this sweep."""
    known_share: float | None = None
    """The share of the personas that the unified adapter below is trained on; the others are newcomers, and
    what the sweep finds is of them alone. None: it is the usual one, and everybody counts."""

    def cells(self, known: Mapping[str, Experiment]) -> list[tuple[str, Any]]:
        """Return the experiments and values to run, in order; of several each takes what it can."""
        whole = [(name, value) for name in self.experiments for value in self.values]
        if len(self.experiments) == 1:
            return whole
        return [(name, value) for name, value in whole if self._takes(known[name], value)]

    def _takes(self, entry: Experiment, value: Any) -> bool:
        try:
            entry.parameters(**{**self.given.get(entry.name, {}), self.parameter: value})
        except ValidationError:
            return False
        return True


_DECLARED = (
    Sweep(
        name="constrained-lambda",
        title="How hard to hold adapters back",
        question="At which L2 weight do constrained per-persona adapters gain most?",
        experiments=("constrained",),
        parameter="l2",
        values=(0.01, 0.05, 0.1, 0.5),
        source="The study's quick start, experiment 6: its ablation.",
    ),
    Sweep(
        name="learning-curve",
        title="Gain against how much history",
        question="From how many dialogues of her own does personalising begin to pay?",
        experiments=("per-persona", "hybrid"),
        parameter="history",
        values=(5, 10, 20, 30),
        source="Each persona's most recent train dialogues, so that the newest are always among them.",
    ),
    Sweep(
        name="cold-start",
        title="Cold start: newcomers with little history",
        question="What serves a persona whom unified never saw, with 0, 1, 3 or 10 dialogues of her own?",
        experiments=registry.having("newcomers", registry.EXPERIMENTS),
        parameter="history",
        values=(0, 1, 3, 10),
        source="Unified is trained on half of the personas; the gains are of the others alone.",
        given={"context-steering": {"shown": "both"}, "retrieval": {"k": [3]}},
        known_share=0.5,
    ),
)
SWEEPS: Mapping[str, Sweep] = {sweep.name: sweep for sweep in _DECLARED}


def sweep_of(ws: Workspace, name: str, parameter: str | None = None, values: Sequence[Any] = ()) -> Sweep:
    """Return the sweep of that name, or that of an experiment over the given values of its parameter.

    Raises EngineError for unknown names, for a parameter without two values, and for values given to a
    declared sweep.
    """
    if name in SWEEPS:
        if parameter is not None:
            raise EngineError(
                f"The sweep {name} has its values already: {SWEEPS[name].parameter}.",
                f"For others: python -m engine sweep {SWEEPS[name].experiments[0]} {parameter}=1,2",
            )
        return SWEEPS[name]
    known = registry.experiments(ws)
    if name not in known:
        raise unknown_name("experiment or sweep", name, (*known, *SWEEPS))
    entry = known[name]
    fields = [*entry.parameters.model_fields, *EvaluationSettings.model_fields]
    if parameter is None:
        raise EngineError(
            "Which parameter is to be swept?", f"Such as: python -m engine sweep {name} {fields[0]}=1,2"
        )
    if parameter not in fields:
        raise unknown_name(f"parameter of {name}", parameter, fields)
    if parameter in EvaluationSettings.model_fields:
        raise EngineError(
            f"{parameter} belongs to the protocol, so its values could not be compared.",
            f"Parameters of {name}: {', '.join(entry.parameters.model_fields)}.",
        )
    distinct = tuple(dict.fromkeys(values))
    if len(distinct) < 2:
        raise EngineError(
            f"A sweep needs two values of {parameter} or more.",
            f"Such as: python -m engine sweep {name} {parameter}=1,2",
        )
    question = f"How much does {name} gain at different values of {parameter}?"
    return Sweep(f"{name} {parameter}", f"{entry.title}: {parameter}", question, (name,), parameter, distinct)


def bare(value: Any) -> Any:
    """Return a value as a sweep has it: of a list of one, its member, as on the command line."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def command_of(sweep: Sweep, settings: Mapping[str, Any], ws: Workspace, *, seed: int | None = None) -> str:
    """Return the command line of a sweep; `settings` hold for all its runs."""
    over = f"{sweep.parameter}={typed(list(sweep.values))}"
    named = [sweep.name] if sweep.name in SWEEPS else [*sweep.experiments, over]
    return command_line("sweep", *named, ws=ws, settings=settings, options={"seed": seed})


def plan_sweep(
    ws: Workspace, sweep: Sweep, parameters: Mapping[str, Any] | None = None, *, seed: int | None = None
) -> list[Plan]:
    """Return one plan for each experiment and value, in order; `parameters` hold for all of them.

    Plans share the runs they have in common. Raises EngineError as `plan` does, and when `parameters` fix
    what is swept.
    """
    fixed = dict(parameters or {})
    if sweep.parameter in fixed:
        raise EngineError(f"{sweep.parameter} is what is swept; it cannot be set as well.")
    seen = look(ws)
    needing: dict[str, Mapping[str, Any]] = {}
    if sweep.known_share is not None:
        known = {"personas": max(1, round(sweep.known_share * seen.ground.personas))}
        needing = dict.fromkeys(BELOW, known)
    return [
        plan(
            ws,
            experiment,
            {**sweep.given.get(experiment, {}), **fixed, sweep.parameter: value},
            seed=seed,
            needing=needing,
            seen=seen,
        )
        for experiment, value in sweep.cells(seen.known)
    ]
