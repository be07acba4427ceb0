"""What a comparison's numbers mean in one word, and why in a line. Owns the rule; computes no statistic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from engine.core.wording import count, p_value, signed, signed_points, span
from engine.stats.co_primary import DOWN, OPEN, UP, Beside, beside_words, standing
from engine.stats.levels import ALPHA, NOISE

BETTER: Final = "better"
WORSE: Final = "worse"
EQUAL: Final = "equal"
UNCLEAR: Final = "not clear"


def outcome(difference: float, *, higher_is_better: bool | None = True, margin: float = 0.0) -> str:
    """Return the word for a difference: better or worse by more than `margin`, else equal."""
    if abs(difference) <= margin + NOISE or higher_is_better is None:
        return EQUAL
    return BETTER if (difference > 0) == higher_is_better else WORSE


def verdict(row: Mapping[str, Any], *, higher_is_better: bool | None = True) -> str:
    """Return better or worse where the interval leaves out 0 and Holm's p, if there is one, is below ALPHA.

    Otherwise equal, where the row's test says that the difference is within the margin (Holm's p of that, if
    there is one), else not clear. A row with a second primary metric (`co_primary`) is better only where
    that one is not worse.
    """
    if _leaves_out_zero(row) and not _fails_family(row):
        return weighed(outcome(row["ci_low"], higher_is_better=higher_is_better), row.get("co_primary"))
    return EQUAL if _is_small(row) else UNCLEAR


def judging_p(row: Mapping[str, Any], *, family: int) -> float | None:
    """Return the p that a row is judged by, before it is corrected over `family` variants."""
    p: float | None = row["p_strict"] if family > 1 else row["p_alone"]
    return p


def alone(row: Mapping[str, Any], *, among: int = 1) -> dict[str, Any]:
    """Return the row as the one that was declared beforehand: nothing is corrected for other variants.

    `among` is how many metrics it answers for, 1 where the metric was declared too.
    """
    different, equal = (
        None if p is None else min(1.0, among * p) for p in (judging_p(row, family=1), row["p_equal"])
    )
    return {**row, "p_holm": different, "p_equal_holm": equal, "family_size": 1}


def weighed(word: str, beside: Beside | None) -> str:
    """Return the verdict on both metrics, from the word for the primary one."""
    if beside is None or word not in (BETTER, WORSE):
        return word
    stands, (primary, second) = standing(beside), beside["words"]
    if word == BETTER and stands == DOWN:
        return f"{primary} up, {second} down"
    if word == WORSE and stands == UP:
        return f"{primary} down, {second} up"
    return UNCLEAR if word == BETTER and stands == OPEN else word


def why(row: Mapping[str, Any], *, higher_is_better: bool | None = True, in_points: bool = True) -> str:
    """Return in a line what a verdict rests on or what it lacks; empty where there is nothing to add."""

    unit = " points" if in_points else ""

    def word(value: float) -> str:
        return signed_points(value) if in_points else signed(value, 2)

    def size(value: float) -> str:
        return f"{word(value).removeprefix('+')}{unit}"

    noise = "within the noise of training" if row.get("above_noise") is False else ""
    low, high, within = row["ci_low"], row["ci_high"], row.get("equal_margin")
    if not _known(low) or not _known(high):
        return str(row.get("reason") or "")
    if _leaves_out_zero(row):
        if _fails_family(row):
            p = judging_p(row, family=1)
            is_clear = p is not None and p < ALPHA
            alone = f"clear alone (p {p_value(p)})" if is_clear else "clear by its interval alone"
            told = among(row).lstrip() or "for so few or so lopsided personas"
            return f"{alone}, not {told} (p {p_value(row['p_holm'])})"
        if _is_weighed(row, higher_is_better):
            return beside_words(row["co_primary"])
        small = f"but by less than {size(within)}" if within and _is_small(row) else ""
        return f"but {noise}" if noise else small
    if _is_small(row):
        return f"surely less than {size(within)} either way" if within else ""
    within_it = span(100 * low, 100 * high, 1) if in_points else span(low, high, 2)
    told = f"anything from {within_it}{unit} fits"
    if low == high == 0:
        few = f", in too few examples ({row['n_examples']}) to call it equal" if within else ""
        told = f"nobody differs{few}"
    return f"{told}; {noise}" if noise else told


def improved(row: Mapping[str, Any]) -> float | None:
    """Return the share that truly gains, luck taken out; the raw one where examples do not tell."""
    share: float | None = row["share_improved"] if row.get("true_share") is None else row["true_share"]
    return share


def among(row: Mapping[str, Any]) -> str:
    """Word what a row's corrected p answers for: " among 9 variants in 10 metrics"; "" where for itself."""
    numbers = {"variant": row.get("family_size") or 1, "metric": row.get("among_metrics") or 1}
    told = [count(number, name) for name, number in numbers.items() if number > 1]
    return f" among {' in '.join(told)}" if told else ""


def _is_weighed(row: Mapping[str, Any], higher_is_better: bool | None) -> bool:
    """Whether the second primary metric makes the verdict another one."""
    beside, word = row.get("co_primary"), outcome(row["ci_low"], higher_is_better=higher_is_better)
    return weighed(word, beside) != word


def _leaves_out_zero(row: Mapping[str, Any]) -> bool:
    """Whether there is an interval and 0 is not in it."""
    low, high = row["ci_low"], row["ci_high"]
    return _known(low) and _known(high) and not low <= 0 <= high


def _fails_family(row: Mapping[str, Any]) -> bool:
    corrected = row.get("p_holm")
    return corrected is not None and corrected >= ALPHA


def _is_small(row: Mapping[str, Any]) -> bool:
    corrected = row.get("p_equal_holm")
    p = row.get("p_equal") if corrected is None else corrected
    return p is not None and p < ALPHA


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
