"""Who shares what was trained, and what that does to a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.core.paths import Workspace, write_json
from engine.results.comparing import sharing
from engine.results.comparing.comparison import compare_variants
from engine.results.comparing.pairings import compare_within
from engine.results.variants import Variant
from tests.steps_for_tests import PERSONAS
from tests.workspaces import finish

PEOPLE = [f"p{place}" for place in range(6)]


def variant(name: str, recipe: dict[str, Any]) -> Variant:
    return Variant(
        name, name, name, recipe, 1, 1.0, (), run_id=name, made_at="2026-01-01", default=True, variant=name
    )


def held(ws: Workspace, run: str, names: list[str]) -> None:
    entries = {
        person: [{"run": run, "name": name, "weight": 1.0}]
        for person, name in zip(PEOPLE, names, strict=True)
    }
    write_json(ws.adapters(run) / sharing.PERSONAS, entries)


def test_groups_are_those_who_share_all_that_was_trained(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    held(ws, "c-1", ["a", "a", "b", "b", "b", "a"])
    held(ws, "own-1", PEOPLE)
    found = sharing.groups(
        ws,
        [
            variant("cluster", {"adapters": [{"run": "c-1"}]}),
            variant("on-unified", {"adapters": [{"run": "u-1", "name": "unified"}, {"run": "c-1"}]}),
            variant("own", {"adapters": [{"run": "own-1"}]}),
            variant("own-on-cluster", {"adapters": [{"run": "c-1"}, {"run": "own-1"}]}),
            variant("unified", {"adapters": [{"run": "u-1", "name": "unified"}]}),
            variant("gone", {"adapters": [{"run": "g-1"}]}),
        ],
    )
    assert found == {
        name: {"p0": 0, "p1": 0, "p2": 1, "p3": 1, "p4": 1, "p5": 0} for name in ("cluster", "on-unified")
    }


def test_a_table_resamples_what_is_shared_by_its_groups(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(ws, "gain")
    before = next(row for row in compare_variants(ws, reference="count")["rows"] if row["variant"] == "gain")
    assert before["n_clusters"] is None
    groups = {before["variant_id"]: dict(zip(PERSONAS, [0, 0, 1, 1, 2, 2], strict=True))}
    monkeypatch.setattr(sharing, "groups", lambda *_, **__: groups)
    after = next(row for row in compare_variants(ws, reference="count")["rows"] if row["variant"] == "gain")
    assert (after["ci_kind"], after["n_clusters"], after["delta"]) == ("clusters", 3, before["delta"])
    assert after["ci_high"] - after["ci_low"] > before["ci_high"] - before["ci_low"]
    assert after["p_holm"] > before["p"]
    found = compare_variants(ws, reference="gain")
    mirrored = next(row for row in found["rows"] if row["variant"] == "count")
    spans = [row["ci_high"] - row["ci_low"] for row in (mirrored, after)]
    assert (mirrored["n_clusters"], spans[0]) == (3, pytest.approx(spans[1]))  # whichever side shares
    within = next(row for row in compare_within(ws, found, PERSONAS)["rows"] if row["variant"] == "count")
    assert within["ci_low"] == pytest.approx(mirrored["ci_low"])
