"""Looks at test: counted once a variant and protocol, whatever happens to the database or the file's end."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.paths import Workspace
from engine.results import store
from engine.results.comparing import looks
from engine.results.comparing.comparison import compare_variants
from engine.strategies import registry
from tests.experiments_for_tests import EXPERIMENTS
from tests.workspaces import finish, make_workspace


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name, entry in EXPERIMENTS.items():
        monkeypatch.setitem(registry.EXPERIMENTS, name, entry)
    return make_workspace(tmp_path)


def test_a_variant_counts_once_a_protocol(ws: Workspace) -> None:
    assert looks.record(ws, "one", {"a": "unified", "b": "base"}) == 2
    assert looks.record(ws, "one", {"a": "unified"}) == 2
    assert looks.record(ws, "one", {"c": "cluster"}) == 3
    assert looks.record(ws, "other", {"a": "unified"}) == 1
    assert [look.variant for look in looks.seen(ws, "one")] == ["unified", "base", "cluster"]


def test_a_torn_line_costs_nothing_else(ws: Workspace) -> None:
    looks.record(ws, "one", {"a": "unified"})
    with (ws.data / "looks.jsonl").open("a") as file:
        file.write('{"at": "2024')
    assert looks.record(ws, "one", {"b": "base"}) == 2
    assert {look.variant_id for look in looks.seen(ws, "one")} == {"a", "b"}


def test_comparing_on_test_is_a_look_and_on_val_is_none(ws: Workspace) -> None:
    finish(ws, "gain")
    assert compare_variants(ws, reference="count", split="val")["test_looks"] == 0
    assert compare_variants(ws, reference="count")["test_looks"] == 1
    assert compare_variants(ws, reference="count", metric="device_f1")["test_looks"] == 1
    assert [look.variant for look in looks.seen(ws, compare_variants(ws)["protocol"])] == ["gain"]


def test_a_rebuilt_database_forgets_no_look(ws: Workspace) -> None:
    finish(ws, "gain")
    protocol = compare_variants(ws, reference="count")["protocol"]
    store.rebuild(ws)
    assert len(looks.seen(ws, protocol)) == 1
