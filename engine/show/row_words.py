"""A row of a comparison in words, as screens, the command line and the report print it.

What it gains, for whom, and what training has to do with it: its ground, its seeds, its noise, its budget.
Computes no statistic and draws no table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from engine.core.types import Row
from engine.core.wording import count, p_value, percent, percents, signed_points
from engine.domains.metric import Metric
from engine.results.comparing import row_role
from engine.stats.levels import ALPHA

COUNTED = ("p (Holm)", "personas", "better", "equal", "worse", "lost > 10")


def row_words(row: Row, metric: Metric, *, improved: str) -> list[str]:
    """Return variant, mean, difference, interval and verdict, then what COUNTED names, then `improved`.

    Of the reference there is a mean, and whom it is over.
    """
    first = [row["variant"], metric.level(row["mean"])]
    if row_role.is_reference(row):
        return [*first, "", "", "reference", "", str(row["n_paired"]), *[""] * 5]
    return [
        *first,
        metric.change(row["delta"]),
        metric.spread(row["ci_low"], row["ci_high"]),
        row["verdict"],
        p_value(row["p_holm"]),
        *(str(row[name]) for name in ("n_paired", "wins", "ties", "losses")),
        str(row["catastrophic"]) if metric.in_points else "",
        improved,
    ]


def gain_words(row: Row | None, metric: Metric) -> str:
    """Word a difference with its interval: "+1.2 (−0.4 to +2.8)"; "not made" without one."""
    if not row or row["delta"] is None:
        return "not made"
    return f"{metric.change(row['delta'])} ({metric.spread(row['ci_low'], row['ci_high'])})"


def improved(row: Row) -> float | None:
    """Return the share that truly gains, luck taken out; the raw one where examples do not tell."""
    share: float | None = row["share_improved"] if row.get("true_share") is None else row["true_share"]
    return share


def for_whom(row: Row, metric: Metric) -> str:
    """Word it for a row of `compare_variants`; empty where its examples do not say."""
    if row["between"] is None or row["p_between"] is None:
        return ""
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
    """Word one persona's effect with luck taken out: "+1.2 (−0.4 to +2.8), a gain with a chance of 92 %"."""
    told = f"{metric.change(effect)} ({metric.spread(low, high)})"
    return f"{told}, a gain with a chance of {_chance(chance)}"


def _chance(chance: float) -> str:
    """A chance is never worded as certain either way."""
    return "over 99 %" if chance > 0.995 else "under 1 %" if chance < 0.005 else percent(chance)


Worded = Callable[[float], str]
WITHIN, BEYOND = "within", "beyond"


def training_lines(row: Row, *, difference: Worded = signed_points) -> list[str]:
    """Return the lines that belong beside one variant's difference; `difference` words one of its size."""
    return list(_lines(row, difference))


def noise_word(row: Row) -> str:
    """Say in one word whether a difference is more than training alone makes; "" where nobody knows."""
    return {None: "", True: BEYOND, False: WITHIN}[row.get("above_noise")]


def tokens_words(tokens: float | None) -> str:
    """Word a number of tokens: "1.2 M tokens"; "" where it is not known."""
    if not tokens:
        return ""
    if tokens >= 1e6:
        return f"{tokens / 1e6:,.1f} M tokens"
    return f"{tokens / 1e3:,.0f} k tokens" if tokens >= 9_500 else count(round(tokens), "token")


def _lines(row: Row, difference: Worded) -> Iterator[str]:
    if row.get("built_on"):
        yield f"Compared with {row['built_on']}, which it is built on."
    seeds = row.get("seeds")
    if seeds and row_role.is_reference(row):
        yield f"Mean over {count(seeds['n'], 'seed')}."
    elif seeds:
        each = ", ".join(difference(one) for one in seeds["deltas"])
        share = seeds["share_of_variance"]
        of_all = f"; the seeds' share of the variance is {percent(share)}" if share is not None else ""
        alone = len({own for own, _ in row["compared"]}) == 1
        whose = "the reference's " if alone else ""
        yield f"Mean over {whose}{count(seeds['n'], 'seed')}, one by one {each}{of_all}."
    if row.get("above_noise") is False:
        limit = difference(row["noise_limit"]).removeprefix("+")
        yield f"Within the noise of training: by chance alone, seeds differ by up to ± {limit}."
    if row.get("steps"):
        tokens = tokens_words(row.get("train_tokens"))
        yield f"Trained in {count(row['steps'], 'step')}{f' on {tokens}' if tokens else ''}, all behind it."
    matched = row.get("above_matched")
    if matched and matched["delta"] is not None:
        yield f"Over a unified trained on as much: {difference(matched['delta'])}."
