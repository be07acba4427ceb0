"""Where a reply comes from: routes, mixtures, weights and clusters, read from what runs leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.core.paths import Workspace, write_json
from engine.lm.effects import Activations, Recipe, Weights, read_recipe, steered
from engine.lm.recipes import Shelf, write_personas
from engine.runs.runfolder import RunSpec, write_spec
from engine.serve.lineage import lineage

HYBRID: dict[str, Any] = {"adapters": [{"run": "unified-1", "name": "unified"}, {"run": "hybrid-1"}]}
MERGED: dict[str, Any] = {"adapters": [{"run": "merge-1"}], "profile": True}


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    """Run folders by hand: a hybrid, a merge by cluster, and a routing between them."""
    ws = Workspace(tmp_path)
    upstreams = {
        "unified-1": {},
        "per-persona-1": {},
        "hybrid-1": {"unified": "unified-1"},
        "clustering-1": {},
        "merge-1": {"adapters": "per-persona-1", "clusters": "clustering-1"},
    }
    for run, upstream in upstreams.items():
        experiment = run.removesuffix("-1")
        spec = RunSpec(experiment, 1, {}, 0, "hash", "embedded", upstream=upstream)
        write_spec(ws.run_folder(run), spec)
    clusters = {"assignment": {"ana": 1, "bo": 0}, "sizes": [1, 1], "k": 2}
    write_json(ws.run_folder("clustering-1") / "clusters.json", clusters)
    write_personas(ws, "hybrid-1", {"ana": [Weights("hybrid-1", "ana")]})
    parts = [Weights("per-persona-1", "ana", 0.7), Weights("per-persona-1", "bo", 0.3)]
    write_personas(ws, "merge-1", {"ana": parts, "bo": parts})
    routes = {
        "metric": "embedding_similarity",
        "fallback": "unified",
        "routes": {
            "ana": {"variant": "hybrid", "gain_val": 0.03},
            "bo": {"variant": "merge", "gain_val": 0.0},
        },
        "candidates": {"hybrid": {"recipe": HYBRID}, "merge": {"recipe": MERGED}},
    }
    write_json(ws.run_folder("routing-1") / "routes.json", routes)
    return ws


def told(ws: Workspace, recipe: dict[str, Any], persona_id: str = "ana") -> dict[str, Any]:
    return lineage(ws, Shelf(ws), read_recipe(recipe), persona_id=persona_id)


def test_a_stack_names_each_adapter_and_the_run_that_made_it(ws: Workspace) -> None:
    found = told(ws, HYBRID)
    (side,) = found["sides"]
    assert [(one["name"], one["experiment"], one["weight"]) for one in side["adapters"]] == [
        ("unified", "unified", 1.0),
        ("ana", "hybrid", 1.0),
    ]
    assert (found["routes"], found["cluster"]) == ([], None)


def test_a_merge_names_its_weights_and_the_cluster_it_was_made_in(ws: Workspace) -> None:
    found = told(ws, MERGED)
    (side,) = found["sides"]
    assert [(one["name"], one["weight"]) for one in side["adapters"]] == [("ana", 0.7), ("bo", 0.3)]
    assert side["profile"]
    assert found["cluster"] == {"run": "clustering-1", "number": 1, "personas": 1, "of": 2}


def test_a_route_says_where_it_leads_and_why(ws: Workspace) -> None:
    (route,) = told(ws, {"route": "routing-1"})["routes"]
    assert (route["variant"], route["gain_val"], route["fallback"]) == ("hybrid", 0.03, "unified")
    other = told(ws, {"route": "routing-1"}, "bo")
    assert other["routes"][0]["variant"] == "merge"
    assert other["cluster"]["number"] == 0


def test_a_mixture_has_a_side_for_each_part_and_follows_its_routes(ws: Workspace) -> None:
    found = told(ws, {"mixture": {"weight": 0.6, "parts": [{"route": "routing-1"}, MERGED]}})
    assert [side["weight"] for side in found["sides"]] == pytest.approx([0.6, 0.4])
    assert [route["variant"] for route in found["routes"]] == ["hybrid"]


def test_an_adapter_outlives_its_runs_folder(ws: Workspace) -> None:
    (ws.run_folder("hybrid-1") / "spec.json").unlink()
    adapters = told(ws, HYBRID)["sides"][0]["adapters"]
    assert [one["experiment"] for one in adapters] == ["unified", None]


def test_what_is_togethertells_its_coefficients_and_kinds(ws: Workspace) -> None:
    together = steered(read_recipe(HYBRID), Recipe((Activations("s-1", "all", 2.0),)), 0.5)
    found = lineage(ws, Shelf(ws), together, persona_id="ana")
    assert [(side["weight"], side["coefficient"]) for side in found["sides"]] == [(1.0, 1.5), (1.0, -0.5)]
    (offset,) = found["sides"][1]["adapters"]
    assert (offset["kind"], offset["weight"], offset["experiment"]) == ("activations", 2.0, None)
