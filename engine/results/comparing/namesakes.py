"""What tells variants of one plain name apart: the settings in which the runs that made them differ.

Reads nothing; the store hands in where runs come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.core.wording import spelled
from engine.results.comparing.repeats import Origin
from engine.results.variants import Variant


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
        told |= _settings(run, origins, f"{whose}{role}'s ")
    return told
