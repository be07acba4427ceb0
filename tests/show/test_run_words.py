"""Runs in words: what was changed, what differs, what a search finds, and the command that repeats a run."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from click.testing import CliRunner

from engine.cli import cli
from engine.core.paths import Workspace
from engine.runs.records import RunRecord, scan
from engine.runs.runfolder import Status, write_spec, write_status
from engine.show import run_words
from engine.strategies.cloning import command_of
from engine.strategies.plan import plan


def _left(ws: Workspace, experiment: str, seed: int | None = None, **parameters: object) -> RunRecord:
    """Leave one run of a plan, done without any work, and return it as it is read."""
    for run in plan(ws, experiment, parameters, seed=seed).runs:
        folder = ws.run_folder(run.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        write_status(folder, Status(state="failed", seconds=42.0, progress=0.37, error="No luck today."))
        write_spec(folder, run.spec)
        found = run.run_id
    return next(record for record in scan(ws) if record.run_id == found)


def test_only_what_differs_is_told(ws: Workspace) -> None:
    one, other = _left(ws, "count", ticks=5), _left(ws, "count", ticks=7, lift=0.5)
    told = run_words.differences([one, other])
    assert told == {"Ticks": ("5", "7"), "Lift": ("0.0", "0.5")}
    assert "Pause" in run_words.side_by_side([one, other])
    assert run_words.differences([one, one]) == {}


def test_beside_others_what_all_changed_alike_is_left_out(ws: Workspace) -> None:
    one, other = _left(ws, "count", ticks=5, lift=0.5), _left(ws, "count", ticks=7, lift=0.5)
    assert run_words.changed_words(one) == "ticks 5, lift 0.5"
    assert run_words.changed_words(one, [one, other]) == "ticks 5"
    assert run_words.changed_words(one, [one]) == ""


def test_what_one_run_has_not_is_a_dash(ws: Workspace) -> None:
    told = run_words.differences([_left(ws, "after"), _left(ws, "count")])
    assert told["Builds on: over"][1] == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("query", "found"), [("ticks=5", True), ("count luck", True), ("TICKS 5", True), ("ticks=7", False)]
)
def test_a_search_looks_into_names_changes_and_errors(ws: Workspace, query: str, found: bool) -> None:
    assert run_words.matches(_left(ws, "count", ticks=5), query) == found


def test_a_state_has_a_sign_and_says_how_far_it_came(ws: Workspace) -> None:
    record = _left(ws, "count")
    assert run_words.state_words(record) == "\N{MULTIPLICATION X} Failed at 37 %"
    assert run_words.state_words(record, how_far=False) == "\N{MULTIPLICATION X} Failed"
    assert run_words.against_estimate(record) == "42 s"


def test_what_waits_in_vain_is_told_apart(ws: Workspace) -> None:
    record = _left(ws, "count")
    assert run_words.waiting([record, record]) == "2 runs waiting"
    assert run_words.waiting([record, replace(record, blocked=True)]) == "2 runs waiting, 1 blocked"
    assert run_words.title_of("import-study") == "Published study"


def test_the_command_asks_for_the_very_run(ws: Workspace) -> None:
    record = _left(ws, "after", seed=99, ticks=5, ending="with a hint")
    assert record.spec
    line = shlex.split(command_of(record.spec, ws))
    assert line[:3] == ["python", "-m", "engine"]
    _succeed(ws, record.spec.upstream["over"])
    answer = CliRunner().invoke(cli, [*line[3:], "--dry-run", "--json"])
    assert f'"run_id": "{record.run_id}"' in answer.output, answer.output


def _succeed(ws: Workspace, run_id: str) -> None:
    (ws.run_folder(run_id) / "done.json").write_text("{}")
