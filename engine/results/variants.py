"""Variants: their names on screens, and what one is to another. Reads nothing.

Owns which name a variant goes by where recipes share one, which is a repeat of another from another seed (the
A/A control of every difference), which is the placebo of which, what tells variants of one plain name apart,
and what had to be trained to have one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any

from engine.core.errors import unknown_name
from engine.core.wording import spelled
from engine.lm.effects import Swapped, effects_of, normal
from engine.runs.runfolder import fingerprint
from engine.stats.compare import Comparison
from engine.strategies.budgets import MATCHED, MATCHED_TO

BOUND = "ceiling"
"""The family of what a world's truth or hindsight says: it never competes."""
_YARDSTICK = "knows_population"
"""The oracle that knows no persona: who has learned from one may exceed it, so it is no bound."""
_Claim = tuple[str, bool, bool, bool, str]
_ABOVE = ("delta", "ci_low", "ci_high", "p", "n_paired", "wins", "ties", "losses", "min_detectable_effect")


@dataclass(frozen=True, slots=True)
class Declared:
    """A variant as a run declares it. Equal recipes over one base have one `variant_id`."""

    variant_id: str
    name: str
    family: str
    recipe: Mapping[str, Any]
    parameters_trained: int
    train_seconds: float | None
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declaration(Declared):
    """One run's word that it made a variant. `default` is True when nothing was changed from the defaults."""

    run_id: str
    made_at: str
    default: bool


@dataclass(frozen=True, slots=True)
class Variant(Declaration):
    """One recipe under its name on screens. `name` is the plain name, `run_id` the run that made it first.

    `is_reference`: it is what the chosen reference on its ground made, or made again under other settings of
    evaluation.
    """

    variant: str
    is_reference: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether it is an oracle's, here or as it was published: never a contender."""
        return self.family == BOUND

    @property
    def is_yardstick(self) -> bool:
        """Whether it is an oracle's that may be exceeded."""
        return self.is_bound and self.recipe.get("oracle") == _YARDSTICK

    @property
    def is_matched(self) -> bool:
        """Whether it is a unified whose training was matched to another variant's: a control."""
        return self.family == MATCHED

    @property
    def control_of(self) -> Mapping[str, Any] | None:
        """The recipe of which this is the placebo; None for any other variant."""
        swapped = (one.of.as_json() for one in effects_of(self.recipe) if isinstance(one, Swapped))
        return next(swapped, None)


def name_variants(
    declarations: Iterable[Declaration],
    origins: "Mapping[str, Origin] | None" = None,
    references: Collection[str] = (),
) -> list[Variant]:
    """Return one variant a recipe, in the order of their making. `references` are the runs chosen as such.

    Of several recipes with one plain name, the reference keeps it; else the first that was made here (not
    imported) with default parameters on the newest ground (data, base and version), else the first made
    there. So no newer run takes a name away. The others are called name@<variant_id>. Other names under which
    a recipe was declared become its aliases, unless they are somebody's name.
    """
    known = origins or {}
    chosen = {lineage(run_id, known) for run_id in references} - {None}
    ordered = sorted(declarations, key=lambda entry: entry.variant_id)
    merged = [_merge(list(group)) for _, group in groupby(ordered, key=lambda entry: entry.variant_id)]
    merged = [
        replace(one, is_reference=True) if lineage(one.run_id, known) in chosen else one for one in merged
    ]
    began: dict[_Claim, str] = {}
    for one in merged:
        claim = _claim(one, known)
        began[claim] = min(began.get(claim, one.made_at), one.made_at)
    holders: dict[str, Variant] = {}
    for one in sorted(merged, key=lambda one: (one.made_at, one.variant_id)):
        held = holders.setdefault(one.name, one)
        ours, theirs = _claim(one, known), _claim(held, known)
        if (*ours[1:4], began[ours]) > (*theirs[1:4], began[theirs]):
            holders[one.name] = one
    named = [
        one if holders[one.name] is one else replace(one, variant=f"{one.name}@{one.variant_id}")
        for one in merged
    ]
    taken = {variant.variant for variant in named}
    cleared = [
        replace(one, aliases=tuple(name for name in one.aliases if name not in taken)) for one in named
    ]
    return sorted(cleared, key=lambda variant: (variant.made_at, variant.variant))


def _claim(one: Variant, origins: "Mapping[str, Origin]") -> _Claim:
    """A variant's claim to its plain name, the time apart: name, reference, made here, default, ground."""
    origin = origins.get(one.run_id)
    if origin is None:
        return one.name, one.is_reference, True, one.default, ""
    ground = fingerprint([origin.data_hash, origin.base, origin.version], 16)
    return one.name, one.is_reference, bool(origin.data_hash), one.default, ground


