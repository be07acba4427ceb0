"""The ONE registry of strategies: it names the files, and adds those that a workspace's settings name.

A strategy is one file that defines STRATEGY, or STRATEGIES where several share their forms. What a run does
is decided here, by its experiment's name. Whoever starts the process may add experiments by the environment:
$PERSONA_LAB_EXPERIMENTS names importable mappings of them, as module:NAME. Plans and runs nothing, and
imports no model code.
"""

import dis
import importlib
import os
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import create_model
from pydantic.fields import FieldInfo

from engine.core import extensions
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.runs.context import RunContext
from engine.runs.runfolder import RunSpec
from engine.strategies import (
    arrow,
    augmentation,
    base,
    ceiling,
    cluster,
    clustering,
    constrained,
    context_steering,
    frontier,
    hybrid,
    imported_adapters,
    matched,
    merges,
    mixture,
    mta,
    networks,
    online,
    per_persona,
    placebo,
    prefix,
    retrieval,
    routing,
    staged,
    steering_vectors,
    tuned,
    unified,
    unified_memories,
)
from engine.strategies.spec import Experiment, Having, Parameters, StepOf, full_name

FILES = (
    *(base, augmentation, unified, per_persona, hybrid, prefix, constrained, cluster),
    *(online, staged, unified_memories, networks),
    imported_adapters,
    *(clustering, merges, mta, arrow, routing, retrieval, context_steering, steering_vectors, mixture),
    *(frontier, tuned, matched, placebo, ceiling),
)
MORE = "PERSONA_LAB_EXPERIMENTS"
_CODE, _CODE_DIGITS = "code", 12
_completed: dict[tuple[extensions.Extension, ...], dict[str, Experiment]] = {}


def defined_in(file: types.ModuleType) -> tuple[Experiment, ...]:
    """Return the strategies that a file defines. Raises EngineError where it defines something else."""
    found = getattr(file, "STRATEGIES", None) or (getattr(file, "STRATEGY", None),)
    wrong = [one for one in found if not isinstance(one, Experiment)]
    if wrong:
        raise EngineError(
            f"{file.__file__} defines no strategy: STRATEGY is {wrong[0]!r}.",
            "Let STRATEGY be an Experiment (engine/strategies/spec.py), or STRATEGIES a tuple of them.",
        )
    return tuple(found)


def completed(entries: Iterable[Experiment]) -> dict[str, Experiment]:
    """Return strategies by name; parameters that name others list those that have the trait."""
    known = {entry.name: entry for entry in entries}
    return {
        name: replace(entry, parameters=_listing(entry.parameters, known)) for name, entry in known.items()
    }


def experiments(ws: Workspace | None = None) -> Mapping[str, Experiment]:
    """Return what can be run in a workspace: what ships, and what approved files of its settings define."""
    return _with_own(ws)[0] if ws is not None else EXPERIMENTS


def get(name: str, ws: Workspace | None = None) -> Experiment:
    """Return the experiment of that name. Raises EngineError with the nearest known name.

    Where files of the workspace's settings do not run, the error says so, and how to let them.
    """
    known, faults = _with_own(ws) if ws is not None else (EXPERIMENTS, [])
    if name in known:
        return known[name]
    error = unknown_name("experiment", name, known)
    if faults:
        raise EngineError(f"{error.message} {faults[0].message}", faults[0].hint)
    raise error


def variant_of(spec: RunSpec, ws: Workspace) -> str:
    """Return the name of the variant that a run makes, which says what else than its experiment it is."""
    return full_name(get(spec.experiment, ws), spec.parameters)


def loaded(entry: Experiment) -> Callable[[RunContext], None]:
    """Return what a run of an experiment does, with the code loaded that it imports when it is called.

    So forked workers share that code, and none waits for it.
    """
    if isinstance(entry.step, StepOf):
        return entry.step.loaded()
    for instruction in dis.get_instructions(entry.step):
        if instruction.opname == "IMPORT_NAME":
            importlib.import_module(instruction.argval)
    return entry.step


def having(trait: str, known: Mapping[str, Experiment]) -> tuple[str, ...]:
    """Return the names of the strategies with a trait, in the registry's order."""
    return tuple(name for name, entry in known.items() if getattr(entry.traits, trait))


def _with_own(ws: Workspace) -> tuple[Mapping[str, Experiment], list[EngineError]]:
    """Return what can be run in a workspace, and what keeps its other files from being so."""
    named = extensions.named(ws)
    if not named:
        return EXPERIMENTS, []
    own, faults = dict[str, Experiment](), list[EngineError]()
    for file in named:
        try:
            module = extensions.load(file)
            if hasattr(module, "STRATEGY") or hasattr(module, "STRATEGIES"):
                for entry in defined_in(module):
                    own[entry.name] = _of_its_code(entry, file, {*EXPERIMENTS, *own})
        except EngineError as error:
            faults.append(error)
    if not own:
        return EXPERIMENTS, faults
    if named not in _completed:
        _completed[named] = completed((*EXPERIMENTS.values(), *own.values()))
    return _completed[named], faults


def _of_its_code(entry: Experiment, file: extensions.Extension, taken: set[str]) -> Experiment:
    """Return a user's strategy whose runs are those of this very code: changed code makes other runs."""
    if entry.name in taken:
        raise EngineError(
            f"{file.path} defines {entry.name!r}, and there is an experiment of that name.", "Rename it."
        )
    return replace(entry, fixed={**entry.fixed, _CODE: file.sha256[:_CODE_DIGITS]})


def _listing(form: type[Parameters], known: Mapping[str, Experiment]) -> type[Parameters]:
    """Return the form with the names that its parameters may hold, as choices like any other."""
    fields: dict[str, Any] = {}
    for name, field in form.model_fields.items():
        trait = next((one.trait for one in field.metadata if isinstance(one, Having)), None)
        if trait is not None:
            names = having(trait, known)
            annotation = _narrowed(field.annotation, Literal[names] if names else str)
            plain = FieldInfo(default=field.default, description=field.description)
            fields[name] = (Annotated.__class_getitem__((annotation, *field.metadata)), plain)  # type: ignore[attr-defined]
    if not fields:
        return form
    return create_model(
        form.__name__, __base__=form, __module__=form.__module__, __doc__=form.__doc__, **fields
    )


def _narrowed(annotation: Any, names: Any) -> Any:
    origin, held = get_origin(annotation), get_args(annotation)
    if annotation is str or origin is Literal:
        return names
    if origin in (Union, types.UnionType):
        return Union[tuple(_narrowed(one, names) for one in held)]  # noqa: UP007 - the members are not known here
    return list[_narrowed(held[0], names)] if origin is list else annotation  # type: ignore[misc]


def _more() -> Iterator[Experiment]:
    """Yield the experiments that the environment adds. Raises EngineError where it names none."""
    for place in filter(None, (word.strip() for word in os.environ.get(MORE, "").split(","))):
        module, _, name = place.partition(":")
        try:
            yield from getattr(importlib.import_module(module), name).values()
        except (ImportError, AttributeError) as error:
            raise EngineError(
                f"{MORE} names {place}, which cannot be imported: {error}", "Give it as module:NAME."
            ) from error


EXPERIMENTS: dict[str, Experiment] = completed(entry for file in FILES for entry in defined_in(file))
"""What ships with the project."""
_added = tuple(_more())
EXPERIMENTS |= completed((*EXPERIMENTS.values(), *_added)) if _added else {}
