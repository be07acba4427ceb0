"""Known truths, found: in worlds whose truth is known, the instrument finds what is there and only that.

The embedded base, real training and real answers, on 20 personas. With 200 the same is measured by
`python -m engine bench calibrate`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from engine.core.paths import Workspace, read_json
from engine.data import prepare
from engine.data.worlds import WORLDS, draw_household
from engine.results import store
from engine.stats.compare import Comparison, compare
from engine.stats.pairing import index, pair
from tests.in_process import do

PERSONAS = 20
SETTINGS = {"examples_per_persona": 6, "splits": ["test"]}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def world(root: Path, name: str, *, dialogues: int) -> Workspace:
    ws = Workspace(root / name)
    prepare(ws, dataset=f"world:{name}", personas=PERSONAS, dialogues=dialogues, split="by-time")
    return ws


def run(ws: Workspace, experiment: str, **parameters: Any) -> Path:
    return ws.run_folder(do(ws, experiment, {**SETTINGS, **parameters}, beside=False).run_id)


def against(ws: Workspace, candidate: str, reference: str) -> Comparison:
    scores = store.score_table(ws, metric="embedding_similarity", split="test")
    columns = ["example_id", "persona_id", "value"]
    tables = {
        name: index(rows[columns].itertuples(index=False, name=None))
        for name, rows in scores.groupby("variant")
    }
    return compare(pair(tables[candidate], tables[reference]))


def test_where_there_are_types_they_are_found_and_an_adapter_a_cluster_beats_unified(tmp_path: Path) -> None:
    ws = world(tmp_path, "archetypes", dialogues=12)
    run(ws, "unified", epochs=2)
    found = read_json(run(ws, "clustering", k=[5]) / "clusters.json")["assignment"]
    drawn = {
        name: draw_household(WORLDS["archetypes"], seed=0, index=number).archetype
        for number, name in enumerate(sorted(found))
    }
    assert adjusted_rand_score([drawn[name] for name in found], list(found.values())) > 0.95
    run(ws, "cluster-from-unified", epochs=2)
    result = against(ws, "cluster-from-unified", "unified")
    assert result.delta > 0.01
    assert result.ci_low > 0.0
    assert result.p is not None
    assert result.p < 0.05


def test_where_everybody_is_different_her_own_history_beats_unified(tmp_path: Path) -> None:
    ws = world(tmp_path, "individualists", dialogues=8)
    run(ws, "unified", epochs=2)
    run(ws, "retrieval", k=1)
    result = against(ws, "unified+retrieval-1", "unified")
    assert result.delta > 0.01
    assert result.ci_low > 0.0
    assert result.p is not None
    assert result.p < 0.05
    told = read_json(run(ws, "clustering", k=[2, 5]) / "clusters.json")
    assert told["warning"], "there are no types, and nothing was said"


def test_where_nobody_differs_her_own_history_is_no_better_than_a_strangers(tmp_path: Path) -> None:
    ws = world(tmp_path, "uniform", dialogues=8)
    run(ws, "retrieval", over="base", k=1)
    run(ws, "placebo", of="retrieval", k=1)
    result = against(ws, "base+retrieval-1", "base+retrieval-1~placebo")
    assert result.n_paired == PERSONAS
    assert result.ci_low < 0.0 < result.ci_high
