"""What was laid in, copied or moved here starts nothing, runs no code, and leads out of no folder."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from engine.cli import main
from engine.core import consent
from engine.core.errors import EngineError
from engine.core.kept import leave
from engine.core.machine import change_machine, read_machine
from engine.core.paths import Workspace, plain_name, read_json, write_json
from engine.lm.effects import Weights
from engine.lm.recipes import Shelf
from engine.results import store
from engine.results.study import autopilot
from engine.runs import jobs, manifest, records, worker
from engine.runs.records import find, scan
from engine.runs.runfolder import RunSpec, Status, forget_work, read_status, write_spec, write_status
from engine.show.doctor import examine
from engine.strategies.plan import plan
from engine.strategies.runnable import REGISTERED, execute
from tests.workspaces import eventually, finish

WAIT = 400.0
Change = Callable[[dict[str, Any]], dict[str, Any]]


def spec_of(ws: Workspace, experiment: str = "count", **parameters: Any) -> RunSpec:
    return plan(ws, experiment, parameters).target.spec


def lay_in(ws: Workspace, run_id: str, spec: dict[str, Any], status: dict[str, Any] | None = None) -> Path:
    """Leave a run folder as anybody can write one."""
    folder = ws.run_folder(run_id)
    write_json(folder / "spec.json", {"run_id": run_id, **spec})
    write_json(folder / "status.json", status or {"state": "queued", "order": 1})
    return folder


def with_parameters(spec: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**spec, "parameters": {**spec["parameters"], **values}}


def look_everywhere(ws: Workspace) -> None:
    """Everything that only looks."""
    for command in ("status", "queue", "doctor", "compare", "machine", "tree", "leaderboard"):
        main([command, "--workspace", str(ws.root)])
    jobs.list_runs(ws)
    jobs.advance(ws)
    examine(ws, fix=True)


def assert_nothing_started(ws: Workspace) -> None:
    look_everywhere(ws)
    time.sleep(0.5)
    assert not list(ws.runs.glob("*/log.txt"))
    assert {read_status(path.parent).attempt for path in ws.runs.glob("*/status.json")} <= {0}


def test_a_folder_that_names_code_of_its_own_is_shown_and_never_executed(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The attack as it was made: a step in the run's own folder, on the path of imports, queued."""
    proof = tmp_path / "executed"
    monkeypatch.setenv("PYTHONPATH", str(ws.root))
    values = {**asdict(spec_of(ws)), "experiment": "evil", "step": "data.runs.evil_1.evil:run"}
    spec = RunSpec(**{name: value for name, value in values.items() if name != "step"})
    code = f"open({str(proof)!r}, 'w').write('executed')\ndef run(context): pass\n"
    for name in (spec.run_id, "evil_1"):
        folder = lay_in(ws, name, values)
        (folder / "evil.py").write_text(code)
    main(["status", "--workspace", str(ws.root)])
    said = capsys.readouterr().out
    assert "there is no experiment 'evil' here" in said
    assert_nothing_started(ws)
    assert not proof.exists()
    with pytest.raises(EngineError, match="no experiment 'evil'"):
        jobs.take_up(ws, [spec.run_id])
    assert jobs.take_up(ws) == []
    write_status(ws.run_folder(spec.run_id), Status(state="running", attempt=1))
    assert worker.work(ws, spec.run_id, 1, REGISTERED) == 1  # even where a worker is started on it by hand
    assert not proof.exists()
    assert "there is no experiment" in (read_status(ws.run_folder(spec.run_id)).error or "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda spec: {**spec, "version": 99}, "version 99"),
        (lambda spec: with_parameters(spec, ticks=-1), "ticks"),
        (lambda spec: with_parameters(spec, ticks="3"), "ticks"),
        (lambda spec: with_parameters(spec, step="os:system"), "no such parameter"),
        (lambda spec: with_parameters(spec, gain=9.0), "gain"),
        (lambda spec: {**spec, "protocol": {**spec["protocol"], "splits": ["train"]}}, "splits"),
        (lambda spec: {**spec, "upstream": {"over": "gain-00000000"}}, "it needs nothing and names over"),
    ],
)
def test_a_spec_that_the_registry_could_not_have_made_is_refused_in_words(
    ws: Workspace, change: Change, reason: str
) -> None:
    spec = RunSpec(**change(asdict(spec_of(ws))))
    lay_in(ws, spec.run_id, asdict(spec))
    (record,) = jobs.list_runs(ws)
    assert record.elsewhere
    assert reason in (record.error or "")
    for attempt in (lambda: jobs.take_up(ws, [spec.run_id]), lambda: jobs.resume(ws, spec.run_id)):
        with pytest.raises(EngineError, match="cannot run here"):
            attempt()
    write_status(ws.run_folder(spec.run_id), Status(state="lost"))
    for again in (jobs.resume, jobs.start_over):
        with pytest.raises(EngineError, match="cannot run here"):
            again(ws, spec.run_id)
    assert_nothing_started(ws)


