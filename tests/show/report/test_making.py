"""Making the report beside the app: how it stands, what it was made from, and when it is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.machine import change_machine
from engine.core.paths import Workspace, write_json
from engine.results.comparing import looks
from engine.runs.processes import identity
from engine.show.report import making
from tests.tiny_base import prepare_study
from tests.workspaces import make_workspace


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "ws")


def test_one_whose_process_is_gone_reads_as_lost(ws: Workspace) -> None:
    assert making.status(ws) is None
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    state = ws.data / "report" / "state.json"
    write_json(state, asdict(replace(making.Making("making"), process=identity(process.pid))))
    found = making.status(ws)
    assert found is not None
    assert found.state == "making"
    assert making.start(ws) == found  # the one under way, no second one
    process.communicate()
    found = making.status(ws)
    assert found is not None
    assert found.state == "lost"


def test_what_the_command_line_writes_in_its_place_is_known_to_be_made_from_what_there_is(
    tiny_base: Path, tmp_path: Path
) -> None:
    ws = prepare_study(tmp_path / "study", tiny_base)
    assert main(["report", "--workspace", str(ws.root), "--output", str(tmp_path / "apart")]) == 0
    assert making.status(ws) is None
    for same in (None, True):
        assert main(["report", "--workspace", str(ws.root)]) == 0
        found = making.status(ws)
        assert found is not None
        assert (found.state, found.process, found.same) == ("made", None, same)
        assert found.basis == making.basis(ws)
        assert found.prints == making.prints(ws)


def test_a_torn_state_is_no_state(ws: Workspace) -> None:
    (ws.data / "report").mkdir()
    (ws.data / "report" / "state.json").write_text("{")
    assert making.status(ws) is None


def test_the_basis_changes_with_whatever_the_report_tells_of(ws: Workspace) -> None:
    seen = [making.basis(ws), making.basis(ws)]
    assert seen[0] == seen[1]
    looks.record(ws, looks.TestSet("dialogues"), "protocol", {"id": "unified"}, {"m"})
    seen.append(making.basis(ws))
    (ws.data / "trees").mkdir()
    (ws.data / "trees" / "mine.yaml").write_text("name: mine")
    seen.append(making.basis(ws))
    assert len(set(seen)) == 3


def test_a_read_only_workspace_gets_no_report(ws: Workspace) -> None:
    change_machine(ws, read_only=True)
    with pytest.raises(EngineError, match="cannot write a report"):
        making.start(ws)
    assert making.status(ws) is None