def resolve(name: str, known: Iterable[Variant]) -> Variant | None:
    """Return the variant that `name` means: its name on screens, an alias, or its plain name.

    Of several with one plain name it is the reference, else the first made with default parameters, else the
    first made.
    """
    candidates = sorted(known, key=lambda one: (not one.is_reference, not one.default, one.made_at))
    for variant in candidates:
        if variant.variant == name:
            return variant
    return next((one for one in candidates if name in one.aliases or name == one.name), None)


def resolved(name: str, known: Sequence[Variant]) -> Variant:
    """Return the same. Raises EngineError, with the nearest name, where it means none."""
    found = resolve(name, known)
    if found is None:
        raise unknown_name("variant", name, [one.variant for one in known])
    return found


def _merge(entries: list[Declaration]) -> Variant:
    """One variant out of its declarations."""
    entries.sort(key=lambda entry: (entry.made_at, entry.run_id))
    first = entries[0]
    names = [name for entry in entries for name in (entry.name, *entry.aliases) if name != first.name]
    told = {field.name: getattr(first, field.name) for field in fields(first)}
    told["aliases"] = tuple(dict.fromkeys(names))
    told["default"] = any(entry.default for entry in entries if entry.name == first.name)
    return Variant(**told, variant=first.name)


# --- the same but for the seed


@dataclass(frozen=True, slots=True)
class Origin:
    """What decides a run, its seed apart. `upstream` maps a role to a run id."""

    experiment: str
    version: int
    seed: int
    data_hash: str
    base: str
    parameters: Mapping[str, Any]
    upstream: Mapping[str, str]


def repeats(variants: Iterable[Variant], origins: Mapping[str, Origin]) -> dict[str, str]:
    """Return variant id -> id of the variant that it repeats with another seed.

    Of several such variants the reference is repeated by the others, else the one made with default settings,
    else the first.
    """
    groups: dict[tuple[str, str], list[tuple[Variant, str]]] = {}
    for variant in variants:
        found = lineage(variant.run_id, origins)
        if found is not None:
            groups.setdefault((variant.name, found[0]), []).append((variant, found[1]))
    repeated = {}
    for group in groups.values():
        first, seeds = min(group, key=_precedence)
        for variant, others in group:
            if variant.variant_id != first.variant_id and others != seeds:
                repeated[variant.variant_id] = first.variant_id
    return repeated


def _precedence(found: tuple[Variant, str]) -> tuple[bool, bool, str, str]:
    one = found[0]
    return not one.is_reference, not one.default, one.made_at, one.variant_id


def lineage(run_id: str, origins: Mapping[str, Origin]) -> tuple[str, str] | None:
    """Return the hash of a run and its upstreams without seeds, and that of their seeds.

    None where one of them is gone.
    """
    origin = origins.get(run_id)
    if origin is None:
        return None
    above = {role: lineage(run, origins) for role, run in sorted(origin.upstream.items())}
    if None in above.values():
        return None
    known = {role: found for role, found in above.items() if found is not None}
    made = [origin.experiment, origin.version, origin.data_hash, origin.base, dict(origin.parameters)]
    recipe = fingerprint([*made, {role: found[0] for role, found in known.items()}], 16)
    return recipe, fingerprint([origin.seed, {role: found[1] for role, found in known.items()}], 16)


# --- another persona's adapters or memories in place of the own


def placebos(variants: Iterable[Variant], origins: Mapping[str, Origin]) -> dict[str, str]:
    """Return variant id -> id of its placebo over the same base; of several the one made first."""
    known = list(variants)
    base = {one.run_id: origins[one.run_id].base for one in known if one.run_id in origins}
    found: dict[str, str] = {}
    for placebo in sorted(known, key=lambda one: one.made_at):
        of = placebo.control_of
        for variant in known if of is not None else ():
            if normal(variant.recipe) == of and base.get(variant.run_id) == base.get(placebo.run_id):
                found.setdefault(variant.variant_id, placebo.variant_id)
    return found


def matched(variants: Iterable[Variant], origins: Mapping[str, Origin]) -> dict[str, str]:
    """Return variant id -> id of the unified that was trained on as much as all behind it; of several the
    one made first."""
    known = sorted(variants, key=lambda one: one.made_at)
    found: dict[str, str] = {}
    for control in known:
        origin = origins.get(control.run_id)
        of = origin.upstream.get(MATCHED_TO) if control.is_matched and origin is not None else None
        for variant in known if of is not None else ():
            if variant.run_id == of:
                found.setdefault(variant.variant_id, control.variant_id)
    return found


