"""What a comparison is about: metric, split, protocol, reference and who is scored there.

Owns the choice of protocol and reference, and what is refused: names nobody knows, and variants that were
never scored like the reference, with the fields that differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from engine.core.base_identity import base_of
from engine.core.errors import EngineError, unknown_name
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.domains.metric import Metric
from engine.results import store
from engine.results.comparing import grounds, protocol_guard, row_role
from engine.results.store.statistics import DEFAULT_REFERENCES
from engine.results.variants import Origin, Variant, matched, placebos, repeats, resolve
from engine.runs.protocol import BASE, WRITTEN_AS
from engine.strategies import registry
from engine.strategies.tuned import NAME as TUNED


@dataclass(frozen=True, eq=False)
class Scene:
    """The ground of one comparison. `metric` is in the version that its scores have; `scored` is the coverage
    of the split, newest protocol first.

    `repeated` maps the id of a variant to that of the variant it repeats from another seed, `placebos` to
    that of its placebo, `matched` to that of its step-matched unified; `origins` says what each run was made
    from. `base` tells the contents of today's base model apart; None where it is not there. `pairs` says whom
    each variant is compared with (grounds.py).
    """

    metric: Metric
    split: str
    protocol: str
    reference: Variant
    scored: pd.DataFrame
    variants: Mapping[str, Variant]
    repeated: Mapping[str, str]
    fields: Mapping[str, Mapping[str, Any]]
    placebos: Mapping[str, str]
    matched: Mapping[str, str]
    origins: Mapping[str, Origin]
    base: str | None
    pairs: Mapping[str, tuple[grounds.Pair, ...]] = field(default_factory=dict)

    @cached_property
    def tried(self) -> set[str]:
        """The runs of settings that a tuning chose among."""
        made = (one for one in self.origins.values() if one.experiment == TUNED)
        return {run for one in made for run in one.upstream.values()}

    @property
    def older(self) -> tuple[str, ...]:
        """The hashes under which runs of the chosen protocol wrote it in an older form."""
        return tuple(self.fields[self.protocol].get(WRITTEN_AS, ()))

    @property
    def on_todays_base(self) -> bool:
        """Whether the chosen protocol stands on the base as it is now, or on none of ours."""
        return _stands_on(self.fields[self.protocol], self.base)

    @property
    def protocols(self) -> list[str]:
        """Every protocol with scores on the split, newest first."""
        return list(dict.fromkeys(str(name) for name in self.scored["protocol"]))

    def under(self, protocol: str) -> list[Variant]:
        """Return the variants scored under a protocol."""
        names = self.scored.loc[self.scored["protocol"] == protocol, "variant"]
        return [self.variants[str(name)] for name in names]

    def served(self, variant: Variant) -> int:
        """Return for how many personas a variant is scored under the chosen protocol."""
        return self._served.get(variant.variant, 0)

    @cached_property
    def _served(self) -> dict[str, int]:
        rows = self.scored[self.scored["protocol"] == self.protocol]
        return {str(name): int(n) for name, n in rows.groupby("variant")["personas"].sum().items()}

    def find(self, name: str) -> Variant | None:
        """Return the variant of that name scored under the chosen protocol."""
        return resolve(name, self.under(self.protocol))

    def elsewhere(self, name: str) -> tuple[str, Variant] | None:
        """Return the newest other protocol that a variant is scored under, and the variant."""
        for protocol in self.protocols:
            found = resolve(name, self.under(protocol))
            if found is not None:
                return protocol, found
        return None

    def role(self, variant: Variant) -> str:
        """Return why a variant does not compete: reference, bound, yardstick, placebo, step-matched unified,
        chosen here (on the very val scores that are shown), repeat, or ground of others that are compared
        with it; "" when it does."""
        if variant.variant_id not in self._roles:
            self._roles[variant.variant_id] = self._role(variant)
        return self._roles[variant.variant_id]

    @cached_property
    def _roles(self) -> dict[str, str]:
        return {}

    def _role(self, variant: Variant) -> str:
        if variant.variant_id == self.reference.variant_id:
            return row_role.REFERENCE
        if variant.is_bound:
            return row_role.YARDSTICK if variant.is_yardstick else row_role.BOUND
        if variant.control_of is not None:
            return row_role.PLACEBO
        if variant.is_matched:
            return row_role.MATCHED
        if self.split == "val" and self.is_in_sample(variant):
            return row_role.IN_SAMPLE
        if variant.variant_id in self.repeated:
            return row_role.REPEAT
        return row_role.GROUND if variant.variant_id in self._stood_on else ""

    @cached_property
    def _stood_on(self) -> set[str]:
        """The variants that others are compared with."""
        return {against for own, found in self.pairs.items() for one, against in found if one != against}

    def pairs_with(self, reference: Variant, *, alone: bool = False) -> dict[str, tuple[grounds.Pair, ...]]:
        """Return whom each variant is compared with where this is the reference: its ground, seed by seed.

        With `alone`, all are compared with this one variant itself.
        """
        there = self.under(self.protocol)
        if alone:
            return {one.variant_id: ((one.variant_id, reference.variant_id),) for one in there}
        stood = grounds.own_grounds(there, self.origins, reference)
        return grounds.pairs(there, stood, self.repeated, reference)

    def is_in_sample(self, variant: Variant) -> bool:
        """Say whether the val scores of a variant are those that its own run chose by, or a tuning: what that
        kept stands for all that it tried but the defaults."""
        origin = self.origins.get(variant.run_id)
        if variant.run_id in self.tried and not variant.default:
            return True
        made = registry.EXPERIMENTS.get(origin.experiment) if origin is not None else None
        return made is not None and origin is not None and origin.version < made.val_since

    def differences(self, protocol: str) -> list[protocol_guard.Difference]:
        """Return the fields in which another protocol differs from the chosen one."""
        return protocol_guard.differences(self.fields[self.protocol], self.fields[protocol])


class NotScored(EngineError):
    """Nothing is scored on the split that is asked for."""

    def __init__(self, split: str) -> None:
        super().__init__(f"Nothing is scored on {split} yet.", "Start with: python -m engine run unified")


def set_scene(
    ws: Workspace, *, metric: str | None, split: str, protocol: str | None, reference: str | None
) -> Scene:
    """Return the scene asked for; else the newest protocol with the reference, what was scored here before
    what was imported and today's base before others, and the study's primary metric.

    Raises NotScored where nothing is, EngineError for names nobody knows and for a reference scored under
    another protocol only.
    """
    kind = metrics.chosen(ws, metric)
    seen = store.overview(ws)
    scored = seen.coverage[seen.coverage["split"] == split]
    if scored.empty:
        raise NotScored(split)
    repeated = repeats(seen.variants.values(), seen.origins)
    base = _todays_base(ws)
    newest = dict.fromkeys(str(name) for name in scored["protocol"])
    fields = seen.protocols
    known = sorted(
        newest, key=lambda name: (bool(fields[name].get("imported")), not _stands_on(fields[name], base))
    )
    protocol = _todays_name(protocol, known, seen.protocols)
    if protocol is not None and protocol not in known:
        raise unknown_name("protocol", protocol, known)
    first = known[0] if protocol is None else protocol
    default = next(iter(scored.loc[scored["protocol"] == first, "variant"]))
    scene = Scene(
        kind,
        split,
        first,
        seen.variants[str(default)],
        scored,
        seen.variants,
        repeated,
        seen.protocols,
        placebos(seen.variants.values(), seen.origins),
        matched(seen.variants.values(), seen.origins),
        seen.origins,
        base,
    )
    scene = _choose(scene, [first] if protocol else known, reference)
    asked = reference in (None, *DEFAULT_REFERENCES) or scene.reference.is_reference
    pairs = scene.pairs_with(scene.reference, alone=not asked)
    return replace(scene, metric=seen.scored.in_force(kind, scene.protocol, split), pairs=pairs)


def refuse_strangers(scene: Scene, asked: Sequence[str], *, across_protocols: bool) -> set[str]:
    """Return the names on screens of the variants asked for.

    Raises EngineError for a name nobody knows, and, unless `across_protocols`, for a variant that is scored
    under another protocol only.
    """
    names = set()
    for name in asked:
        found = scene.find(name)
        if found is None:
            other = scene.elsewhere(name)
            if other is None:
                raise unknown_name("scored variant", name, dict.fromkeys(scene.scored["variant"]))
            protocol, found = other
            if not across_protocols:
                differ = scene.differences(protocol)
                raise protocol_guard.refusal(found.variant, scene.reference.variant, differ)
        names.add(found.variant)
    return names


def _todays_base(ws: Workspace) -> str | None:
    try:
        return base_of(ws).fingerprint
    except EngineError:  # no base is needed to look at results
        return None


def _stands_on(fields: Mapping[str, Any], base: str | None) -> bool:
    return base is None or fields.get(BASE) in (None, base)


def _todays_name(asked: str | None, known: Sequence[str], fields: Mapping[str, Any]) -> str | None:
    """The protocol asked for, also by a hash under which it was written in an older form."""
    if asked is None or asked in known:
        return asked
    return next((name for name in known if asked in fields[name].get(WRITTEN_AS, ())), asked)


def _choose(scene: Scene, protocols: Sequence[str], reference: str | None) -> Scene:
    for wanted in (reference,) if reference is not None else DEFAULT_REFERENCES:
        for candidate in protocols:
            there = scene.under(candidate)
            if reference is None:  # a repeat never becomes the reference by itself
                there = [one for one in there if one.variant_id not in scene.repeated]
            found = resolve(wanted, there)
            if found is not None:
                return replace(scene, protocol=candidate, reference=found)
    if reference is None:  # the first that may compete, if one may
        there = scene.under(scene.protocol)
        able = (one for one in there if not (one.is_bound or one.control_of is not None or one.is_matched))
        return replace(scene, reference=next(able, scene.reference))
    other = scene.elsewhere(reference)
    if other is not None:
        protocol, found = other
        raise protocol_guard.refusal(
            found.variant, f"the variants of {scene.protocol}", scene.differences(protocol)
        )
    known = [one.variant for protocol in protocols for one in scene.under(protocol)]
    raise unknown_name("scored variant", reference, dict.fromkeys(known))
