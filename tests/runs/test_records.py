"""Runs as they are read: what is true now, and that nothing is read twice for nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from engine.core.paths import Workspace
from engine.runs import records
from engine.runs.records import scan
from engine.runs.runfolder import Status, read_status, write_status
from tests.many_runs import leave_history
from tests.sample_study import prepare_world

RUNS = 24


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = prepare_world(tmp_path_factory.mktemp("history"), personas=4, dialogues=6)
    leave_history(ws, RUNS, steps=2)
    return ws


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the status files that are read, by run; the reading itself is the real one."""
    counted: Counter[str] = Counter()

    def counting(folder: Path) -> Status:
        counted[folder.name] += 1
        return read_status(folder)

    monkeypatch.setattr(records, "read_status", counting)
    return counted


def test_a_second_look_reads_only_what_was_replaced(history: Workspace, reads: Counter[str]) -> None:
    before = scan(history)
    reads.clear()
    assert scan(history) == before
    assert not reads
    changed = before[3]
    write_status(history.run_folder(changed.run_id), Status(state="queued", order=changed.order))
    after = {record.run_id: record for record in scan(history)}
    assert set(reads) == {changed.run_id}
    assert (after[changed.run_id].state == "queued") == (changed.state != "succeeded")


def test_the_next_process_reads_only_what_was_replaced_since(
    history: Workspace, reads: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_MANY", RUNS // 2)
    records._KEPT.clear()
    before = scan(history)
    assert len(reads) == RUNS
    reads.clear()
    records._KEPT.clear()  # as in another process
    assert scan(history) == before
    at_work = {record.run_id for record in before if not record.ended}
    assert set(reads) == at_work
    one = next(record for record in before if record.state == "failed")
    write_status(history.run_folder(one.run_id), Status(state="cancelled", order=one.order))
    records._KEPT.clear()
    reads.clear()
    assert {record.run_id: record.state for record in scan(history)}[one.run_id] == "cancelled"
    assert set(reads) == {one.run_id} | at_work


def test_a_lost_manifest_and_a_deleted_run_are_seen_at_once(history: Workspace) -> None:
    done = [record for record in scan(history) if record.state == "succeeded"]
    (history.run_folder(done[0].run_id) / "done.json").unlink()
    again = {record.run_id: record for record in scan(history)}
    assert again[done[0].run_id].state == "lost"
    (history.run_folder(done[1].run_id) / "spec.json").unlink()
    assert done[1].run_id not in {record.run_id for record in scan(history)}
    assert len(scan(history)) == RUNS - 1


def test_a_run_whose_processes_die_is_seen_without_any_file_changing(history: Workspace) -> None:
    """The status says running; no process has ever worked on it here."""
    run = scan(history)[5]
    (history.run_folder(run.run_id) / "done.json").unlink(missing_ok=True)
    write_status(history.run_folder(run.run_id), Status(state="running", order=run.order, attempt=1))
    assert next(one for one in scan(history) if one.run_id == run.run_id).state == "lost"
