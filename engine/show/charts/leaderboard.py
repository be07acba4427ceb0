"""The leaderboard as a table, one row a variant; and many metrics at once, each cell a sign and a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

from engine.core.types import Row
from engine.core.wording import known, outcome_counts, p_value, signed_points
from engine.domains.metric import Metric
from engine.results.comparing import row_role
from engine.show.for_whom import improved
from engine.stats.co_primary import standing
from engine.stats.verdicts import BETTER, EQUAL, WORSE, verdict

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
    records = [_record(row, reference, metric) for row in rows]
    return pd.DataFrame(records, columns=list(_COLUMNS))


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


SIGNS: Final[Mapping[str, str]] = {BETTER: "▲", WORSE: "▼", EQUAL: "="}
OPEN: Final = "○"
NOT_SCORED: Final = "–"
# Blue is gain and orange loss, as everywhere: who sees no red or green tells them apart, in both themes.
COLOURS: Final[Mapping[str, str]] = {"▲": "rgba(42, 111, 168, 0.28)", "▼": "rgba(194, 99, 26, 0.28)"}


def verdict_table(found: Mapping[str, tuple[Metric, Sequence[Mapping[str, Any]]]]) -> pd.DataFrame:
    """Return one row a variant, in the order of the first metric, and one column a metric, as texts.

    `found` maps a metric's label to it and to the rows of its comparison. Those that do not compete are
    left out. A cell is a sign and the difference (points for fractions): "▲ +2.3".
    """
    names = list(
        dict.fromkeys(row["variant"] for _, rows in found.values() for row in rows if row_role.competes(row))
    )
    told = {
        label: {
            row["variant"]: _cell(row, metric)
            for row in rows
            if row["delta"] is not None and row_role.competes(row)
        }
        for label, (metric, rows) in found.items()
    }
    table = {label: [cells.get(name, NOT_SCORED) for name in names] for label, cells in told.items()}
    return pd.DataFrame({"variant": names, **table})


def _cell(row: Mapping[str, Any], metric: Metric) -> str:
    word = verdict(row, higher_is_better=metric.higher_is_better)
    return f"{SIGNS.get(word, OPEN)} {metric.change(row['delta'])}"
