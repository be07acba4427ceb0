"""The command line in odd surroundings: locales, streams, python's own switches, folders and paths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.frame import Place
from engine.core.paths import REPOSITORY, Workspace, write_atomically
from engine.data import prepare
from tests.workspaces import finish

_BARE = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SURROUNDINGS: dict[str, dict[str, str | None]] = {
    "POSIX": {"LC_ALL": "POSIX"},
    "ASCII": {"LC_ALL": "POSIX", **_BARE},
    "asked for ASCII": {"PYTHONIOENCODING": "ascii"},
    "asked for Latin-1": {"PYTHONIOENCODING": "latin-1"},
    "narrow": {"COLUMNS": "10", "TERM": "dumb"},
    "no colour": {"NO_COLOR": "1", "TERM": ""},
    "forced colour": {"FORCE_COLOR": "1"},
    "no home": {"HOME": None, "XDG_CACHE_HOME": None},
    "a home that is a file": {"HOME": "/dev/null", "XDG_CACHE_HOME": None},
    "no temporary folder": {"TMPDIR": "/nowhere/at/all"},
    "an odd time zone": {"TZ": "Nowhere/Land"},
}


def call(
    ws: Workspace,
    *words: str,
    switches: tuple[str, ...] = (),
    cwd: Path = REPOSITORY,
    **environment: str | None,
) -> subprocess.CompletedProcess[bytes]:
    inherited = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    settings = {name: value for name, value in inherited.items() if value is not None}
    command = [sys.executable, *switches, "-m", "engine", *words, "--workspace", str(ws.root)]
    return subprocess.run(command, capture_output=True, cwd=cwd, env=settings, check=False, timeout=400)


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_commands_answer_in_odd_surroundings(ws: Workspace, name: str) -> None:
    finish(ws, "gain")
    for words in (("compare",), ("compare", "--json"), ("doctor",)):
        done = call(ws, *words, **SURROUNDINGS[name])
        assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
        assert done.stdout, words
        if "--json" in words:
            encoding = SURROUNDINGS[name].get("PYTHONIOENCODING") or "utf-8"
            assert json.loads(done.stdout.decode(encoding))["rows"]


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_an_umask_changes_nothing(ws: Workspace, umask: int) -> None:
    finish(ws, "gain")
    before = os.umask(umask)
    try:
        assert call(ws, "compare").returncode == 0
    finally:
        os.umask(before)


@pytest.mark.parametrize("switch", ["-O", "-OO"])
def test_optimised_python_draws_charts(ws: Workspace, tmp_path: Path, switch: str) -> None:
    world = Workspace(tmp_path / "world")
    prepare(world, dataset="world:default", personas=3, dialogues=6)
    finish(world, "gain")
    for words in (("compare",), ("report", "--output", str(tmp_path / "report"))):
        done = call(world, *words, switches=(switch,))
        assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert list((tmp_path / "report").rglob("*.svg"))
    pages = "import engine, pages.study.page, pages.compare.page, pages.persona.page, pages.runs.page"
    command = [sys.executable, switch, "-c", pages]
    assert subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True).returncode == 0


def test_a_reader_that_leaves_early_ends_the_command_quietly(ws: Workspace) -> None:
    finish(ws, "gain")
    reading, writing = os.pipe()
    os.close(reading)  # whoever was to read has left
    command = [sys.executable, "-m", "engine", "compare", "--workspace", str(ws.root)]
    done = subprocess.run(
        command, cwd=REPOSITORY, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=400
    )
    os.close(writing)
    assert done.stderr == b""
    closed = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m engine status --workspace '{ws.root}' >&- 2>&-"],
        cwd=REPOSITORY,
        check=False,
        timeout=400,
    )
    assert closed.returncode == 0


@pytest.mark.parametrize("said", ["/dev/full", ">(exit 0)"])
@pytest.mark.parametrize("words", ["status", "status nobody"])
def test_an_answer_that_stdout_does_not_take_is_told_beside_it(ws: Workspace, words: str, said: str) -> None:
    command = f"{sys.executable} -m engine {words} --json --workspace '{ws.root}' > {said}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=REPOSITORY, capture_output=True, check=False, text=True
    )
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()[:1]] in ([], ["Error"])


def test_a_deleted_current_folder_is_no_obstacle(ws: Workspace, tmp_path: Path) -> None:
    finish(ws, "gain")
    place = tmp_path / "gone"
    place.mkdir()
    command = f"cd '{place}' && rmdir '{place}' && {sys.executable} -m engine doctor --workspace '{ws.root}'"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(["bash", "-c", command], capture_output=True, env=environment, check=False)
    assert b"Traceback" not in done.stderr
    assert b"versions" in done.stdout


@pytest.mark.parametrize("name", ["two words", "ünïcödé ✓", "new\nline", "quo'te", "[b]markup"])
def test_a_workspace_may_have_any_name(ws: Workspace, tmp_path: Path, name: str) -> None:
    finish(ws, "gain")
    other = Workspace(tmp_path / "places" / name)
    other.root.parent.mkdir()
    other.root.mkdir()
    for part in ("data", "models", "tiny-base"):
        if (ws.root / part).exists():
            os.rename(ws.root / part, other.root / part)
    for words in (("status",), ("compare",), ("doctor",)):
        done = call(other, *words)
        assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
        assert done.stdout


def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        write_atomically(pipe, "told")
        assert reader.communicate(timeout=400)[0] == "told"
    assert pipe.is_fifo()


@pytest.mark.parametrize("place", ["/proc/x", "circle/x", "file/x", "file", f"{'x' * 300}"])
def test_where_nothing_can_be_made_is_said_in_words(ws: Workspace, tmp_path: Path, place: str) -> None:
    finish(ws, "gain")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "file").write_text("here")
    there = str(tmp_path / place)
    for words in (("export-table", "runs", f"{there}/x.csv"), ("worlds", "make", "default", there)):
        done = call(ws, *words)
        assert (done.returncode, done.stdout) == (1, b""), words
        assert done.stderr.startswith(b"Error: "), done.stderr.decode(errors="replace")
    done = call(Workspace(tmp_path / place), "status")
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: "), done.stderr.decode()


def test_half_a_world_is_taken_away_again(ws: Workspace, tmp_path: Path) -> None:
    words = f"{sys.executable} -m engine worlds make default {tmp_path / 'world'} --personas 9"
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 1; {words}"], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        f"Error: {tmp_path / 'world'}: File too large.",
    )
    assert call(ws, *words.split()[3:]).returncode == 0


def test_a_file_that_finds_no_room_is_named(ws: Workspace) -> None:
    finish(ws, "gain")
    words = f"{sys.executable} -m engine export-table runs {ws.root / 'runs.csv'} --workspace {ws.root}"
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 0; {words}"], capture_output=True, check=False, text=True
    )
    assert done.stderr.splitlines()[:1] == [f"Error: {ws.root / 'runs.csv'}: File too large."]
    assert not [path for path in ws.root.iterdir() if "runs.csv" in path.name]


def test_below_a_folder_that_was_deleted_nothing_can_be_made(ws: Workspace, tmp_path: Path) -> None:
    finish(ws, "gain")
    for words, told in (
        (f"export-table runs x.csv --workspace '{ws.root}'", b"Error: x.csv: Permission denied."),
        ("status --workspace x", b"Error: The current folder was deleted."),
    ):
        place = tmp_path / "gone"
        place.mkdir()
        command = f"cd '{place}' && rmdir '{place}' && {sys.executable} -m engine {words}"
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(["bash", "-c", command], capture_output=True, env=environment, check=False)
        assert done.stderr.startswith(told), done.stderr.decode()


def test_the_home_folder_is_found_behind_an_options_sign_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Place().convert("~/told", None, None) == Path("/home/somebody/told")
