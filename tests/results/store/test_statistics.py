"""Kept statistics: there when scores come in, only read afterwards, and never of scores that are gone."""

from __future__ import annotations

import json
import shutil
from typing import Any

import duckdb
import pandas as pd
import pytest

from engine.core.kept import ENGINE
from engine.core.paths import Workspace
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.results.store import statistics
from engine.runs import manifest
from tests.stats.leaderboards import leaderboard
from tests.test_imports import imports
from tests.workspaces import finish


@pytest.fixture
def ws(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(statistics, "DEFAULT_REFERENCES", ("count",))
    return ws


def kept(ws: Workspace) -> list[tuple[Any, ...]]:
    connection = duckdb.connect(str(ws.database))
    rows = connection.execute(
        "select protocol, split, reference_id, metric, variant_id, record from statistics order by all"
    ).fetchall()
    connection.close()
    return rows


def test_they_are_there_when_the_scores_are_in_and_a_question_adds_nothing(ws: Workspace) -> None:
    finish(ws, "gain")
    store.refresh(ws)
    before = kept(ws)
    assert len(before) == 2 * 2 * 3  # splits, variants, metrics; one reference
    compare_variants(ws, reference="count", metric="device_f1")
    assert kept(ws) == before
    compare_variants(ws, reference="gain")
    assert len(kept(ws)) == len(before) + 2


def test_kept_or_computed_they_are_the_same(ws: Workspace) -> None:
    finish(ws, "gain")
    scores = store.score_table(ws, metric="device_f1", split="test")
    tables = {
        str(name): [
            (example, persona, None if pd.isna(value) else value)
            for example, persona, value in zip(
                table["example_id"], table["persona_id"], table["value"], strict=True
            )
        ]
        for name, table in scores.groupby("variant")
    }
    expected = {
        row.variant: row.as_json() for row in leaderboard(tables, reference="count", equal_margin=0.01)
    }
    found = compare_variants(ws, reference="count", metric="device_f1")
    for row in found["rows"]:
        wanted = expected[row["variant"]]
        for p in ("p_holm", "p_equal_holm"):  # a metric that is not the primary one answers for all of them
            if wanted[p] is not None:
                wanted[p] = min(1.0, found["among_metrics"] * wanted[p])
        assert {name: row[name] for name in wanted} == wanted


def test_what_is_missing_is_computed_a_few_at_a_time_and_counted(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(ws, "gain")
    there = compare_variants(ws, reference="count")
    monkeypatch.setattr(statistics, "VERSION", "another")
    monkeypatch.setattr(statistics, "_AT_ONCE", 1)
    monkeypatch.setattr(store, "_TURN_SECONDS", 0.0)
    left: list[int] = []
    token = store.COUNTING.set(left.append)
    again = compare_variants(ws, reference="count")
    store.COUNTING.reset(token)
    assert again == {**there, "test_looks": again["test_looks"]}
    assert left
    assert 0 not in left
    assert all(one < before for before, one in zip(left, left[1:], strict=False) if one > 1)


def test_new_scores_of_a_variant_replace_its_statistics(ws: Workspace) -> None:
    folder = ws.run_folder(finish(ws, "gain"))
    first = compare_variants(ws, reference="count")["rows"][1]["delta"]
    table = pd.read_parquet(folder / "scores.parquet")
    table.assign(embedding_similarity=table["embedding_similarity"] - 0.3).to_parquet(
        folder / "scores.parquet"
    )
    manifest.write(ws, folder.name)
    again = compare_variants(ws, reference="count")["rows"][1]["delta"]
    assert again == pytest.approx(first - 0.3)
    assert len({json.dumps(row[:5]) for row in kept(ws)}) == len(kept(ws))


_VERSIONS = """
select distinct version from statistics where split = 'test' and metric = 'embedding_similarity'
"""


def test_of_a_run_that_is_gone_nothing_is_kept(ws: Workspace) -> None:
    gain = finish(ws, "gain")
    store.refresh(ws)
    shutil.rmtree(ws.run_folder(gain))
    store.refresh(ws)
    assert len(kept(ws)) == 2 * 3


def test_statistics_of_an_older_kind_are_made_anew(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(ws, "gain")
    compare_variants(ws, reference="count")
    monkeypatch.setattr(statistics, "VERSION", "2-t")
    compare_variants(ws, reference="count")
    connection = duckdb.connect(str(ws.database))
    versions = connection.execute(_VERSIONS).fetchall()
    connection.close()
    assert versions == [("2-t-1",)]


def test_a_rebuild_keeps_the_same(ws: Workspace) -> None:
    finish(ws, "gain")
    store.refresh(ws)
    before = kept(ws)
    store.rebuild(ws)
    assert kept(ws) == before


def test_their_version_is_of_all_the_code_that_makes_them() -> None:
    """What a kept statistic says follows from the rooms named, and from what only reads and words."""
    assert all((ENGINE / name).exists() for name in statistics._ROOMS)
    inside = tuple(f"engine.{name.removesuffix('.py').replace('/', '.')}" for name in statistics._ROOMS)
    files = [path for name in statistics._ROOMS for path in ((ENGINE / name).rglob("*.py"))]
    files += [ENGINE / name for name in statistics._ROOMS if name.endswith(".py")]
    used = {
        name
        for path in files
        for name in imports(path.read_text(encoding="utf-8"))
        if name.startswith("engine.") and not name.startswith(inside)
    }
    outside = {name for name in used if (ENGINE.parent / f"{name.replace('.', '/')}.py").exists()}
    assert outside <= {
        *("engine.core.errors", "engine.core.kept", "engine.core.paths", "engine.core.wording"),
        *("engine.core.types", "engine.domains.metric", "engine.results.variants", "engine.runs.runfolder"),
        "engine.strategies.reference",
    }, sorted(outside)
