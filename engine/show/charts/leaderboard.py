"""The leaderboard as a table, one row a variant, and who of its rows competes."""

from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from engine.core.types import Row
from engine.core.wording import known, outcome_counts, p_value, signed_points
from engine.domains.metric import Metric
from engine.results.comparing import row_role
from engine.stats.co_primary import standing
from engine.stats.verdicts import improved, verdict

REPEATED: Final = {
    row_role.REPEAT: "another seed",
    **{one: one for one in (row_role.ELSEWHERE, row_role.PLACEBO, row_role.MATCHED, row_role.GROUND)},
}
_COLUMNS = (
    *("variant", "role", "mean", "delta", "interval", "verdict", "p"),
    *("wins", "ties", "losses", "counts", "improved", "lost", "n_paired", "settings", "second"),
)


def leaderboard_table(rows: Sequence[Row], *, reference: str, metric: Metric) -> pd.DataFrame:
    """Return the table of variants in the order of `rows`.

    Columns: variant, role, mean and delta (points; plain numbers when not in points), interval, verdict,
    p, wins, ties, losses, counts ("17 / 1 / 2"), improved (percent), lost (personas), n_paired,
    settings (what tells variants of one plain name apart), second (where the second primary metric stands).
    """
    return pd.DataFrame([_record(row, reference, metric) for row in rows], columns=list(_COLUMNS))


def _record(row: Row, reference: str, metric: Metric) -> dict[str, Any]:
    is_reference = row["variant"] == reference
    own = str(row.get("role"))
    role = row_role.REFERENCE if is_reference else own if row_role.is_bound(row) else REPEATED.get(own, "")
    share = improved(row)
    blank = dict.fromkeys(("delta", "wins", "ties", "losses", "improved", "lost"))
    told: dict[str, Any] = {
        "delta": _scaled(row["delta"], metric.factor),
        "interval": metric.spread(row["ci_low"], row["ci_high"]),
        "verdict": role or verdict(row, higher_is_better=metric.higher_is_better),
        "p": p_value(row["p_holm"]),
        "wins": row["wins"],
        "ties": row["ties"],
        "losses": row["losses"],
        "counts": outcome_counts(row["wins"], row["ties"], row["losses"]) if row["n_paired"] else "",
        "improved": None if share is None else 100 * share,
        "lost": row["catastrophic"],
    }
    if is_reference:
        told = {**blank, "interval": "", "verdict": "reference", "p": "", "counts": ""}
    return {
        "variant": row["variant"],
        "role": role,
        "mean": _scaled(row["mean"], metric.factor),
        "n_paired": row["n_paired"],
        "settings": row.get("settings", ""),
        "second": "" if is_reference else second_word(row),
        **told,
    }


def second_word(row: Row) -> str:
    """Word where the second primary metric of a row stands, its difference first; "" where it has none."""
    held = row.get("co_primary")
    return f"{signed_points(held['delta'])}, {standing(held)}" if held and known(held["delta"]) else ""


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value
