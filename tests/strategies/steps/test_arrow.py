"""Arrow as a run: a library of what four personas trained, scored, read over, mixed, chatted with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.lm.arrow import direction, load_library
from engine.lm.effects import Library, Weights, read_recipe
from engine.lm.recipes import Shelf, read_personas
from engine.lm.respond import respond
from engine.results import store
from engine.results.store.intake import read_finished
from engine.runs.runfolder import RunSpec
from engine.serve.export import export
from engine.serve.lineage import lineage
from tests import in_process
from tests.scores_for_tests import scores_of
from tests.tiny_base import prepare_study

SETTINGS = {"examples_per_persona": 2, "max_new_tokens": 6}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def do(ws: Workspace, experiment: str, **parameters: Any) -> RunSpec:
    return in_process.do(ws, experiment, {**SETTINGS, **parameters})


@pytest.fixture(scope="module")
def ws(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = prepare_study(tmp_path_factory.mktemp("study"), tiny_base, world="archetypes", dialogues=6)
    do(ws, "unified", epochs=1)
    do(ws, "hybrid", epochs=1, learning_rate=0.01)
    return ws


@pytest.fixture(scope="module")
def done(ws: Workspace) -> RunSpec:
    return do(ws, "arrow", top_k=2)


def test_the_library_holds_every_personas_adapter_and_stands_on_unified(ws: Workspace, done: RunSpec) -> None:
    shelf, below = Shelf(ws), done.upstream["adapters"]
    (variant,) = read_finished(ws, done.run_id).variants
    first, second = read_recipe(variant.recipe).effects
    assert isinstance(first, Weights)
    assert first.name == "unified"
    assert second == Library(done.run_id, "library")
    library = load_library(ws.adapter(done.run_id, "library"))
    assert (library.top_k, library.temperature) == (2, 1.0)
    own = [part for parts in read_personas(ws, below).values() for part in parts]
    assert len(own) == 4
    for part in own:
        for path, (a, b) in (lora := shelf.lora(part.run, part.name)).factors.items():
            held = library.modules[path]
            (place,) = [n for n in range(4) if torch.equal(held.a[n], a)]
            torch.testing.assert_close(held.b[place], b * lora.scale)
            torch.testing.assert_close(held.direction[place], direction(a, b * lora.scale))


def test_it_is_scored_for_everybody_and_what_stands_on_it_runs(ws: Workspace, done: RunSpec) -> None:
    assert len(scores_of(ws, done.run_id)) == 4 * 2 * 2
    over = do(ws, "retrieval", over="arrow", k=[1])
    mixed = do(ws, "mixture", first="arrow", second="hybrid")
    for spec in (over, mixed):
        assert len(scores_of(ws, spec.run_id)) == 4 * 2 * 2
    (variant,) = read_finished(ws, done.run_id).variants
    told = respond(
        ws, persona_id="persona_001", recipe=variant.recipe, message="Good evening.", max_new_tokens=6
    )
    assert told["reply"]
    shown = lineage(ws, Shelf(ws), read_recipe(variant.recipe), persona_id="persona_001")
    assert [effect["kind"] for effect in shown["sides"][0]["adapters"]] == ["weights", "library"]


def test_it_is_no_set_of_weights_and_nothing_about_it_is_personal(
    ws: Workspace, done: RunSpec, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match="many adapters token by token"):
        export(ws, next(one for one in store.variants(ws) if one.variant == "arrow"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(EngineError, match="placebo|personal|alike"):
        do(ws, "placebo", of="arrow")
    assert read_json(ws.run_folder(done.run_id) / "done.json")["summary"]["adapters"] == 4
