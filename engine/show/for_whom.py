"""For whom a variant works, in words: whether personas truly differ, and what one of them truly gets.

Words what engine/stats/heterogeneity.py found; computes no statistic.
"""

from collections.abc import Sequence

from engine.core.types import Row
from engine.core.wording import p_value, percent, percents
from engine.domains.metric import Metric
from engine.stats.levels import ALPHA


def for_whom(row: Row, metric: Metric) -> str:
    """Word it for a row of `compare_variants`; empty where its examples do not say."""
    if row["between"] is None or row["p_between"] is None:
        return ""
    share = f"{percent(row['share_improved'])} of personas look better."
    if row["true_share"] is not None:
        share = (
            f"{percent(row['true_share'])} of personas truly gain"
            f" ({percents(row['true_share_low'], row['true_share_high'])}); "
            f"{percent(row['share_improved'])} look so."
        )
    p = p_value(row["p_between"])
    if row["p_between"] >= ALPHA:
        return (
            f"{share} Personas differ no more than their few examples make them seem (p {p}): who gains and "
            "who loses may be luck."
        )
    return (
        f"{share} Personas truly differ (p {p}): their gains spread by {metric.size(row['between'])} around "
        f"the mean, and {percent(row['reliability'])} of the spread that is seen is no luck."
    )


def differing(rows: Sequence[Row]) -> str:
    """Word under which variants personas truly differ."""
    names = [row["variant"] for row in rows if row["p_between"] is not None and row["p_between"] < ALPHA]
    if not names:
        return "Under no variant do personas differ more than luck: who gains and who loses may be chance."
    return f"Personas truly differ under {', '.join(names)}; elsewhere who gains and who loses may be luck."


def single(metric: Metric, effect: float, low: float, high: float, chance: float) -> str:
    """Word one persona's effect with luck taken out: "+1.2 (−0.4 to +2.8), a gain with a chance of 92 %".

    The effect is signed so that more is better, and worded as the metric's differences are.
    """
    ends = sorted((metric.sign * low, metric.sign * high))
    told = f"{metric.change(metric.sign * effect)} ({metric.spread(*ends)})"
    return f"{told}, a gain with a chance of {_chance(chance)}"


def _chance(chance: float) -> str:
    """A chance is never worded as certain either way."""
    return "over 99 %" if chance > 0.995 else "under 1 %" if chance < 0.005 else percent(chance)
