"""Every file of a workspace x every damage x doctor, status, compare: named in words, never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.cli import main
from engine.core.errors import EngineError
from engine.core.machine import change_machine
from engine.core.paths import REPOSITORY, Workspace
from engine.results import store
from engine.show.doctor import Check, examine
from tests.workspaces import finish

FILES = (
    *("data/workspace.json", "data/machine.json", "data/dataset/card.json", "data/dataset/dialogues.jsonl"),
    *("data/dataset/personas.jsonl", "data/splits/splits.json", "data/looks.jsonl"),
    *(f"RUN/{name}.json" for name in ("spec", "status", "done", "variants", "protocols")),
    "RUN/scores.parquet",
)
LIKED_EMPTY = {"data/looks.jsonl", "data/machine.json"}  # nothing, or the defaults, may stand there


def _put(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _other_types(value: Any) -> Any:
    return {name: 7 if isinstance(entry, (str, dict, list)) else "x" for name, entry in value.items()}


def _instead(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink()
    make(path)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut off": lambda path: _put(path, path.read_bytes()[: path.stat().st_size // 2 - 3]),
    "emptied": lambda path: _put(path, b""),
    "another encoding": lambda path: _put(path, path.read_bytes().decode("latin-1").encode("utf-16")),
    "a folder": lambda path: _instead(path, Path.mkdir),
    "a link to nothing": lambda path: _instead(path, lambda place: place.symlink_to("/nowhere/at/all")),
    "a pipe": lambda path: _instead(path, os.mkfifo),
    "too deep": lambda path: _put(path, "[" * 100_000),
}
JSON_DAMAGES: dict[str, Callable[[Path], None]] = {
    "a list for an object": lambda path: _put(path, f"[{path.read_text(encoding='utf-8')}]"),
    "null": lambda path: _put(path, "null"),
    "other types": lambda path: _put(path, json.dumps(_other_types(_object(path)))),
    "nothing in it": lambda path: _put(path, "{}"),
}


def _object(path: Path) -> Any:
    value = json.loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {"a": value}


@pytest.fixture
def ended(ws: Workspace) -> tuple[Workspace, Path]:
    """A workspace with two ended runs that was compared and set; and the folder of one of them."""
    run_id = finish(ws, "gain")
    change_machine(ws, training_slots=2)
    assert main(["compare", "--split", "test", "--workspace", str(ws.root)]) == 0
    return ws, ws.run_folder(run_id)


def _hung(*_: object) -> None:
    raise AssertionError("It hangs.")


@pytest.mark.parametrize("name", ["status.json", "clusters.json", "weights.json", "references.json"])
def test_what_its_owner_cannot_read_is_named_by_a_doctor_that_starts_anew(ws: Workspace, name: str) -> None:
    """In a process of its own, where nobody else has read anything of the workspace."""
    run_id = finish(ws, "gain")
    path = ws.data / name if name == "references.json" else ws.run_folder(run_id) / name
    path.write_text('{"state": 7, "assignment": 7}', encoding="utf-8")
    asked = [sys.executable, "-m", "engine", "doctor", "--workspace", str(ws.root), "--json"]
    told = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, timeout=240).stdout
    assert f"{name} is of another form" in told


@pytest.mark.parametrize("name", FILES)
def test_every_damage_is_named_and_nothing_ends_in_a_traceback(
    ended: tuple[Workspace, Path], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws, folder = ended
    path = folder / name.removeprefix("RUN/") if name.startswith("RUN/") else ws.root / name
    whole = path.read_bytes()
    before = signal.signal(signal.SIGALRM, _hung)
    for damage, do in {**DAMAGES, **(JSON_DAMAGES if path.suffix == ".json" else {})}.items():
        do(path)
        for command in ("doctor", "status", "compare"):
            signal.alarm(400)
            code = main([command, "--workspace", str(ws.root)])
            signal.alarm(0)
            said = capsys.readouterr()
            text = (said.out + said.err).replace("\n", "")
            assert text, (damage, command)
            assert "broke off" not in text, (damage, command, text)
            harmless = damage in ("emptied", "nothing in it", "null") and name in LIKED_EMPTY
            if command == "doctor" and not harmless:
                assert (code, path.name in text) == (1, True), (damage, text)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.write_bytes(whole)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["data/runs", "data/dataset", "data/splits", "models", "data"])
def test_a_file_in_the_place_of_a_folder_is_named(ws: Workspace, name: str) -> None:
    shutil.rmtree(ws.root / name, ignore_errors=True)
    (ws.root / name).write_text("")
    for command in ("status", "compare"):
        main([command, "--workspace", str(ws.root)])
    assert any(not check.ok and str(ws.root / name) in check.detail for check in examine(ws))


def _foreign(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table runs (number integer)")


def _of_the_future(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("alter table runs rename to executions")
        connection.execute("insert into migrations values ('rename_runs', 'tomorrow')")


def _renamed(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("alter table texts rename to words")


def _no_database(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (_foreign, "another program"),
        (_of_the_future, "a later version"),
        (_renamed, "lacks texts"),
        (_no_database, "not a valid DuckDB"),
    ],
)
def test_another_database_is_told_and_kept_beside_a_new_one(
    ended: tuple[Workspace, Path], damage: Callable[[Path], None], word: str
) -> None:
    ws, _ = ended
    if damage is _foreign:
        ws.database.unlink()
    damage(ws.database)
    (ws.data / ".results-stamp.json").unlink()
    content = ws.database.read_bytes()
    check = next(one for one in examine(ws) if one.name == "results.duckdb")
    assert (check.ok, word in check.detail) == (False, True), check
    if damage is not _no_database:
        with pytest.raises(EngineError, match="rebuild-db"):
            store.variants(ws)
    assert len(store.rebuild(ws).taken_in) == 2
    assert ws.database.with_suffix(".duckdb.damaged").read_bytes() == content


def test_a_hung_process_with_the_lock_is_named(ws: Workspace) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom engine.core.locks import queue_lock\n"
        "from engine.core.paths import Workspace\nwith queue_lock(Workspace(Path(sys.argv[1]))):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(ws.root)]
    child = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline()
        child.send_signal(signal.SIGSTOP)
        checks: list[Check] = examine(ws, fix=True)  # which does not wait for it
    finally:
        child.kill()
        child.wait()
    (told,) = [check for check in checks if check.name == "lock of the queue"]
    assert f"process {child.pid} " in told.detail
    assert "it is stopped" in told.detail
    assert f"kill {child.pid}" in told.hint
    assert not [check for check in examine(ws) if check.name.startswith("lock of")]
