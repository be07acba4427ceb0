"""Which name a variant goes by. The one place where recipes that share a name are told apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from engine.lm.effects import Swapped, effects_of

BOUND = "ceiling"
"""The family of what nobody can exceed: it never competes."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One run's word that it made a variant. `default` is True when nothing was changed from the defaults."""

    variant_id: str
    name: str
    run_id: str
    family: str
    recipe: Mapping[str, Any]
    parameters_trained: int
    train_seconds: float | None
    aliases: tuple[str, ...]
    made_at: str
    default: bool


@dataclass(frozen=True, slots=True)
class Variant:
    """One recipe under its name on screens. `name` is the plain name, `run_id` the run that made it first."""

    variant: str
    variant_id: str
    name: str
    family: str
    run_id: str
    recipe: Mapping[str, Any]
    parameters_trained: int
    train_seconds: float | None
    aliases: tuple[str, ...]
    made_at: str
    default: bool

    @property
    def is_bound(self) -> bool:
        """Whether it is what nobody can exceed, here or as it was published: never a contender."""
        return self.family == BOUND

    @property
    def control_of(self) -> Mapping[str, Any] | None:
        """The recipe of which this is the placebo; None for any other variant."""
        swapped = (one.of.as_json() for one in effects_of(self.recipe) if isinstance(one, Swapped))
        return next(swapped, None)


def name_variants(declarations: Iterable[Declaration]) -> list[Variant]:
    """Return one variant a recipe, in the order of their making.

    Of several recipes with one plain name, the newest one made with default parameters keeps it (the
    newest of all where none is default); the others are called name@<variant_id>. Other names under
    which a recipe was declared become its aliases, unless they are somebody's name.
    """
    ordered = sorted(declarations, key=lambda entry: entry.variant_id)
    merged = [_merge(list(group)) for _, group in groupby(ordered, key=lambda entry: entry.variant_id)]
    holders: dict[str, tuple[bool, str, str]] = {}
    for variant, newest in merged:
        rank = (variant.default, newest, variant.variant_id)
        holders[variant.name] = max(holders.get(variant.name, rank), rank)
    named = [_named(variant, keeps=holders[variant.name][2] == variant.variant_id) for variant, _ in merged]
    taken = {variant.variant for variant in named}
    cleared = [
        replace(one, aliases=tuple(name for name in one.aliases if name not in taken)) for one in named
    ]
    return sorted(cleared, key=lambda variant: (variant.made_at, variant.variant))


def resolve(name: str, known: Iterable[Variant]) -> Variant | None:
    """Return the variant that `name` means: its name on screens, an alias, or its plain name."""
    candidates = sorted(known, key=lambda variant: (variant.default, variant.made_at), reverse=True)
    for variant in candidates:
        if variant.variant == name:
            return variant
    return next((one for one in candidates if name in one.aliases or name == one.name), None)


def _merge(entries: list[Declaration]) -> tuple[Variant, str]:
    """One variant out of its declarations, and when it was declared last."""
    entries.sort(key=lambda entry: (entry.made_at, entry.run_id))
    first = entries[0]
    names = [name for entry in entries for name in (entry.name, *entry.aliases) if name != first.name]
    variant = Variant(
        variant=first.name,
        variant_id=first.variant_id,
        name=first.name,
        family=first.family,
        run_id=first.run_id,
        recipe=first.recipe,
        parameters_trained=first.parameters_trained,
        train_seconds=first.train_seconds,
        aliases=tuple(dict.fromkeys(names)),
        made_at=first.made_at,
        default=any(entry.default for entry in entries if entry.name == first.name),
    )
    return variant, entries[-1].made_at


def _named(variant: Variant, *, keeps: bool) -> Variant:
    return variant if keeps else replace(variant, variant=f"{variant.name}@{variant.variant_id}")
