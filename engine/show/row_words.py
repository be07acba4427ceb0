"""A row of a comparison in words, as screens, the command line and the report print it.

What it gains, and what training has to do with it: its ground, its seeds, its noise, its budget.
Computes no statistic and draws no table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.core.types import Row
from engine.core.wording import count, p_value, percent, signed_points
from engine.domains.metric import Metric
from engine.results.comparing import row_role

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
