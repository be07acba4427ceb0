"""Which variant is the placebo of which, and how far a variant is above its own. Reads nothing.

A placebo is its variant with another persona's adapters or memories. What a variant gains over it is what it
knows of the persona; what both gain over unified is more training or a longer prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.lm.effects import normal
from engine.results.comparing.repeats import Origin
from engine.results.variants import Variant
from engine.stats.compare import Comparison

_FIELDS = ("delta", "ci_low", "ci_high", "p", "n_paired", "wins", "ties", "losses", "min_detectable_effect")


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


def above(comparison: Comparison | None) -> dict[str, Any] | None:
    """Return a row's `above_placebo`: variant less placebo, paired by persona, with its interval and p.

    `p` is uncorrected: each variant has one placebo, declared beforehand. None without a placebo.
    """
    if comparison is None:
        return None
    told = comparison.as_json()
    return {
        "placebo": comparison.reference,
        "placebo_mean": comparison.reference_mean,
        **{name: told[name] for name in _FIELDS},
    }
