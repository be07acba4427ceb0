"""The form in which an experiment is declared, and the checking of given parameters against it."""

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from engine.core.errors import EngineError, unknown_name
from engine.core.parameters import Parameters, SetOf, worded
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.runs.context import RunContext
from engine.runs.registry import Divisible
from engine.runs.runfolder import RunSpec
from engine.strategies.ground import Ground

PARTIAL = ("personas", "cluster")
"""Parameters that leave personas out and change nothing for those who are left."""


def is_partial(spec: RunSpec) -> bool:
    """Say whether a run is for some of the personas only."""
    return any(spec.parameters.get(name) is not None for name in PARTIAL)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks a parameter whose choices are known when a form is shown, not yet when it is declared."""

    names: Callable[[], Iterable[str]]


def _known_metric(name: str) -> str:
    known = metrics.choosable()
    if name not in known:
        raise PydanticCustomError("literal_error", "must be {expected}", {"expected": ", ".join(known)})
    return name


MetricName = Annotated[str, OneOf(metrics.choosable), AfterValidator(_known_metric)]
"""A metric of the study that has a better and a worse."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a strategy's variants are good for: lists of strategies elsewhere are derived from these.

    `answers`: a model answers, so they can be chatted with. `personal`: different personas are answered
    differently, so there is a placebo. `readable`: memories may stand before their query. `mixable`: they can
    be one side of a mixture. `routable`: a persona can be routed to them. `mergeable`: there is a LoRA for
    each persona, all begun alike. `library`: there are LoRAs, for personas or for groups of them, that tokens
    may choose among. `newcomers`: it serves a persona whom the unified adapter below does not
    know, from as much of her history as its parameter of that name says. `serves_unseen`: it can answer a
    persona kept out of all training, from what all share, her profile or her earlier dialogues. `trains`:
    adapters for some personas only are trained, so there is a step-matched unified. `divides`: what of its
    work several machines can share, its "training" or "replies".
    """

    answers: bool = True
    personal: bool = False
    readable: bool = False
    mixable: bool = False
    routable: bool = True
    mergeable: bool = False
    library: bool = False
    newcomers: bool = False
    serves_unseen: bool = False
    trains: bool = False
    divides: tuple[Divisible, ...] = ()


@dataclass(frozen=True, slots=True)
class Having:
    """Beside a parameter's type: it names strategies with this trait. The registry lists them."""

    trait: str


@dataclass(frozen=True, slots=True)
class InName:
    """Beside a parameter's type: it says what a variant is, not how well it is made, so it is in its name.

    `words` is what stands there for another value than the default, "{}" for the value itself; `first` puts
    it before the others.
    """

    words: str = "{}"
    first: bool = False


@dataclass(frozen=True, slots=True)
class ChosenOnVal:
    """Beside a list of values: of several the best on val is kept."""


