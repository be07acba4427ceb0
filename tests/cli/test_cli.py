"""The command line, with real runs behind it."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from rich.console import Console

from engine.cli import cli, main
from engine.cli.frame import table
from engine.core.paths import REPOSITORY, Workspace
from engine.runs.records import find, scan
from tests.cli.conftest import Run, ask, commands
from tests.workspaces import eventually, finish, held


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_explains_itself_with_examples(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    told = capsys.readouterr().out
    assert "--workspace" in told
    assert "--json" in told
    shown = told.partition("Examples:")[2].split("\n")
    examples = [line.strip() for line in shown if line.strip()]
    assert examples
    assert all(line.startswith(f"python -m engine {' '.join(path)}") for line in examples)


def test_a_run_waits_and_its_scores_are_compared(ws: Workspace, run: Run) -> None:
    code, said, progress = run("run", "gain", "--set", "ticks=2")
    assert (code, "Done" in said) == (0, True)
    assert "gain-" in progress
    assert "succeeded" in progress
    assert {record.experiment: record.state for record in scan(ws)} == {
        "count": "succeeded",
        "gain": "succeeded",
    }
    found = ask(run, "compare", "--reference", "count")
    assert [row["variant"] for row in found["rows"]] == ["count", "gain"]
    code, said, _ = run("compare", "--reference", "count", "--metric", "device_f1")
    assert code == 0
    assert "Device F1 on val, in points, against count" in said
    assert "+10.0" in said
    code, said, _ = run("compare", "--reference", "count", "--metric", "device_f1", "--csv")
    rows = list(csv.DictReader(io.StringIO(said)))
    assert [row["variant"] for row in rows] == ["count", "gain"]
    assert float(rows[1]["delta"]) == pytest.approx(0.1)


def test_status_is_a_contract(ws: Workspace, run: Run) -> None:
    assert ask(run, "status")["runs"] == []
    started = ask(run, "run", "count", "--set", "ticks=10000", "--set", "pause=0.05", "--detach")
    run_id = started["run_id"]
    eventually(lambda: find(ws, run_id).status.done)
    (record,) = ask(run, "status")["runs"]
    assert record["run_id"] == run_id
    assert record["experiment"] == "count"
    assert record["state"] == "running"
    assert 0 < record["progress"] < 1
    assert Path(f"/proc/{record['pid']}").exists()
    code, said, _ = run("status")
    assert (code, run_id in said, "running" in said) == (0, True, True)
    os.kill(record["pid"], signal.SIGKILL)
    eventually(lambda: find(ws, run_id).status.signal)
    (record,) = ask(run, "status", run_id)["runs"]
    assert (record["state"], record["pid"], record["signal"]) == ("lost", None, "SIGKILL")


def test_cancel_resume_and_logs(ws: Workspace, run: Run) -> None:
    with held(ws):
        run_id = ask(run, "run", "count", "--set", "ticks=4", "--detach")["run_id"]
        eventually(lambda: find(ws, run_id).status.done)
        assert ask(run, "cancel", run_id)["state"] == "cancelled"
    code, _, said = run("cancel", run_id)
    assert (code, "has been cancelled" in said) == (1, True)
    code, said, _ = run("resume", run_id)
    assert (code, "Done" in said) == (0, True)
    code, said, _ = run("logs", run_id, "--follow")
    assert code == 0
    assert said.count("starts: count 1") == 2
    assert f"{run_id} succeeded" in said
    assert len(ask(run, "logs", run_id, "--lines", "1")["lines"]) == 1


def test_a_failed_run_ends_with_its_message_and_hint_and_no_traceback(run: Run) -> None:
    code, _, said = run("run", "count", "--set", "ending=with a hint")
    assert code == 1
    assert "There is nothing to count." in said
    assert "Give it something." in said
    code, answer, said = run("run", "count", "--set", "ending=badly", "--json")
    assert code == 1
    assert json.loads(answer)["error"].endswith("failed: ValueError: the sum is wrong")
    assert "Traceback" not in said + answer


def test_running_again_what_was_cancelled_goes_on_with_it(ws: Workspace, run: Run) -> None:
    given = ("run", "count", "--set", "ticks=4")
    with held(ws):
        run_id = ask(run, *given, "--detach")["run_id"]
        eventually(lambda: find(ws, run_id).status.done)
        run("cancel", run_id)
    code, _, said = run(*given)
    assert (code, f"{run_id} goes on from its last checkpoint." in said) == (0, True)
    assert [record.run_id for record in scan(ws)] == [run_id]


def test_a_dry_run_shows_the_plan_and_starts_nothing(ws: Workspace, run: Run) -> None:
    planned = ask(run, "run", "gain", "--set", "ticks=5", "--seed", "3", "--dry-run")
    assert [(entry["experiment"], entry["purpose"]) for entry in planned["runs"]] == [
        ("count", "beside"),
        ("gain", "asked"),
    ]
    assert planned["runs"][1]["changed"] == ["ticks", "seed"]
    assert planned["estimate_seconds"] is None
    code, said, _ = run("run", "gain", "--set", "ticks=5", "--dry-run")
    assert (code, "no estimate" in said, "ticks=5" in said) == (0, True, True)
    assert not ws.runs.exists()
    finish(ws, "gain")
    assert ask(run, "run", "gain", "--dry-run")["runs"][0]["state"] == "succeeded"
    named = {entry["name"] for entry in ask(run, "run", "--list")["experiments"]}
    assert {"base", "unified", "count"} <= named


def test_wrong_parameters_are_told_all_at_once(run: Run) -> None:
    code, _, said = run("run", "count", "--set", "tick=3", "--set", "pause=-1", "--set", "splits=tets,val")
    assert code == 1
    for part in ("did you mean 'ticks'", "pause", "splits.0"):
        assert part in said
    code, said, _ = run("run", "count", "--set", "ticks", "--json")
    assert (code, json.loads(said)["error"]) == (1, "--set needs KEY=VALUE, not 'ticks'.")


@pytest.mark.parametrize(("width", "left_out"), [(60, []), (50, ["lost"]), (36, ["personas", "lost"])])
def test_a_table_cuts_no_name_and_no_number_at_any_width(width: int, left_out: list[str]) -> None:
    numbers = {"difference": "+12.5", "personas": "200", "lost": "7 of 8"}
    made = table("variant", "why", *numbers, right=list(numbers))
    made.add_row("hybrid+1", "more of what she said", *numbers.values())
    to = io.StringIO()
    Console(file=to, width=width).print(made)
    said = to.getvalue()
    assert max(map(len, said.splitlines())) <= width
    for whole in ["hybrid+1", *(value for name, value in numbers.items() if name not in left_out)]:
        assert whole in said
    below = f"Wider than this terminal: {', '.join(left_out)} "
    assert (below in " ".join(said.split())) == bool(left_out)


def test_a_deleted_database_is_rebuilt_to_the_same_table(ws: Workspace, run: Run) -> None:
    finish(ws, "gain")
    before = run("compare", "--json")
    ws.database.unlink()
    report = ask(run, "rebuild-db")
    assert (len(report["taken_in"]), report["torn"]) == (2, [])
    assert run("compare", "--json") == before
    ws.database.write_bytes(b"not a database")
    code, said, told = run("compare", "--json")
    assert (code, said) == before[:2]
    assert "built again from the run folders" in told
    assert "Traceback" not in told


def test_a_torn_folder_is_told_by_compare_rebuild_and_doctor(ws: Workspace, run: Run) -> None:
    torn = finish(ws, "gain")
    (ws.run_folder(torn) / "scores.parquet").write_bytes(b"")
    (ws.run_folder(torn) / ".status.json.abcdefgh").write_text("{")
    code, _, told = run("compare")
    assert (code, f"Left out: {torn}" in told) == (0, True)
    code, said, _ = run("rebuild-db", "--json")
    assert (code, json.loads(said)["torn"][0]["run_id"]) == (1, torn)
    code, said, _ = run("doctor", "--json")
    found = {check["name"]: check for check in json.loads(said)["checks"]}
    assert code == 1
    assert "scores.parquet was changed or cut off" in found[f"folder {torn}"]["detail"]
    assert not found["temporary files"]["ok"]
    assert found["dataset"]["ok"]
    run("doctor", "--fix")
    assert not (ws.run_folder(torn) / ".status.json.abcdefgh").exists()


def test_a_healthy_workspace_passes_the_doctor(ws: Workspace, run: Run, tiny_base: Path) -> None:
    shutil.copytree(tiny_base, ws.read_config()["base"], dirs_exist_ok=True)
    finish(ws, "count")
    assert ask(run, "doctor")["ok"]


def test_init_makes_a_workspace_and_refuses_faulty_data_whole(tmp_path: Path, run: Run) -> None:
    root = tmp_path / "new"
    code, said, _ = run(
        "init", "--dataset", "world:default", "--personas", "4", "--dialogues", "6", workspace=root
    )
    assert code == 0
    assert "4 personas, 24 dialogues, split by-time" in said
    code, said, _ = run("status", "--json", workspace=root)
    assert json.loads(said)["runs"] == []
    faulty = tmp_path / "dialogues.jsonl"
    faulty.write_text('{"persona_id": 3\n[]\n')
    code, said, _ = run("init", "--dataset", str(faulty), "--json", workspace=tmp_path / "other")
    assert code == 1
    assert len(json.loads(said)["faults"]) >= 2
    assert not (tmp_path / "other" / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("stauts",), 2, "Did you mean"),
        (("status", "--jsn"), 2, "No such option"),
        (("run", "unifed"), 1, "Did you mean 'unified'?"),
        (("run",), 1, "Which experiment?"),
        (("cancel", "count-1"), 1, "There is no run named 'count-1'."),
        (("logs", "../../etc"), 1, "There is no run named"),
        (("compare",), 1, "Nothing is scored on val yet."),
        (("compare", "--metric", "f1"), 1, "no metric named"),
        (("generate", "--persona", "p00", "--variant", "x", "hello"), 1, "no variant named 'x'"),
        (("generate", "--persona", "p00", "--variant", "x", " "), 1, "The message is empty."),
        (("worlds", "make", "defualt", "out"), 1, "Did you mean 'default'?"),
    ],
)
def test_mistakes_get_one_clear_error(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found, _, said = run(*arguments)
    assert (found, message in said, "Traceback" in said) == (code, True, False), said
    found, said, _ = run(*arguments, "--json")
    if "--jsn" not in arguments:
        assert found == code
        assert set(json.loads(said)) >= {"error", "hint"}


def test_a_folder_that_is_no_workspace_is_left_as_it_is(tmp_path: Path, run: Run) -> None:
    nowhere = tmp_path / "nowhere"
    for arguments in (
        ("status",),
        ("compare",),
        ("run", "base"),
        ("rebuild-db",),
        ("cancel", "x"),
        ("doctor",),
    ):
        code, _, said = run(*arguments, workspace=nowhere)
        assert code == 1
        assert "Traceback" not in said
    assert not nowhere.exists()


def test_the_module_is_the_command_and_ends_with_its_exit_code(ws: Workspace) -> None:
    command = [sys.executable, "-m", "engine", "status", "--json", "--workspace", str(ws.root)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["runs"]) == (0, [])
    done = subprocess.run(
        [*command[:3], "run", "nope"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no experiment named 'nope'." in done.stderr


def test_every_command_is_where_the_command_line_looks_for_it() -> None:
    context = click.Context(cli)
    root = REPOSITORY / "engine" / "cli"
    files = [path.relative_to(root).with_suffix("") for path in root.rglob("[a-z]*.py")]
    modules = [importlib.import_module(f"engine.cli.{'.'.join(path.parts)}") for path in files]
    found = [one for module in modules for one in vars(module).values() if isinstance(one, click.Command)]
    below = [one for group in found if isinstance(group, click.Group) for one in group.commands.values()]
    there = {one.name for one in found if one not in below}
    assert set(cli.list_commands(context)) == there
    assert {getattr(cli.get_command(context, name), "name", None) for name in there} == there
    assert cli.get_command(context, "no-such-command") is None


def test_commands_are_grouped_as_the_pages_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    heads = [line[:-1] for line in said.splitlines() if line.endswith(":") and not line.startswith(" ")]
    pages = {path.parent.name.capitalize() for path in (REPOSITORY / "pages").glob("*/page.py")}
    assert heads[0] == "Options"
    assert set(heads[1:]) <= pages
    assert all(f"\n  {name} " in said for name in cli.list_commands(click.Context(cli)))


@pytest.mark.parametrize(("word", "starts"), [("resume", 2), ("start-over", 1), ("retry", 1)])
def test_resuming_keeps_what_was_done_and_starting_over_does_not(
    ws: Workspace, run: Run, word: str, starts: int
) -> None:
    with held(ws):
        run_id = ask(run, "run", "count", "--set", "ticks=4", "--detach")["run_id"]
        eventually(lambda: find(ws, run_id).status.done)
        ask(run, "cancel", run_id)
    code, said, told = run(word, run_id)
    assert (code, "Done" in said, "start-over now" in told) == (0, True, word == "retry")
    events = [json.loads(line) for line in (ws.run_folder(run_id) / "events.jsonl").read_text().splitlines()]
    begun = [event["at"] for event in events if event["kind"] == "start"]
    assert len(begun) == starts
    assert (begun[-1] == 0) == (word != "resume")


@pytest.mark.parametrize(
    "words", [("restore",), ("rescore",), ("curves", ""), ("label",), ("queue",), ("status",)]
)
def test_json_is_one_object_also_where_the_answer_is_a_list(
    ws: Workspace, run: Run, words: tuple[str, ...]
) -> None:
    finished = finish(ws, "gain")
    assert isinstance(ask(run, *(word or finished for word in words)), dict)