def test_a_kept_record_that_says_a_foreign_run_was_put_here_starts_nothing(ws: Workspace) -> None:
    spec = spec_of(ws)
    lay_in(ws, spec.run_id, asdict(spec))
    jobs.list_runs(ws)
    found = records._KEPT.pop(ws.runs)[spec.run_id]
    planted = replace(found, record=replace(found.record, elsewhere=False))
    leave(ws, *records._of_all(str(ws.runs)), {spec.run_id: planted})
    jobs.advance(ws)
    (record,) = jobs.list_runs(ws)
    assert record.elsewhere
    assert_nothing_started(ws)


@pytest.mark.parametrize("name", ["../../../outside", "/tmp/outside", "..", ".", "", "a/b", "a\0b", 7, None])
def test_a_name_from_a_file_leads_out_of_no_folder(ws: Workspace, name: Any) -> None:
    with pytest.raises(EngineError, match="would lead out of its folder"):
        plain_name(name, what="a run")
    for place in (ws.run_folder, ws.adapters, lambda one: ws.adapter("count-00000000", one)):
        with pytest.raises(EngineError):
            place(name)
    with pytest.raises(EngineError):
        Shelf(ws).change([Weights(name, "x")])


@pytest.mark.parametrize(
    "upstream", [{"over": "../../../etc"}, {"over": 7}, {"over": ["gain"]}, ["gain"], "gain"]
)
def test_a_spec_whose_upstreams_are_no_runs_cannot_be_read(ws: Workspace, upstream: Any) -> None:
    lay_in(ws, "after-00000000", {**asdict(spec_of(ws, "after")), "upstream": upstream})
    (record,) = jobs.list_runs(ws)
    assert record.spec is None
    assert_nothing_started(ws)
    with pytest.raises(EngineError):
        execute(ws, "after-00000000")


def test_a_spec_of_another_run_is_no_run_and_its_folder_is_left_alone(ws: Workspace) -> None:
    outside = ws.root / "elsewhere-00000000"
    spec = replace(spec_of(ws), experiment="../../elsewhere")
    lay_in(ws, "count-00000000", asdict(spec))
    (record,) = jobs.list_runs(ws)
    assert (record.spec, record.state, record.elsewhere) == (None, "queued", True)
    assert "that of another run" in (record.error or "")
    assert_nothing_started(ws)
    with pytest.raises(EngineError):
        execute(ws, "count-00000000")
    assert not outside.exists()


@pytest.mark.parametrize(
    "what", ["log.txt", "events.jsonl", "checkpoint", "scores.parquet", "the folder", "deep"]
)
def test_a_run_folder_with_links_is_shown_left_alone_and_never_written_through(
    ws: Workspace, what: str
) -> None:
    outside = ws.root.parent / f"{ws.root.name}-outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    spec = spec_of(ws)
    folder = ws.run_folder(spec.run_id)
    if what == "the folder":
        ws.runs.mkdir(parents=True)
        folder.symlink_to(outside)
        write_spec(outside, spec)
        write_json(outside / "status.json", {"state": "lost"})
    else:
        lay_in(ws, spec.run_id, asdict(spec), {"state": "lost"})
        place = folder / "checkpoint" / "deep" if what == "deep" else folder / what
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(outside if what == "checkpoint" else outside / "precious")
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    (record,) = jobs.list_runs(ws)
    assert ("link" in (record.error or "")) == (what != "deep")
    for again in (
        lambda: jobs.resume(ws, spec.run_id),
        lambda: jobs.start_over(ws, spec.run_id),
        lambda: jobs.submit(ws, plan(ws, "count")),
    ):
        with pytest.raises(EngineError, match="link"):
            again()
    look_everywhere(ws)
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before


