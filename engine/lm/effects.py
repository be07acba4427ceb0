"""How a variant acts: a recipe is a list of effects, and there are six kinds.

Weights, a prefix and activations change the model for a row, a library for each of its tokens; the prompt is
what stands before the query; logits put two recipes together, token by token. Two references stand for
effects that differ from persona to persona: what a run holds for each, and a recipe as it is for another
persona; engine/lm/recipes.py follows them. Owns the records, their one JSON form, the reading of older forms,
and what makes two recipes one. Loads no model code.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, NotRequired, cast

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from engine.core.errors import EngineError
from engine.core.forms import Record, record
from engine.lm.remote.endpoint import Endpoint, read_endpoint

Value = Mapping[str, Any]
"""A recipe as JSON."""
_MOST_WEIGHT = 1e6
Strength = Annotated[float, Field(ge=-_MOST_WEIGHT, le=_MOST_WEIGHT, allow_inf_nan=False)]
Amount = Annotated[int, Field(ge=0)]
_WHOLE = ConfigDict(extra="forbid")
"""Of a later version: what is not known here may mean anything."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A low-rank change of linear layers: `weight` times the adapter `name` of a run."""

    __pydantic_config__: ClassVar = _WHOLE
    kind: ClassVar = "weights"
    run: str
    name: str
    weight: Strength = 1.0


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values before the prompt: the prefix `name` of a run."""

    __pydantic_config__: ClassVar = _WHOLE
    kind: ClassVar = "prefix"
    run: str
    name: str


@dataclass(frozen=True, slots=True)
class Activations:
    """An offset added to what layers give: `scale` times the one that a run keeps under `name`."""

    __pydantic_config__: ClassVar = _WHOLE
    kind: ClassVar = "activations"
    run: str
    name: str
    scale: Strength = 1.0


@dataclass(frozen=True, slots=True)
class Library:
    """Adapters among which every token chooses by its own input: the library `name` of a run."""

    __pydantic_config__: ClassVar = _WHOLE
    kind: ClassVar = "library"
    run: str
    name: str


Retriever = Literal["similarity", "bm25", "random"]
SIMILARITY: Retriever = "similarity"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What stands before the query: the persona's profile, and so many of her own past interactions.

    `retriever` says what makes one near the query, `recency` is the share that its age has in the choice, 0
    for nearness alone. `history` leaves only her so many most recent train dialogues to choose from, None all
    of them.
    """

    __pydantic_config__: ClassVar = _WHOLE
    kind: ClassVar = "prompt"
    profile: bool = False
    memories: Amount = 0
    recency: Strength = 0.0
    history: Amount | None = None
    retriever: Retriever = SIMILARITY

    def under(self, other: "Prompt") -> "Prompt":
        """Return both together; of memories those that `other`, which is further out, asks for."""
        told = other if other.memories else self
        is_profile = self.profile or other.profile
        return replace(told, profile=is_profile) if told.memories else Prompt(is_profile)


@dataclass(frozen=True, slots=True)
class Logits:
    """Two recipes in lockstep.

    On probabilities: `weight` of the first's and the rest of the second's. On logits: those of the first, and
    `weight` times what they differ by from the second's.
    """

    kind: ClassVar = "logits"
    first: "Recipe"
    second: "Recipe"
    weight: Strength
    on: Literal["probabilities", "logits"] = "probabilities"


@dataclass(frozen=True, slots=True)
class Own:
    """What a run holds for each persona: effects of her own, or, `chosen`, a whole recipe that it chose."""

    __pydantic_config__: ClassVar = _WHOLE
    kind: ClassVar = "own"
    run: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Swapped:
    """A recipe as it is for another persona, whom the run names."""

    kind: ClassVar = "swapped"
    of: "Recipe"
    run: str


