"""A row of a comparison in words, as the command line and the report print it. Draws no table."""

from collections.abc import Sequence

from engine.core.types import Row
from engine.core.wording import count, p_value
from engine.domains.metric import Metric
from engine.results.comparing import row_role
from engine.stats.verdicts import among

COUNTED = ("p (Holm)", "personas", "better", "equal", "worse", "lost > 10")


def row_words(row: Row, metric: Metric, *, improved: str) -> list[str]:
    """Return variant, mean, difference, interval and verdict, then what COUNTED names, then `improved`.

    Of the reference there is a mean, and whom it is over; where neither direction is better nobody gains.
    """
    first = [row["variant"], metric.level(row["mean"])]
    if row_role.is_reference(row):
        return [*first, "", "", "reference", "", str(row["n_paired"]), *[""] * 5]
    first += [metric.change(row["delta"]), metric.spread(row["ci_low"], row["ci_high"])]
    if metric.higher_is_better is None:
        return [*first, row["role"] or "", "", str(row["n_paired"]), *[""] * 5]
    return [
        *first,
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


def power_words(rows: Sequence[Row], metric: Metric) -> str:
    """Word what the verdict finds of those that compete, no bound and no control; "" where nobody tells."""
    judged = [row for row in rows if row_role.competes(row) and row["min_detectable_effect"]]
    if not judged:
        return ""
    fewest, most = (over(row["n_paired"] for row in judged) for over in (min, max))
    people = f"{fewest} to {count(most, 'persona')}" if fewest < most else count(most, "persona")
    found = [row["min_detectable_effect"] for row in judged]
    found = [one for one in (min(found), max(found)) if not metric.in_points or one <= 1]
    if not found:
        return f"{people} are too few to find any true difference{among(judged[0])}."
    sizes = " to ".join(dict.fromkeys(map(metric.size, found)))
    return (
        f"{people} find a true difference of {sizes}{metric.unit_words}{among(judged[0])} in four of five"
        " studies; smaller ones are easily missed."
    )
