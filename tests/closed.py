"""Workspaces that are only looked at: the ways to close one, and what a folder held before and after."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.core.machine import READ_ONLY, change_machine
from engine.core.paths import Workspace
from engine.results import store
from engine.results.study import autopilot
from engine.runs import jobs
from engine.runs.runfolder import Status, write_spec, write_status
from engine.serve import folder
from engine.serve.conversation import open_question
from engine.strategies.plan import plan
from tests.sample_study import end_badly, finish, prepare_world

WAYS = ("told", "settings", "mounted")
Tree = dict[str, tuple[int, int, bytes]]


def tree(root: Path) -> Tree:
    """Every name below a folder, with its time, its mode and its bytes."""
    found = {}
    for path in (root, *sorted(root.rglob("*"))):
        told = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(root))] = (told.st_mtime_ns, told.st_mode, content)
    return found


def changed(before: Tree, after: Tree) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def study_in_the_middle(root: Path) -> Workspace:
    """Make a study under way, in which every look would have something to heal.

    Results taken in, a run newer than the database, one dead, one queued, one failed, an autopilot that
    died, a question that nobody answered.
    """
    ws = prepare_world(root, personas=5, dialogues=8)
    finish(ws, "unified", per_persona=2)
    variants = store.variants(ws)[:1]
    finish(ws, "retrieval", per_persona=2)
    end_badly(ws, "prefix", state="failed", error="No memory left.")
    change_machine(ws, training_slots=0)
    jobs.submit(ws, plan(ws, "hybrid"))
    change_machine(ws, training_slots=1)
    dead = plan(ws, "per-persona").target.spec
    write_status(ws.run_folder(dead.run_id), Status(state="running", order=8, attempt=1))
    write_spec(ws.run_folder(dead.run_id), dead)
    (ws.run_folder(dead.run_id) / ".worker.lock").touch()
    autopilot.write(ws, autopilot.Autopilot("quick-wins", "all", "walking", 1))
    question = open_question("persona_000", "Hello", variants, meta={})
    folder.write_question(ws, question)
    long_ago = time.time() - 1000
    for path in (*(one for one in ws.root.rglob("*") if one.name != "done.json"), ws.root):
        os.utime(path, (long_ago, long_ago))
    return ws


@contextmanager
def closed(ws: Workspace, how: str) -> Iterator[None]:
    """Close a workspace to changes in one of the ways there are."""
    with pytest.MonkeyPatch.context() as patch:
        if how == "told":
            patch.setenv(READ_ONLY, "1")
        elif how == "settings":
            change_machine(ws, read_only=True)
        else:
            bound = ["mount", "--bind", str(ws.root), str(ws.root)]
            if os.getuid() or subprocess.run(bound, capture_output=True, check=False).returncode:
                pytest.skip("this process may not mount")
            subprocess.run(["mount", "-o", "remount,bind,ro", str(ws.root)], check=True)
        try:
            yield
        finally:
            if how == "mounted":
                subprocess.run(["umount", "-l", str(ws.root)], check=True)