def above(comparison: Comparison | None, *, control: str = "placebo") -> dict[str, Any] | None:
    """Return a row's `above_placebo`: variant less placebo, paired by persona, with its interval and p.

    `p` is uncorrected: each variant has one placebo, declared beforehand. None without a placebo. The same
    for another `control`.
    """
    if comparison is None:
        return None
    told = comparison.as_json()
    return {
        control: comparison.reference,
        f"{control}_mean": comparison.reference_mean,
        **{name: told[name] for name in _ABOVE},
    }


# --- of one plain name


def distinctions(variants: Iterable[Variant], origins: Mapping[str, Origin]) -> dict[str, str]:
    """Return variant id -> words such as "history 20, unified's epochs 2", where a plain name is shared.

    Told is what is not the same for all that share it: parameters, seeds, data and base, a run's own and
    those of the runs it is built on.
    """
    groups: dict[str, list[Variant]] = {}
    for variant in variants:
        groups.setdefault(variant.name, []).append(variant)
    told = {}
    for group in groups.values():
        made = [_settings(variant.run_id, origins) for variant in group]
        names = dict.fromkeys(name for settings in made for name in settings)
        apart = [name for name in names if len({settings.get(name) for settings in made}) > 1]
        through = [
            name
            for name in apart
            if name.endswith("'s seed") and all(one.get(name) == one.get("seed") for one in made)
        ]
        apart = [name for name in apart if name not in through]  # the run's own seed says it
        for variant, settings in zip(group, made, strict=True):
            words = [f"{name} {settings[name]}" for name in apart if name in settings]
            if words:
                told[variant.variant_id] = ", ".join(words)
    return told


def _settings(run_id: str, origins: Mapping[str, Origin], whose: str = "") -> dict[str, str]:
    """Everything that decides a run and the runs below it, in words, its own first."""
    origin = origins.get(run_id)
    if origin is None:
        return {}
    own: dict[str, Any] = {
        **origin.parameters,
        "seed": origin.seed,
        "version": origin.version,
        "data": origin.data_hash[:8],
        "base": origin.base,
    }
    told = {f"{whose}{name.replace('_', ' ')}": spelled(value) for name, value in own.items()}
    for role, run in sorted(origin.upstream.items()):
        named = origins[run].experiment if role == "of" and run in origins else role
        told |= _settings(run, origins, f"{whose}{named}'s ")
    return told


# --- what had to be trained


@dataclass(frozen=True, slots=True)
class Outlay:
    """Trained parameters and the seconds it took; `seconds` is None where some run told no time."""

    parameters: int
    seconds: float | None


def outlays(variants: Iterable[Variant], origins: Mapping[str, Origin]) -> dict[str, Outlay]:
    """Return the outlay of each variant, by its name on screens."""
    known = list(variants)
    by_run: dict[str, list[Variant]] = {}
    for one in known:
        by_run.setdefault(one.run_id, []).append(one)
    return {one.variant: _outlay(one, by_run, origins) for one in known}


def _outlay(variant: Variant, by_run: Mapping[str, list[Variant]], origins: Mapping[str, Origin]) -> Outlay:
    runs = below(variant.run_id, origins, without=MATCHED_TO) - {variant.run_id}
    trained = [_largest(by_run[run]) for run in sorted(runs) if run in by_run]
    made = [variant, *trained]
    seconds = [one.train_seconds or (0.0 if not one.parameters_trained else None) for one in made]
    times = [value for value in seconds if value is not None]
    return Outlay(
        parameters=sum(one.parameters_trained for one in made),
        seconds=sum(times) if len(times) == len(made) else None,
    )


def _largest(made: Iterable[Variant]) -> Variant:
    """The variant that stands for what a run trained: the variants of one run share their adapters."""
    return max(made, key=lambda one: (one.parameters_trained, one.train_seconds or 0.0))


def below(run_id: str, origins: Mapping[str, Origin], *, without: str = "") -> set[str]:
    """Return the run and all that it is built on, through every role but `without`."""
    found, open_ = set[str](), [run_id]
    while open_:
        run = open_.pop()
        if run not in found:
            found.add(run)
            above = origins[run].upstream if run in origins else {}
            open_ += [one for role, one in above.items() if role != without]
    return found
