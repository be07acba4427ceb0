"""What answers from results rest on: each part of it, once it is another, makes them anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

from engine.core.paths import Workspace, write_json
from engine.results import store
from engine.results.comparing import frozen, looks
from engine.results.comparing.lasting import rests_on, results_of
from engine.results.comparing.sharing import PERSONAS
from engine.strategies.plan import plan
from tests.workspaces import finish


def _more_runs(ws: Workspace) -> None:
    finish(ws, "gain", {"lift": 0.05})


def _a_run_less(ws: Workspace) -> None:
    shutil.rmtree(ws.run_folder(plan(ws, "gain").target.run_id))


def _adapters_gone(ws: Workspace) -> None:
    (ws.adapters("gain-00000000") / PERSONAS).unlink()


def _looked_at(ws: Workspace) -> None:
    looks.record(ws, looks.TestSet("one"), "p", {"a": "gain"}, {"similarity"})


def _planned(ws: Workspace) -> None:
    frozen.path(ws).write_text("{}\n")


def _other_choices(ws: Workspace) -> None:
    write_json(ws.config, {**ws.read_config(), "primary": "chrf"})


def _other_data(ws: Workspace) -> None:
    path = ws.dataset / "dialogues.jsonl"
    path.write_text(path.read_text() + "\n")


@pytest.mark.parametrize(
    "change",
    [_more_runs, _a_run_less, _adapters_gone, _looked_at, _planned, _other_choices, _other_data],
)
def test_an_answer_is_made_anew_when_what_it_rests_on_is_another(
    ws: Workspace, change: Callable[[Workspace], None]
) -> None:
    finish(ws, "gain")
    write_json(ws.adapters("gain-00000000") / PERSONAS, {"a": {}})
    store.refresh(ws)
    before = rests_on(ws, results_of(ws))
    assert rests_on(ws, results_of(ws)) == before
    change(ws)
    store.refresh(ws)
    assert rests_on(ws, results_of(ws)) != before


def test_another_place_is_another_command(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rests_on(ws, results_of(ws))
    os.rename(ws.root, ws.root.with_name("moved"))
    moved = Workspace(ws.root.with_name("moved"))
    assert rests_on(moved, results_of(moved)) != before
