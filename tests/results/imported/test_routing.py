"""Routing on published scores: what is a bound, what is a result, and that it says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results.comparing.comparison import compare_variants
from engine.results.imported import import_study
from engine.results.imported.routing import route_imported
from tests.results.imported.published import PERSONAS, write_study
from tests.workspaces import make_workspace


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder: Path = tmp_path_factory.mktemp("routing")
    ws = Workspace(folder / "ws")
    import_study(ws, write_study(folder / "study"))
    return ws


def test_the_bound_is_the_best_for_each_and_nobody_loses(ws: Workspace) -> None:
    found = route_imported(ws)
    bound = found.rules[0]
    assert (found.fallback, bound.kind) == ("unified", "bound")
    assert set(bound.routes) == set(PERSONAS)
    assert bound.comparison.losses == 0
    assert bound.comparison.wins == sum(name != "unified" for name in bound.routes.values())
    assert sum(bound.shares.values()) == pytest.approx(1.0)
    published = next(row for row in compare_variants(ws)["rows"] if row["variant"].endswith("best-of-all"))
    assert bound.comparison.delta is not None
    assert bound.comparison.delta >= published["delta"]  # it chooses among more variants
    assert "selective_routing" not in found.candidates


def test_what_is_chosen_on_other_personas_is_the_result(ws: Workspace) -> None:
    one = route_imported(ws).rules[1]
    assert one.kind == "result"
    assert set(one.routes.values()) == {"unified"}  # nothing is better on the whole
    assert one.comparison.delta == 0.0


def test_a_margin_keeps_more_personas_where_they_are(ws: Workspace) -> None:
    free, strict = route_imported(ws).rules[0], route_imported(ws, margin=0.03).rules[0]
    assert strict.comparison.wins < free.comparison.wins
    assert strict.shares["unified"] > free.shares["unified"]


def test_the_command_says_what_is_a_bound_and_why(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route-imported", "-w", str(ws.root)]) == 0
    said = capsys.readouterr()
    bound = next(line for line in said.out.splitlines() if line.startswith("best for each"))
    assert "bound" in bound
    assert "as published" in said.out
    assert "one mean a persona on one split" in said.err
    assert main(["route-imported", "--json", "-w", str(ws.root)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {rule["kind"] for rule in found["rules"]} == {"bound", "result", "as published"}


def test_without_an_import_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="No published study was imported"):
        route_imported(make_workspace(tmp_path))


def test_a_metric_without_direction_is_refused(ws: Workspace) -> None:
    with pytest.raises(EngineError, match="no better and worse"):
        route_imported(ws, metric="length_ratio")