def test_forgetting_a_runs_work_deletes_links_and_not_what_they_lead_to(
    ws: Workspace, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    folder = lay_in(ws, "count-00000000", asdict(spec_of(ws)))
    (folder / "checkpoint").symlink_to(outside)
    ws.models.mkdir(exist_ok=True)
    (ws.models / "count-00000000").symlink_to(outside)
    forget_work(ws, "count-00000000")
    assert (outside / "precious").read_text() == "mine"
    assert not (folder / "checkpoint").is_symlink()


def test_adapters_behind_a_link_and_hashes_of_files_elsewhere_are_no_part_of_a_run(
    ws: Workspace, tmp_path: Path
) -> None:
    (ws.models / "count-00000000").mkdir(parents=True)
    (ws.models / "count-00000000" / "x").symlink_to(tmp_path)
    with pytest.raises(EngineError, match="is a link"):
        ws.adapter("count-00000000", "x")
    folder = lay_in(ws, "count-00000000", {})
    named = {"files": {"../../workspace.json": "0" * 64, "/etc/hostname": "0" * 64}}
    assert [fault.split()[-1] for fault in manifest.faults(folder, named)] == ["elsewhere", "elsewhere"]


def test_a_copied_workspace_starts_nothing_until_somebody_says_so(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_machine(ws, training_slots=0)
    queued = [jobs.submit(ws, plan(ws, "count", {"ticks": ticks}))[-1].record.run_id for ticks in (2, 3)]
    copy = Workspace(tmp_path.parent / f"{tmp_path.name}-copy")
    shutil.copytree(ws.root, copy.root)
    change_machine(copy, training_slots=2)
    assert [record.elsewhere for record in jobs.list_runs(copy)] == [True, True]
    assert [record.elsewhere for record in jobs.list_runs(ws)] == [False, False]
    assert_nothing_started(copy)
    main(["status", "--workspace", str(copy.root)])
    assert "2 runs in the queue came from elsewhere" in capsys.readouterr().err
    main(["queue", "take", queued[0], "--workspace", str(copy.root)])
    (record,) = jobs.wait(copy, [queued[0]], timeout_seconds=WAIT)
    assert record.state == "succeeded"
    assert find(copy, queued[1]).elsewhere, "the one that was not taken up still waits"
    assert jobs.submit(copy, plan(copy, "count", {"ticks": 3}))[0].what == "resumed"
    (record,) = jobs.wait(copy, [queued[1]], timeout_seconds=WAIT)
    assert record.state == "succeeded"


def test_a_run_that_was_lost_in_a_copy_stays_lost(ws: Workspace) -> None:
    spec = spec_of(ws)
    lay_in(ws, spec.run_id, asdict(spec), {"state": "running", "attempt": 1})
    look_everywhere(ws)
    assert find(ws, spec.run_id).state == "lost"
    assert not (ws.run_folder(spec.run_id) / "log.txt").exists()
    jobs.resume(ws, spec.run_id)
    eventually(lambda: find(ws, spec.run_id).state == "succeeded")


def test_neither_a_token_of_another_run_nor_of_another_place_or_secret_starts_a_run(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_machine(ws, training_slots=0)
    mine = jobs.submit(ws, plan(ws, "count", {"ticks": 2}))[0].record
    assert not find(ws, mine.run_id).elsewhere
    other = spec_of(ws, ticks=4)
    lay_in(ws, other.run_id, asdict(other), {"state": "queued", "consent": mine.status.consent})
    assert find(ws, other.run_id).elsewhere
    changed = replace(mine.status, launcher="ray", launch={"address": "evil:6379"})
    write_status(ws.run_folder(mine.run_id), changed)
    assert find(ws, mine.run_id).elsewhere, "whoever changes where a run is executed starts it nowhere"
    write_status(ws.run_folder(mine.run_id), mine.status)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    scan(Workspace(tmp_path / "forget what was read"))
    assert not consent.agreed(ws, mine.status.consent, "anything")
    assert not (tmp_path / "another user").exists(), "looking makes no secret"
    token = consent.agree(ws, "x")
    secret = tmp_path / "another user" / "persona-lab" / "secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert consent.agreed(ws, token, "x")
    assert not consent.agreed(ws, token, "y")
    assert not consent.agreed(Workspace(tmp_path), consent.agree(Workspace(tmp_path / "b"), "x"), "x")
    files = [path for path in (*ws.data.rglob("*"), *ws.models.rglob("*")) if path.is_file()]
    assert not [path for path in files if secret.read_bytes() in path.read_bytes()]


def test_settings_that_came_with_a_folder_send_no_run_to_a_cluster(ws: Workspace) -> None:
    write_json(ws.data / "machine.json", {"launcher": "ray", "ray_address": "evil:6379"})
    for attempt in (
        lambda: jobs.submit(ws, plan(ws, "count")),
        lambda: jobs.submit(ws, plan(ws, "count"), machine=read_machine(ws)),
    ):
        with pytest.raises(EngineError, match="came with this workspace name the Ray cluster evil:6379"):
            attempt()
    assert not ws.runs.exists()
    change_machine(ws, launcher="ray")  # does not vouch for an address that it does not name
    with pytest.raises(EngineError, match="evil:6379"):
        jobs.submit(ws, plan(ws, "count"))
    spec = spec_of(ws)
    lay_in(
        ws, spec.run_id, asdict(spec), {"state": "lost", "launcher": "ray", "launch": {"address": "evil:1"}}
    )
    with pytest.raises(EngineError, match="evil:6379"):
        jobs.resume(ws, spec.run_id)
    change_machine(ws, launcher="local")
    jobs.resume(ws, spec.run_id)
    assert read_status(ws.run_folder(spec.run_id)).launcher == "local"
    eventually(lambda: find(ws, spec.run_id).state == "succeeded")


def test_an_autopilot_that_walked_elsewhere_walks_no_further(ws: Workspace) -> None:
    state = autopilot.Autopilot("quick-wins", "all", "walking", 1, message="under way")
    autopilot.write(ws, state)
    look_everywhere(ws)
    pilot = autopilot.status(ws)
    assert pilot is not None
    assert pilot.state == "lost"
    assert not ws.runs.exists() or not list(ws.runs.glob("*/spec.json"))


def test_old_run_folders_whose_specs_name_a_step_stay_readable(ws: Workspace) -> None:
    run_id = finish(ws, "count")
    path = ws.run_folder(run_id) / "spec.json"
    write_json(path, {**read_json(path), "step": "tests.steps_for_tests:count"})
    manifest.write(ws, run_id)
    assert find(ws, run_id).state == "succeeded"
    assert store.rebuild(ws).taken_in == (run_id,)


def test_a_database_that_came_with_the_folder_reads_no_file_of_this_machine(
    ws: Workspace, tmp_path: Path
) -> None:
    import duckdb

    secret = tmp_path / "id_rsa"
    secret.write_text("a private key")
    finish(ws, "count")
    store.refresh(ws)
    with duckdb.connect(str(ws.database)) as connection:
        connection.execute("alter table runs rename to kept")
        connection.execute(
            f"create view runs as select * replace (content as base) from kept, read_text('{secret}')"
        )
    with pytest.raises(EngineError, match="lacks runs"):
        store.overview(ws)
    assert len(store.rebuild(ws).taken_in) == 1
    assert len(store.overview(ws).coverage)
    with duckdb.connect(str(ws.database)) as connection:
        assert connection.execute("select count(*) from runs where base = 'a private key'").fetchone() == (0,)
    assert os.environ.get("HOME")
