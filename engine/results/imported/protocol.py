"""What published scores were scored under, as far as their files say, and the warnings that deserves.

Owns the fields of an imported protocol. One import is one protocol: its variants stand in one table, paired
by persona, and the warnings name all in which they were not scored alike.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from engine.core.wording import count, listed, points
from engine.results.imported.files import PUBLISHED_METRIC
from engine.results.imported.study import PublishedVariant, Study

PAIRED_BY = "persona"
SPLIT = "test"
_MANY_ALIKE = 0.5


def protocol_fields(study: Study) -> dict[str, Any]:
    """Return the fields of the protocol: JSON values, the same for the same files."""
    scored = [one for one in study.variants if one.scores]
    return {
        "imported": True,
        "paired_by": PAIRED_BY,
        "splits": [SPLIT],
        "scored_on": {one.name: scored_on(one) for one in scored},
        "decoding": _decoding(study.config) or "not said",
        "metrics_version": "as published",
        "files": dict(study.digests),
        "warnings": warnings(study),
    }


def scored_on(variant: PublishedVariant) -> dict[str, Any]:
    """Return how many personas and examples a variant was scored on; None where nobody says."""
    numbers = [score.n_examples for score in variant.scores if score.n_examples is not None]
    return {
        "personas": len(variant.scores),
        "examples": sum(numbers) if numbers else None,
        "fewest": min(numbers, default=None),
        "most": max(numbers, default=None),
        "said_by": variant.counted,
    }


def examples_words(variant: PublishedVariant) -> str:
    """Word the examples a persona: "10", "18 to 50", "not said"; a star marks an inferred number."""
    told = scored_on(variant)
    if told["fewest"] is None:
        return "not said"
    low, high = told["fewest"], told["most"]
    return (f"{low}" if low == high else f"{low} to {high}") + ("*" if told["said_by"] == "inferred" else "")


def warnings(study: Study) -> list[str]:
    """Return what a reader must know before believing a comparison, one sentence each."""
    own = [one for one in study.variants if one.scores and one.derived is None]
    routed = [one for one in study.variants if one.config.get("not_own")]
    found = [
        *_different_examples(own),
        *_different_personas(own, len(study.personas)),
        *_sampled(study),
        *_zero_for_undefined(own),
        *_alike(own),
        *map(_not_own, routed),
        *_weighted(own),
        *_averages(study.variants),
    ]
    return [
        *found,
        "The split is taken to be test; a choice made with these scores is a choice made on test.",
    ]


def _different_examples(variants: Sequence[PublishedVariant]) -> list[str]:
    by_number: dict[str, list[str]] = defaultdict(list)
    for one in variants:
        by_number[examples_words(one).rstrip("*")].append(one.name)
    if len(by_number) < 2:
        return []
    told = "; ".join(
        f"{listed(names)} {'does not say' if words == 'not said' else words}"
        for words, names in by_number.items()
    )
    return [f"Not scored on the same examples (a persona): {told}. Differences hold this, too."]


def _different_personas(variants: Sequence[PublishedVariant], all_personas: int) -> list[str]:
    by_number: dict[int, list[str]] = defaultdict(list)
    for one in variants:
        if len(one.scores) < all_personas:
            by_number[len(one.scores)].append(one.name)
    return [
        f"{listed(names)}: {number} of {count(all_personas, 'persona')} only; compared on those."
        for number, names in by_number.items()
    ]


def _sampled(study: Study) -> list[str]:
    words = _decoding(study.config)
    if words is None:
        return ["The files do not say how replies were decoded."]
    return [f"Decoding: {words}. A second run would give other scores."] if "sampled" in words else []


def _decoding(config: Any) -> str | None:
    told = config.get("generation")
    if not isinstance(told, dict):
        return None
    if not told.get("do_sample"):
        return "greedy"
    settings = (f"{name} {told[name]}" for name in ("temperature", "top_p") if name in told)
    return ", ".join(["sampled", *settings])


def _zero_for_undefined(variants: Sequence[PublishedVariant]) -> list[str]:
    """Numbers are rare in replies: a very low mean precision shows undefined values taken as 0."""
    if not any(map(_is_far_below, variants)):
        return []
    return [
        "Metrics are as published. Numerical precision is far below parameter precision,"
        " as when examples without a number count as 0."
    ]


def _is_far_below(variant: PublishedVariant) -> bool:
    told = [score.values for score in variant.scores]
    pairs = [
        (one.get("numerical_precision"), one.get("param_precision", one.get("param_f1"))) for one in told
    ]
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    return bool(known) and sum(one for one, _ in known) < 0.5 * sum(other for _, other in known)


def _alike(variants: Iterable[PublishedVariant]) -> list[str]:
    """Files in which most personas hold one and the same score: a mean in place of their own."""
    found = []
    for one in variants:
        values = Counter(score.values.get(PUBLISHED_METRIC) for score in one.scores)
        value, times = values.most_common(1)[0]
        if value is not None and times >= _MANY_ALIKE * len(one.scores) and times > 1:
            found.append(
                f"{one.name}: {times} of {len(one.scores)} personas hold the same score ({points(value)}),"
                " a mean in place of their own; its published scores are no comparison by persona."
            )
    return found


def _not_own(variant: PublishedVariant) -> str:
    """A router's file whose scores are not those of the personas under what was chosen for them."""
    told = ""
    if variant.config["alike"]:
        value, times = variant.config["alike"][0]
        told = f" ({times} hold {points(value)})" if times > 1 else ""
    return (
        f"{variant.name}: {variant.config['not_own']} of {len(variant.scores)} published scores are not the"
        f" persona's own{told}, so the published mean of {points(variant.average[PUBLISHED_METRIC])} is set"
        " aside; the choices are kept and each persona's own score is taken."
    )


def _weighted(variants: Iterable[PublishedVariant]) -> list[str]:
    """Published averages over examples: personas with more examples weigh more in them."""
    found = [
        f"{one.name} {points(published)} (over personas {points(one.mean)})"
        for one in variants
        if (published := one.average.get(PUBLISHED_METRIC)) is not None
        and points(published) != points(one.mean)
    ]
    told = ", ".join(found)
    return [f"Published means over examples, not personas: {told}. Here the persona is the unit."] * bool(
        found
    )


def _averages(variants: Iterable[PublishedVariant]) -> list[str]:
    return [
        f"{one.name} holds an average only ({points(one.mean)} over"
        f" {one.config.get('num_personas') or 'an unknown number of'} personas): it cannot be paired."
        for one in variants
        if not one.scores
    ]
