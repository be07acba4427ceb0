"""Many metrics at once: every variant's difference in each, with its verdict as a sign and as a colour."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

from engine.domains.metric import Metric
from engine.results.comparing import row_role
from engine.stats.verdicts import BETTER, EQUAL, WORSE, verdict

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
