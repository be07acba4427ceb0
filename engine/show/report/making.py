"""Making the report beside the app: a process of its own, followed by what it writes.

Owns data/report/: state.json (which process, how far, how it ended, what the report was made from) and
output.txt. The report's own files stay in the workspace's report folder, whoever wrote them.
"""

import sys
import time
from dataclasses import dataclass, replace
from typing import Literal

from engine.core.errors import EngineError
from engine.core.integrity import sha256
from engine.core.machine import refuse_if_read_only
from engine.core.paths import Workspace, open_workspace
from engine.core.roles import refuse_unless
from engine.results import store
from engine.runs.background import Background
from engine.runs.processes import ProcessIdentity, identity, running
from engine.runs.runfolder import fingerprint, now
from engine.show.report import default_folder, write_report

Readiness = Literal["making", "made", "failed", "lost"]
_KEPT = ("report.md", "report.html")


@dataclass(frozen=True, slots=True)
class Making:
    """One making of the report. `done` of `total` steps, `stage` in words; `seconds` once it has ended.

    `basis` names what it was made from and `prints` the sha256 of its texts. `same` says whether another
    making from the same basis gave the same bytes; None for the first one.
    """

    state: Readiness
    process: ProcessIdentity | None = None
    stage: str = ""
    done: int = 0
    total: int = 0
    started_at: str = ""
    ended_at: str | None = None
    seconds: float | None = None
    basis: str = ""
    prints: dict[str, str] | None = None
    same: bool | None = None
    error: str | None = None
    hint: str = ""


def status(ws: Workspace) -> Making | None:
    """Return how the last making stands, None without one; one whose process is gone reads as lost."""
    found = _read(ws)
    if found is not None and found.state == "making" and not running(found.process):
        return replace(found, state="lost", error="Its process is gone and left no word.")
    return found


def start(ws: Workspace) -> Making:
    """Start making the report in the background; return the making, also when one is under way already.

    Raises EngineError in a read-only workspace, without data, and when the system refuses a process.
    """
    ws.read_config()
    refuse_unless("run", "write a report")
    refuse_if_read_only(ws, "write a report")
    with _process(ws).lock():
        found = status(ws)
        if found is not None and found.state == "making":
            return found
        kept = found or Making("making")
        begun = replace(
            kept, state="making", stage="starting", done=0, total=0, started_at=now(), ended_at=None,
            seconds=None, error=None, hint="",
        )  # fmt: skip
        begun = replace(begun, process=_process(ws).start(str(ws.root)))
        _process(ws).write(begun)
    return begun


def basis(ws: Workspace) -> str:
    """Return a token of all that a report is made from: results, looks at test, plans, trees, card of the
    data."""
    told = [ws.data / "looks.jsonl", ws.data / "frozen.jsonl", ws.config, ws.dataset / "card.json"]
    files = [*told, *sorted(ws.data.glob("trees/*"))]
    contents = [sha256(path) for path in files if path.is_file()]
    return fingerprint([store.version(ws), contents], 16)


def make(ws: Workspace) -> Making:
    """Make the report in this process, writing down how far it is; return how it ended."""
    before = _read(ws) or Making("making")
    found = replace(before, state="making", process=identity(), started_at=before.started_at or now())
    began = time.monotonic()

    def progress(stage: str, done: int, total: int) -> None:
        _process(ws).write(replace(found, stage=stage, done=done, total=total))

    try:
        write_report(ws, on_progress=progress)
    except EngineError as error:
        ended = replace(found, state="failed", error=error.message, hint=error.hint or "")
    else:
        ended = _as_made(ws, found)
    ended = replace(ended, ended_at=now(), seconds=round(time.monotonic() - began, 1), process=None)
    _process(ws).write(ended)
    return ended


def note(ws: Workspace, *, seconds: float) -> None:
    """Write down what the report in its folder, which the command line has just made, was made from."""
    with _process(ws).lock():
        found = status(ws)
        if found is None or found.state != "making":
            made = replace(_as_made(ws, found or Making("made")), error=None, hint="", process=None)
            _process(ws).write(replace(made, started_at="", ended_at=now(), seconds=round(seconds, 1)))


def _as_made(ws: Workspace, before: Making) -> Making:
    """The record of the report that lies in its folder now."""
    made_from, made = basis(ws), prints(ws)
    same = before.prints == made if before.prints and before.basis == made_from else None
    return replace(before, state="made", stage="", basis=made_from, prints=made, same=same)


def prints(ws: Workspace) -> dict[str, str]:
    """Return the sha256 of the texts that lie in the report's folder now; empty where there is no report."""
    folder = default_folder(ws)
    paths = [folder / name for name in _KEPT]
    return {path.name: sha256(path) for path in paths if path.is_file()}


def _process(ws: Workspace) -> Background:
    return Background(ws.data / "report", "The report", "engine.show.report.making")


def _read(ws: Workspace) -> Making | None:
    try:
        return _process(ws).read(Making)
    except EngineError:
        return None  # it only says how the report came about; the report itself is elsewhere


if __name__ == "__main__":
    sys.exit(0 if make(open_workspace(sys.argv[1])).state == "made" else 1)
