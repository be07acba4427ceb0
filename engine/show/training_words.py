"""What training has to do with a difference, in words: its ground, its seeds, its noise, its budget.

Words rows of `compare_variants`; computes no statistic.
"""

from collections.abc import Callable, Iterator

from engine.core.types import Row
from engine.core.wording import count, percent, signed_points
from engine.domains.metric import Metric
from engine.results.comparing import row_role

Worded = Callable[[float], str]
WITHIN, BEYOND = "within", "beyond"


def training_lines(row: Row, *, difference: Worded = signed_points) -> list[str]:
    """Return the lines that belong beside one variant's difference; `difference` words one of its size."""
    return list(_lines(row, difference))


def noise_word(row: Row) -> str:
    """Say in one word whether a difference is more than training alone makes; "" where nobody knows."""
    return {None: "", True: BEYOND, False: WITHIN}[row.get("above_noise")]


def noise_words(noise: Row, metric: Metric) -> str:
    """Tell what seeds have differed by from what they may by chance; "" where nothing was repeated."""
    if noise["limit"] is None:
        return ""
    seen, limit = (f"{metric.size(noise[name])}{metric.unit_words}" for name in ("floor", "limit"))
    return (
        f"Trainings of one recipe from other seeds have differed by up to {seen}. Going by "
        f"{count(noise['pairs'], 'pair')} of repeats, two of them may differ by {limit} by chance alone."
    )


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
        of_all = (
            "" if share is None else f"; the seed makes {percent(share)} of the variance of one training's"
        )
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
