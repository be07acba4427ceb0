"""All at once or not at all: full disks, limits, crashes half-way, two imports at a time."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace
from engine.data import load_dataset, prepare, staging
from engine.data.staging import incoming, move_in

_IMPORT = (
    "import sys; from pathlib import Path; from engine.data import prepare\n"
    "from engine.core.paths import Workspace\n"
    "from engine.core.errors import EngineError\n"
    "try: prepare(Workspace(Path(sys.argv[1])), dataset=sys.argv[2], force=True)\n"
    "except EngineError as error: print(error); sys.exit(3)\n"
)


def import_in_process(root: Path, dataset: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _IMPORT, str(root), str(dataset)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,  # type: ignore[call-overload]
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_workspace_as_it_was(
    small_disk: Path, tmp_path: Path, edgewise: Path, made: SimpleNamespace
) -> None:
    ws = Workspace(small_disk / "space")
    large = made.write_rows(tmp_path / "large", made.edgewise_rows(60, 20))
    with pytest.raises(EngineError, match="is full. Nothing was imported"):
        prepare(ws, dataset=large)
    assert made.snapshot(small_disk) == {".": None}
    prepare(ws, dataset=edgewise, personas=3)
    before = made.snapshot(small_disk)
    with pytest.raises(EngineError, match="is full. Nothing was imported"):
        prepare(ws, dataset=large, force=True)
    assert made.snapshot(small_disk) == before
    assert len(load_dataset(ws).personas) == 3


def test_a_limit_on_file_size_leaves_the_workspace_as_it_was(
    tmp_path: Path, edgewise: Path, made: SimpleNamespace
) -> None:
    ws = Workspace(tmp_path / "space")
    prepare(ws, dataset=edgewise, personas=3)
    before = made.snapshot(ws.root)
    large = made.write_rows(tmp_path / "large", made.edgewise_rows(30, 10))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = import_in_process(ws.root, large, preexec_fn=limit)
    assert done.returncode == 3, done.stderr
    assert "Nothing was imported" in done.stdout
    assert made.snapshot(ws.root) == before


def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, edgewise: Path, made: SimpleNamespace
) -> None:
    file = tmp_path / "file"
    file.write_text("I am no folder", encoding="utf-8")
    before = made.snapshot(tmp_path)
    with pytest.raises(EngineError, match="Nothing was imported"):
        prepare(Workspace(file / "space"), dataset=edgewise)
    assert made.snapshot(tmp_path) == before


@pytest.mark.parametrize("fails_at", range(1, 7))
def test_a_failure_at_any_rename_puts_everything_back(
    ws: Workspace, edgewise: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    prepare(ws, dataset=edgewise)
    before = made.snapshot(ws.root)
    real, calls = os.replace, []

    def replace(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == fails_at:
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr(staging.os, "replace", replace)
    with pytest.raises(EngineError, match="Input/output error"):
        prepare(ws, dataset=edgewise, personas=3, force=True)
    assert len(calls) >= fails_at
    monkeypatch.undo()
    assert made.snapshot(ws.root) == before


@pytest.mark.parametrize("dies_at", range(1, 7))
def test_a_crash_half_way_never_leaves_mixed_data_that_look_complete(
    ws: Workspace, edgewise: Path, dies_at: int
) -> None:
    prepare(ws, dataset=edgewise)
    code = _IMPORT.replace(
        "try: prepare(",
        "import os; real = os.replace; calls = []\n"
        "def replace(source, target):\n"
        "    calls.append(1)\n"
        f"    os.kill(os.getpid(), 9) if len(calls) == {dies_at} else real(source, target)\n"
        "os.replace = replace\n"
        "try: prepare(",
    ).replace("force=True", "force=True, personas=3")
    done = subprocess.run(
        [sys.executable, "-c", code, str(ws.root), str(edgewise)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        check=False,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL
    if ws.config.exists():  # died before the first rename: the old data are whole
        assert dies_at == 1
        assert len(load_dataset(ws).personas) == 6
    else:
        with pytest.raises(EngineError, match="is not a workspace yet"):
            load_dataset(ws)
    prepare(ws, dataset=edgewise, personas=4, force=True)
    assert len(load_dataset(ws).personas) == 4
    assert sorted(path.name for path in ws.data.iterdir()) == ["cache", "dataset", "splits", "workspace.json"]


def test_two_imports_at_a_time_are_kept_apart(ws: Workspace, edgewise: Path) -> None:
    with incoming(ws) as folder:
        done = import_in_process(ws.root, edgewise)
        assert done.returncode == 3
        assert "Another import" in done.stdout
        assert folder.is_dir()
    assert not ws.root.exists()


def test_moving_in_replaces_files_and_folders(tmp_path: Path, made: SimpleNamespace) -> None:
    for name, content in (("old", "1"), ("new", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "inside").write_text(content, encoding="utf-8")
    move_in([(tmp_path / "new", tmp_path / "old")], aside=tmp_path / "aside")
    assert (tmp_path / "old" / "inside").read_text(encoding="utf-8") == "2"
    assert (tmp_path / "aside" / "0" / "inside").read_text(encoding="utf-8") == "1"
