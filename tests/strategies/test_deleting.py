"""Runs that are deleted: whole, undone as they were, and never from under others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.core.errors import EngineError
from engine.core.paths import Workspace
from engine.results import store
from engine.runs import labels
from engine.runs.records import scan
from engine.runs.runfolder import Status, read_status, write_status
from engine.strategies import deleting, reference
from engine.strategies.cloning import clone, naming_parent
from engine.strategies.plan import plan
from tests.sample_study import finish, prepare_world


@pytest.fixture
def study(tmp_path: Path) -> Workspace:
    ws = prepare_world(tmp_path, personas=3, dialogues=6)
    finish(ws, "unified", "retrieval", per_persona=2)
    store.refresh(ws)
    return ws


def _runs(ws: Workspace) -> dict[str, str]:
    return {record.experiment: record.run_id for record in scan(ws)}


def _files(ws: Workspace) -> dict[str, bytes]:
    roots = (ws.runs, ws.models)
    return {
        str(one): one.read_bytes()
        for root in roots
        for one in root.rglob("*")
        if one.is_file() and one.name[0] != "."
    }


def test_a_deleted_run_is_gone_everywhere_and_comes_back_as_it_was(study: Workspace) -> None:
    run_id = _runs(study)["retrieval"]
    labels.label(study, [run_id], star=True)
    adapter = study.adapters(run_id) / "x" / "adapter.bin"
    adapter.parent.mkdir(parents=True)
    adapter.write_bytes(b"weights")
    before, variants = _files(study), {one.variant for one in store.variants(study)}
    (gone,) = deleting.delete(study, [run_id])
    assert gone.run_id == run_id
    assert gone.size_bytes > len(b"weights")
    assert run_id not in _runs(study).values()
    assert not adapter.exists()
    assert {one.variant for one in store.variants(study)} == {"base", "unified"}
    deleting.restore(study, [run_id])
    assert _files(study) == before
    assert {one.variant for one in store.variants(study)} == variants
    assert labels.read(study)[run_id].star
    assert deleting.deleted(study) == []


def test_files_are_removed_only_by_purging(study: Workspace) -> None:
    run_id = _runs(study)["retrieval"]
    deleting.delete(study, [run_id])
    assert deleting.purge(study, [run_id]) > 0
    assert not [path for path in study.data.rglob("*") if run_id in str(path)]
    with pytest.raises(EngineError, match="no deleted run"):
        deleting.restore(study, [run_id])


def test_what_others_stand_on_is_refused(study: Workspace) -> None:
    runs = _runs(study)
    with pytest.raises(EngineError, match=f"1 run built on {runs['unified']}: {runs['retrieval']}"):
        deleting.delete(study, [runs["unified"]])
    with pytest.raises(EngineError, match="is the reference"):
        deleting.delete(study, [runs["unified"], runs["retrieval"]])
    deleting.delete(study, list(runs.values()))  # with all that is compared with it, it may go
    assert store.variants(study) == []
    deleting.restore(study, list(runs.values()))
    chosen = [one.run_id for one in reference.references(study).values()]
    assert chosen == [runs["unified"]]
    folder = study.run_folder(runs["retrieval"])
    os.remove(folder / "done.json")
    write_status(folder, Status(state="queued", order=read_status(folder).order))
    with pytest.raises(EngineError, match="in the queue"):
        deleting.delete(study, [runs["retrieval"]])


def test_a_clone_names_its_parent_and_is_the_run_it_would_be_without(study: Workspace) -> None:
    parent = _runs(study)["retrieval"]
    made = clone(study, parent, seed=5)
    assert made.target.spec.cloned_from == parent
    assert (
        made.target.run_id
        == plan(study, "retrieval", seed=5, upstream=made.target.spec.upstream).target.run_id
    )
    other = naming_parent(study, plan(study, "retrieval", seed=6), "../elsewhere")
    assert other.target.spec.cloned_from == ""
