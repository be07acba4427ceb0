"""What runs brought, and who changed sides between two of them. Judges nothing: verdicts are Compare's.

A run that made several variants is told by its best one in the metric, contenders first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.core.paths import Workspace
from engine.domains.metric import Metric
from engine.results.comparing import row_role
from engine.results.comparing.pairings import differences, pairings
from engine.stats.verdicts import EQUAL

Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Brought:
    """The row of a comparison that stands for a run, and how many variants the run made."""

    row: Mapping[str, Any]
    variants: int


def by_run(found: Found, metric: Metric) -> dict[str, Brought]:
    """Return run id -> what it brought, in a comparison (of `compare_variants`)."""
    held: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["rows"]:
        if row["protocol"] == found["protocol"]:
            held.setdefault(row["run_id"], []).append(row)

    def worth(row: Mapping[str, Any]) -> tuple[bool, float]:
        mean = row["mean"]
        level = float("-inf") if mean is None else metric.sign * mean
        return row_role.takes_part(row), level

    return {run_id: Brought(max(rows, key=worth), len(rows)) for run_id, rows in held.items()}


def changed_sides(ws: Workspace, found: Found, variants: Sequence[str], metric: Metric) -> pd.DataFrame:
    """Return one row a persona that both variants serve, the farthest apart first.

    Columns: persona_id; first and second (the differences to what each is compared with); apart (the second's
    mean less the first's); better ("first", "second" or "equal": under which); changed (under one better and
    under the other worse than what it is compared with).
    """
    table = differences(pairings(ws, found, variants=list(variants))).set_index(["persona_id", "variant"])
    wide = table[["difference", "candidate"]].unstack("variant")
    held = dict(zip(("first", "second"), variants, strict=True))
    columns = {side: ("difference", name) for side, name in held.items()}
    columns |= {f"mean_{side}": ("candidate", name) for side, name in held.items()}
    if not all(column in wide for column in columns.values()):
        return pd.DataFrame(columns=[*_SIDES])
    made = pd.DataFrame({name: wide[column] for name, column in columns.items()}).dropna()
    made = made.reset_index(names="persona_id")
    made["apart"] = made["mean_second"] - made["mean_first"]
    made["better"] = [_better(metric.sign * value) for value in made["apart"]]
    made["changed"] = made["first"] * made["second"] < 0
    order = made["apart"].abs().sort_values(ascending=False, kind="stable").index
    return made.loc[order, list(_SIDES)].reset_index(drop=True)


_SIDES = ("persona_id", "first", "second", "apart", "better", "changed")


def _better(gain: float) -> str:
    return EQUAL if gain == 0 else "second" if gain > 0 else "first"
