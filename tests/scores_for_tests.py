"""What tests ask of scores: a reply's values in all text metrics, and a run's files as one wide table."""

from __future__ import annotations

import pandas as pd

from engine.core.paths import Workspace
from engine.domains.metrics import METRICS
from engine.domains.smart_home import SMART_HOME
from engine.runs import answers

SIMILARITY = "embedding_similarity"


def score_texts(prediction: str, reference: str) -> dict[str, float | None]:
    """Return every metric of `prediction` against `reference` that needs no model, by name."""
    chosen = [METRICS[name] for name in SMART_HOME.metrics if METRICS[name].of_texts is not None]
    return {one.name: one.values_of(prediction, reference)[""] for one in chosen}


def scores_of(ws: Workspace, run_id: str) -> pd.DataFrame:
    """Return one row an answer of a run, with a column a metric."""
    return answers.read(ws, run_id).wide()