def no_val(what: str, *, is_list: bool = True) -> EngineError:
    """Return the refusal of a choice on val where val is not scored; of a list one value could be given."""
    one = f"Give one value (--set {what.partition(',')[0]}=0.5), or score" if is_list else "Score"
    return EngineError(
        f"What is best of {what} is chosen on val, which is not scored here.",
        f"{one} val too: --set splits=val,test",
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """A run before it begins: its spec, the ground, and the specs of the runs it stands on by their role."""

    ws: Workspace
    spec: RunSpec
    ground: Ground
    upstream: Mapping[str, RunSpec]

    @property
    def judges_on_val(self) -> bool:
        return "val" in self.spec.protocol["splits"]


def full_name(entry: "Experiment", parameters: Mapping[str, Any]) -> str:
    """Return a variant's name: its experiment's, and behind it what else says what it is."""
    marked = [
        (mark, parameters[name])
        for name, field_ in entry.parameters.model_fields.items()
        for mark in field_.metadata
        if isinstance(mark, InName) and name in parameters and parameters[name] != field_.default
    ]
    marked.sort(key=lambda one: not one[0].first)
    return "-".join([entry.name, *(mark.words.format(value) for mark, value in marked)])


class EvaluationSettings(Parameters):
    """What every experiment is scored on. Part of the protocol: other settings are never compared."""

    splits: SetOf[Literal["val", "test", "unseen"]] = Field(
        ["val", "test"],
        min_length=1,
        description="The splits to score: choices are made on val, verdicts on test; where personas are kept "
        "unseen, they are scored with test.",
    )
    examples_per_persona: int = Field(
        10, ge=1, le=1000, description="At most so many examples of a persona and split, chosen by hash."
    )
    max_new_tokens: int = Field(64, ge=1, le=2048, description="The longest reply, in tokens.")


@dataclass(frozen=True, slots=True)
class Upstream:
    """A run that must have succeeded first. `role` is the name under which the step finds it.

    With `same_protocol` its scores are used, so they must have been made under the run's own settings. A new
    one that stands `apart` inherits no parameters.
    """

    role: str
    experiment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    same_protocol: bool = False
    apart: bool = False


def named_by(**roles: str) -> Callable[[Any], tuple[Upstream, ...]]:
    """Return the needs of a strategy that builds on what parameters name: role -> the parameter."""
    return lambda given: tuple(Upstream(role, getattr(given, name)) for role, name in roles.items())


@dataclass(frozen=True, slots=True)
class StepOf:
    """What a run does: `name` of engine/strategies/steps/`module`.py, imported when a run takes it."""

    module: str
    name: str = "run"

    def loaded(self) -> Callable[[RunContext], None]:
        """Return it, imported."""
        step: Callable[[RunContext], None] = getattr(
            importlib.import_module(f"engine.strategies.steps.{self.module}"), self.name
        )
        return step

    def __call__(self, context: RunContext) -> None:
        self.loaded()(context)


@dataclass(frozen=True, slots=True)
class Preset:
    """Parameters under one name, as somebody published them. `source` says who, and for what."""

    name: str
    title: str
    parameters: Mapping[str, Any]
    source: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be known before a launch, such as its cost, and what stands in its way."""

    notes: tuple[str, ...] = ()
    obstacle: EngineError | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """A declared way to produce variants.

    `needs` names the runs whose results it builds on, given its parameters. `beside` names the
    experiments whose variants are needed to judge it. `applies` raises EngineError where the
    experiment cannot exist, `fits` where a run could only fail by what it is asked and stands on. `settle`
    returns the parameters with all that they leave to the ground in words,
    so that a spec says what it means, and `settles` names those. `fixed` are parameters no user sets, passed
    on to the step. `presets` are named sets of parameters. `step` does the work, and imports model code only
    when called; `stages` maps each stage that it reports to its share of the work. `outlook` says what is to
    be known before a launch. `space` holds the values of parameters that tuning draws from.
    `group` is the heading it stands under for readers, `family` what its variants are filtered by. Raise
    `version` whenever the step's results change for the same parameters. Runs of a version before
    `val_since` left val scores that their own choice was made on: they show there and are never chosen.
    """

    name: str
    title: str
    family: str
    question: str
    makes: str
    step: Callable[[RunContext], None]
    stages: Mapping[str, float]
    parameters: type[Parameters] = Parameters
    version: int = 1
    val_since: int = 1
    fixed: Mapping[str, Any] = field(default_factory=dict)
    needs: Callable[[Any], tuple[Upstream, ...]] = lambda _: ()
    beside: tuple[str, ...] = ()
    applies: Callable[[Any, Ground], None] = lambda *_: None
    fits: Callable[[Wish], None] = lambda _: None
    settle: Callable[[Any, Ground], Any] = lambda given, _: given
    settles: tuple[str, ...] = ()
    presets: tuple[Preset, ...] = ()
    outlook: Callable[[Workspace, RunSpec], Outlook] | None = None
    traits: Traits = Traits()
    group: str = "Others"
    space: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def preset(self, name: str) -> Preset:
        """Return the preset of that name. Raises EngineError with the nearest known name."""
        found = next((preset for preset in self.presets if preset.name == name), None)
        if found is None:
            raise unknown_name(f"preset of {self.name}", name, [preset.name for preset in self.presets])
        return found


@dataclass(frozen=True, slots=True)
class Valid:
    """Checked parameters. `changed` names those that differ from their defaults."""

    parameters: Parameters
    settings: EvaluationSettings
    changed: tuple[str, ...]


def validate(experiment: Experiment, given: Mapping[str, Any]) -> Valid:
    """Check parameters and evaluation settings, given together. Raises one EngineError with every fault."""
    forms = (experiment.parameters, EvaluationSettings)
    known = [name for form in forms for name in form.model_fields]
    faults = [_unknown(name, known) for name in given if name not in known]
    made: list[Any] = []
    for form in forms:
        try:
            made.append(form(**{name: given[name] for name in given if name in form.model_fields}))
        except ValidationError as error:
            faults += [f"{'.'.join(map(str, fault['loc']))}: {worded(fault)}" for fault in error.errors()]
    if faults:
        raise EngineError(
            f"{experiment.name} cannot run with these parameters:\n"
            + "\n".join(f"  {fault}" for fault in faults),
            f"Parameters of {experiment.name}: {', '.join(known)}.",
        )
    changed = [name for form in made for name in type(form).model_fields if _differs(form, name)]
    return Valid(parameters=made[0], settings=made[1], changed=tuple(changed))


def known_settings(entry: Experiment, spec: RunSpec) -> dict[str, Any]:
    """Return the parameters and evaluation settings of a run that its experiment knows today."""
    own = {name: spec.parameters[name] for name in entry.parameters.model_fields if name in spec.parameters}
    asked = {name: spec.protocol[name] for name in EvaluationSettings.model_fields if name in spec.protocol}
    return {**own, **asked}


def _differs(form: Parameters, name: str) -> bool:
    return bool(getattr(form, name) != type(form).model_fields[name].get_default(call_default_factory=True))


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"{name}: there is no such parameter" + (f"; did you mean {near[0]!r}?" if near else "")


def history_needed(_: Any, ground: Ground) -> None:
    """Raise EngineError on a split whose test personas have no dialogues of their own before."""
    if ground.scheme == "by-persona":
        raise EngineError(
            "Not applicable here: with the by-persona split, test personas have no history to remember.",
            "Create a workspace with --split by-time, which needs several dialogues for each persona.",
        )


def character_needed(_: Any, ground: Ground) -> None:
    """Raise EngineError where no persona has a character text."""
    if not ground.with_character:
        raise EngineError(
            "Not applicable here: no persona of this dataset has a character text to put into the prompt.",
            "Import a dataset with characters, or run another experiment.",
        )


def truth_needed(_: Any, ground: Ground) -> None:
    """Raise EngineError where the data is not a synthetic world."""
    if not ground.has_truth:
        raise EngineError(
            "Not applicable here: the ceiling is known for synthetic worlds only.",
            "Create a workspace from a world: python -m engine init --dataset world:default",
        )