Stored = Weights | Prefix | Activations | Library
"""What lies in a run's models folder and changes the model for a row."""
Effect = Stored | Prompt | Logits | Own | Swapped
STORED: Mapping[str, type[Weights] | type[Prefix] | type[Activations] | type[Library]] = {
    kind.kind: kind for kind in (Weights, Prefix, Activations, Library)
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to answer for each persona. `remote` is a model elsewhere that answers in the base's place."""

    effects: tuple[Effect, ...] = ()
    remote: Endpoint | None = field(default=None, kw_only=True)

    @property
    def prompt(self) -> Prompt:
        """What stands before every query, by the effects of this recipe's own level."""
        told = Prompt()
        for effect in self.effects:
            if isinstance(effect, Prompt):
                told = told.under(effect)
        return told

    def with_prompt(
        self,
        *,
        memories: int = 0,
        recency: float = 0.0,
        history: int | None = None,
        profile: bool = False,
        retriever: Retriever = SIMILARITY,
    ) -> "Recipe":
        """Return the recipe with this before every query; without anything to show, the recipe itself."""
        return self.showing(Prompt(profile, memories, recency, history, retriever))

    def showing(self, prompt: Prompt) -> "Recipe":
        """Return the recipe with this before every query. Of no history there are no memories."""
        told = self.prompt.under(replace(prompt, memories=0) if prompt.history == 0 else prompt)
        kept = tuple(effect for effect in self.effects if not isinstance(effect, Prompt))
        return replace(self, effects=(*kept, told) if told != Prompt() else kept)

    def as_json(self) -> dict[str, Any]:
        """Return the one form in which recipes are written."""
        plain = self.with_prompt()
        remote = {"remote": asdict(self.remote)} if self.remote else {}
        return {"effects": [_written(effect) for effect in plain.effects], **remote}


def mixed(first: Recipe, second: Recipe, weight: float) -> Recipe:
    """Return `weight` of the first's probabilities and the rest of the second's; the one alone at 1 and 0."""
    if weight == 1 or first == second:
        return first
    return second if weight == 0 else Recipe((Logits(first, second, weight),))


def steered(first: Recipe, second: Recipe, strength: float) -> Recipe:
    """Return the first with its logits moved off the second's: a + strength (a - b).

    The first alone at 0, the second alone at -1.
    """
    if strength == 0 or first == second:
        return first
    return second if strength == -1 else Recipe((Logits(first, second, strength, on="logits"),))


def read_recipe(value: Value) -> Recipe:
    """Return the recipe written as JSON, in today's form or an older one.

    Raises EngineError where no model answers (a ceiling, published scores) or something unknown is asked for.
    """
    if not isinstance(value, Mapping) or "effects" not in value:
        return _read_before(value)
    _refuse_unknown(set(value) - {"effects", "remote"})
    told = _as(_Today, value)
    endpoint = told.get("remote")
    remote = read_endpoint(endpoint) if endpoint else None
    return Recipe(tuple(_read(entry) for entry in told["effects"]), remote=remote)


def answers(value: Value) -> bool:
    """Say whether a model answers: not the known text of a ceiling, nor scores that were only published."""
    return "oracle" not in value and "published" not in value and "file" not in value


def normal(value: Value) -> dict[str, Any]:
    """Return a recipe in today's form, so that equal ones are equal; what cannot be read stays as it is."""
    try:
        return read_recipe(value).as_json()
    except EngineError:  # no model answers, or it was written by a later version
        return dict(value)


def effects_of(value: Value) -> tuple[Effect, ...]:
    """Return the effects of a recipe's own level; none where it cannot be read."""
    try:
        return read_recipe(value).effects
    except EngineError:  # no model answers, or it was written by a later version
        return ()


def identity(value: Value) -> Any:
    """Return what two recipes have in common exactly where they are the same variant.

    It is the form in which recipes were written before there were kinds, where that can say it: variants that
    were made then keep their ids.
    """
    try:
        recipe = read_recipe(value)
    except EngineError:  # no model answers, or it was written by a later version: it is only itself
        return value
    before = _before(recipe, Prompt())
    return recipe.as_json() if before is None else before


def _written(effect: Effect) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": effect.kind}
    match effect:
        case Logits(first, second, weight, on):
            return {**told, "parts": [first.as_json(), second.as_json()], "weight": weight, "on": on}
        case Swapped(of, run):
            return {**told, "of": of.as_json(), "run": run}
        case Own(run, chosen):
            return {**told, "run": run, **({"chosen": True} if chosen else {})}
        case Prompt(profile, memories, recency, history, retriever):
            recent = {"recency": recency} if memories and recency else {}
            left = {"history": history} if memories and history is not None else {}
            by = {"retriever": retriever} if memories and retriever != SIMILARITY else {}
            return {**told, "profile": profile, "memories": memories, **recent, **left, **by}
        case Weights(run, name, weight):
            return {**told, "run": run, "name": name, **({"weight": weight} if weight != 1 else {})}
        case Activations(run, name, scale):
            return {**told, "run": run, "name": name, **({"scale": scale} if scale != 1 else {})}
        case Prefix(run, name) | Library(run, name):
            return {**told, "run": run, "name": name}


class _Today(TypedDict):
    effects: list[dict[str, Any]]
    remote: NotRequired[dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class _Logits:
    __pydantic_config__: ClassVar = _WHOLE
    parts: tuple[dict[str, Any], dict[str, Any]]
    weight: Strength
    on: Literal["probabilities", "logits"] = "probabilities"


@dataclass(frozen=True, slots=True)
class _Swapped:
    __pydantic_config__: ClassVar = _WHOLE
    of: dict[str, Any]
    run: str


_WRITTEN: Mapping[str, Any] = {
    **STORED,
    Prompt.kind: Prompt,
    Own.kind: Own,
    Logits.kind: _Logits,
    Swapped.kind: _Swapped,
}


def _as(form: type[Record], value: Any) -> Record:
    try:
        return record(form, json.dumps(value))
    except (ValueError, TypeError) as error:
        raise EngineError(f"This recipe cannot be read: {error}.", "Choose another variant.") from error


def _read(entry: Mapping[str, Any]) -> Effect:
    kind = entry.get("kind", "")
    if not isinstance(kind, str) or kind not in _WRITTEN:
        raise EngineError(
            f"This recipe asks for {kind!r}, which is not known here.", "Choose another variant."
        )
    told: Any = _as(_WRITTEN[kind], {name: value for name, value in entry.items() if name != "kind"})
    if isinstance(told, _Logits):
        first, second = map(read_recipe, told.parts)
        return Logits(first, second, told.weight, told.on)
    if isinstance(told, _Swapped):
        return Swapped(read_recipe(told.of), told.run)
    return cast(Effect, told)


def _refuse_unknown(names: Iterable[str]) -> None:
    unknown = ", ".join(sorted(names))
    if unknown:
        raise EngineError(
            f"This recipe cannot answer: {unknown} is not known here.", "Choose another variant."
        )


# --- the forms before: {"adapters"}, {"remote"}, {"route"}, {"mixture"}, {"placebo"}


class _Named(TypedDict):
    run: str
    name: NotRequired[str]


class _Mixture(TypedDict):
    parts: tuple[dict[str, Any], dict[str, Any]]
    weight: Strength


class _Before(TypedDict, total=False):
    adapters: list[_Named]
    remote: dict[str, Any] | None
    route: str
    mixture: _Mixture
    placebo: _Swapped
    profile: bool
    memories: Amount
    recency: Strength


def _read_before(value: Value) -> Recipe:
    told = _as(_Before, value)
    if "placebo" in told:
        return Recipe((Swapped(read_recipe(told["placebo"].of), told["placebo"].run),))
    if "mixture" in told:
        _refuse_unknown(set(value) - {"mixture"})
        first, second = map(read_recipe, told["mixture"]["parts"])
        return Recipe((Logits(first, second, told["mixture"]["weight"]),))
    acting: tuple[Effect, ...] = ()
    if "route" in told:
        _refuse_unknown(set(value) - {"route", "memories", "recency"})
        acting = (Own(told["route"], chosen=True),)
    else:
        _refuse_unknown(set(value) - {"adapters", "profile", "memories", "recency", "remote"})
        acting = tuple(_adapter(entry) for entry in told.get("adapters", ()))
    remote = told.get("remote")
    return Recipe(acting, remote=read_endpoint(remote) if remote else None).with_prompt(
        profile=told.get("profile", False), memories=told.get("memories", 0), recency=told.get("recency", 0.0)
    )


def _adapter(entry: _Named) -> Effect:
    """Of a named adapter only its file told whether it is a prefix; it still does."""
    name = entry.get("name", "")
    return Weights(entry["run"], name) if name else Own(entry["run"])


def _before(recipe: Recipe, outer: Prompt) -> dict[str, Any] | None:
    """Return a recipe, under the prompt of recipes around it, in the form before; None where it has none."""
    told = recipe.prompt.under(outer)
    acting = [effect for effect in recipe.effects if not isinstance(effect, Prompt)]
    recent = {"recency": told.recency} if told.memories and told.recency else {}
    if told.memories and (told.history is not None or told.retriever != SIMILARITY):
        return None
    only = acting[0] if len(acting) == 1 and recipe.remote is None else None
    if isinstance(only, Logits):
        parts = [_before(part, told) for part in (only.first, only.second)]
        if only.on == "logits" or None in parts:
            return None
        return {"mixture": {"weight": only.weight, "parts": parts}}
    if isinstance(only, Swapped):
        of = _before(only.of, told)
        return None if of is None else {"placebo": {"of": of, "run": only.run}}
    if isinstance(only, Own) and only.chosen:
        if told.profile:
            return None
        return {"route": only.run, **({"memories": told.memories, **recent} if told.memories else {})}
    adapters = []
    for effect in acting:
        is_plain = isinstance(effect, Prefix) or (isinstance(effect, Weights) and effect.weight == 1)
        if is_plain:
            named = cast(Weights | Prefix, effect)
            adapters.append({"run": named.run, "name": named.name})
        elif isinstance(effect, Own) and not effect.chosen:
            adapters.append({"run": effect.run})
        else:
            return None
    start = {"remote": asdict(recipe.remote)} if recipe.remote else {"adapters": adapters}
    if recipe.remote and acting:
        return None
    return {**start, "profile": told.profile, "memories": told.memories, **recent}
