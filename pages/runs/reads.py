"""What the Runs page reads of results, kept until they change: what each run brought, and who changed sides.

On validation, where choices are made: nothing here looks at test.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.domains import metrics
from engine.results.comparing import row_role, sides
from engine.results.comparing.comparison import compare_variants
from engine.runs import labels
from engine.runs.labels import Label
from pages.shared import frame, reads

SPLIT = "val"


@dataclass(frozen=True, slots=True)
class Score:
    """What a run brought in one metric: its best variant of so many, fractions throughout.

    Bounds, placebos and other controls do not compete; `verdict` then says what they are.
    """

    variant: str
    variants: int
    mean: float | None
    delta: float | None
    low: float | None
    high: float | None
    verdict: str
    competes: bool
    reference: str


@reads.lasting(dict[str, Score])
def scores(ws: Workspace, metric: str) -> dict[str, Score]:
    """Return run id -> its score under the newest protocol; nothing where none is scored."""
    try:
        found = compare_variants(ws, metric=metric, split=SPLIT, bands=False)
    except EngineError:
        return {}
    return {
        run_id: Score(
            variant=one.row["variant"],
            variants=one.variants,
            mean=one.row["mean"],
            delta=None if row_role.is_reference(one.row) else one.row["delta"],
            low=one.row["ci_low"],
            high=one.row["ci_high"],
            verdict=one.row["verdict"],
            competes=row_role.takes_part(one.row),
            reference=str(one.row["built_on"] or found["reference"]),
        )
        for run_id, one in sides.by_run(found, metrics.chosen(ws, metric)).items()
    }


def labelled(ws: Workspace) -> dict[str, Label]:
    """Return the labels of runs; none where they cannot be read, which is said: the runs stand without."""
    try:
        return labels.read(ws)
    except EngineError as error:
        frame.show_error(error)
        return {}


@reads.kept
def changed_sides(ws: Workspace, metric: str, first: str, second: str) -> pd.DataFrame:
    """Return `sides.changed_sides` of two variants under the newest protocol."""
    found: dict[str, Any] = compare_variants(ws, metric=metric, split=SPLIT, bands=False)
    return sides.changed_sides(ws, found, [first, second], metrics.chosen(ws, metric))
