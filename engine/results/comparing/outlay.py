"""What had to be trained to have a variant: by its own run, and by every run that one is built on.

A retrieval over an adapter costs the adapter, a merge all the adapters it merges. Each run counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.results.comparing.repeats import Origin
from engine.results.variants import Variant


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
    below = _built_on(variant.run_id, origins) - {variant.run_id}
    trained = [_largest(by_run[run]) for run in sorted(below) if run in by_run]
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


def _built_on(run_id: str, origins: Mapping[str, Origin]) -> set[str]:
    found, open_ = set[str](), [run_id]
    while open_:
        run = open_.pop()
        if run not in found:
            found.add(run)
            open_ += origins[run].upstream.values() if run in origins else ()
    return found
