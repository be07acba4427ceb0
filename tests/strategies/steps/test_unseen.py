"""Personas kept out of all training: who serves them, and that nothing is ever made from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.core.paths import Workspace, read_json
from engine.data import prepare
from engine.data.dataset import load_splits
from engine.lm.features import load_features
from engine.runs import answers
from engine.strategies import registry
from engine.strategies.plan import plan
from tests.workspaces import leave

SETTINGS: dict[str, Any] = {"examples_per_persona": 1, "max_new_tokens": 4}
ELSEWHERE = {"frontier", "imported-adapters", "tuned"}  # they need an endpoint, files, or a tuning
GIVEN: dict[str, dict[str, Any]] = {
    "augmentation": {"methods": ["paraphrase"]},
    "context-steering": {"strengths": [0.5, 1.0]},
    "steering-vectors": {"replies": 1, "depths": [0.5], "scales": [0.0, 1.0]},
    "retrieval": {"k": [1]},
    "mixture": {"second": "retrieval", "weights": [0.4, 0.6]},
    "clustering": {"features": "both", "k": [2]},
    "matched": {"to": "hybrid"},
    "placebo": {"of": "retrieval"},
}


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Workspace:
    torch.set_num_threads(1)
    ws = Workspace(tmp_path_factory.mktemp("unseen"))
    prepare(ws, dataset="world:default", base=str(tiny_base), personas=9, dialogues=6, unseen=0.25)
    assert len(load_splits(ws).unseen) == 2
    return ws


def names_in(value: Any) -> Iterator[str]:
    """Yield every text in what a run left as JSON, keys too."""
    if isinstance(value, dict):
        for key, held in value.items():
            yield key
            yield from names_in(held)
    elif isinstance(value, list):
        for held in value:
            yield from names_in(held)
    elif isinstance(value, str):
        yield value


def done(ws: Workspace, name: str, **parameters: Any) -> str:
    """Do a run where it is not done yet; return its id."""
    planned = plan(ws, name, {**SETTINGS, **parameters})
    leave(ws, planned)
    return planned.target.run_id


@pytest.mark.parametrize("name", [one for one in registry.EXPERIMENTS if one not in ELSEWHERE])
def test_who_serves_unseen_personas_and_what_is_made_without_them(ws: Workspace, name: str) -> None:
    entry, unseen = registry.get(name), load_splits(ws).unseen
    quick = {"epochs": 1} if "epochs" in entry.parameters.model_fields else {}
    tried = {f"setting-{epochs}": done(ws, "unified", epochs=epochs + 1) for epochs in range(2)}
    given = {"upstream": tried} if name == "tuned" else {}
    planned = plan(ws, name, {**SETTINGS, **quick, **GIVEN.get(name, {})}, **given)
    leave(ws, planned)
    run_id = planned.target.run_id
    left = [*ws.run_folder(run_id).glob("*.json"), *ws.adapters(run_id).rglob("*.json")]
    acts = (
        ("personas", "routes", "vectors", "weights") if entry.traits.serves_unseen else ()
    )  # what acts for whom
    told = {
        path.name: mentioned
        for path in left
        if not path.name.startswith(acts) and (mentioned := unseen & set(names_in(read_json(path))))
    }
    assert told == {}  # nobody unseen is in a training, a clustering, a merge, a placebo or a sweep
    if name == "clustering":
        assert not unseen & set(load_features(ws.run_folder(run_id) / "features.npz").personas)
    if not (ws.run_folder(run_id) / "scores.parquet").exists():
        return
    table = answers.read(ws, run_id).answers.to_pandas()
    served = set(table.loc[table["split"] == "unseen", "persona_id"])
    assert served == (unseen if entry.traits.serves_unseen else set())
    assert not unseen & set(table.loc[table["split"] != "unseen", "persona_id"])
    shown = table.loc[(table["split"] == "unseen") & table["retrieved"].notna()]
    if name == "retrieval":
        assert len(shown) == len(unseen)
    for row in shown.itertuples():  # of her own, before what is judged
        assert f'"{row.persona_id}/' in row.retrieved
