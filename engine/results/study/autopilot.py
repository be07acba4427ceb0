"""The autopilot's controls: start, stop, and how it stands. The walking is engine/results/study/walking.py's.

Owns data/autopilot/: state.json (what it walks, which process, how it ended) and log.jsonl (its decisions).
One walks a workspace at a time. Its memory is the results themselves, so that one that was stopped or killed
is resumed by starting it again; runs under way are never part of it and go on.
"""

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Literal

from engine.core import keyring
from engine.core.errors import EngineError
from engine.core.machine import changes
from engine.core.paths import Workspace, read_rows
from engine.results.trees import tree_library
from engine.results.trees.tree import Tree
from engine.runs import jobs
from engine.runs.background import Background
from engine.runs.processes import ProcessIdentity, end_group, running
from engine.runs.records import scan
from engine.runs.runfolder import append_line, now
from engine.strategies.ground import read_ground

Walk = Literal["walking", "finished", "halted", "stopped", "lost"]
RESUMABLE: frozenset[Walk] = frozenset({"halted", "stopped", "lost"})
STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Autopilot:
    """How it stands. `flight` counts fresh starts; `seconds` is its walking time over all its legs.

    `node` is where it is, `run_id` what it waits for, `launched` the runs it launched, `message` its last
    word.
    """

    tree: str
    cluster: str | int
    state: Walk
    flight: int
    process: ProcessIdentity | None = None
    node: str | None = None
    run_id: str | None = None
    launched: tuple[str, ...] = ()
    seconds: float = 0.0
    started_at: str = ""
    ended_at: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `seconds` is walking time since the flight's start; `at` is for people."""

    flight: int
    at: str
    seconds: float
    text: str


def _process(ws: Workspace) -> Background:
    return Background(ws.data / "autopilot", "The autopilot", "engine.results.study.walking")


def status(ws: Workspace) -> Autopilot | None:
    """Return how the autopilot stands now, None when there never was one; a dead one reads as lost."""
    found = read(ws)
    if found is not None and found.state == "walking" and not running(found.process):
        return replace(found, state="lost", message="Its process is gone and left no word.")
    return found


def log(ws: Workspace, flight: int) -> list[Entry]:
    """Return the log of one flight in order; a line torn by a kill is left out."""
    entries: list[Entry] = read_rows(_process(ws).folder / "log.jsonl", Entry)
    return [entry for entry in entries if entry.flight == flight]


@changes("start the autopilot")
def start(ws: Workspace, tree: str, *, cluster: str | int | None = None) -> Autopilot:
    """Start walking a tree in the background, or go on with one that ended early; return how it stands.

    `cluster` replaces the tree's own. Raises EngineError when one walks already, without data, and for a
    tree that does not exist or is not sound.
    """
    chosen = with_cluster(tree_library.find(ws, tree), cluster)
    read_ground(ws)
    with lock(ws):
        earlier = status(ws)
        if earlier is not None and earlier.state == "walking":
            raise EngineError(
                f"The autopilot walks {earlier.tree} already.",
                "Stop it first: python -m engine autopilot stop",
            )
        begun = _begin(earlier, chosen)
        write(ws, replace(begun, process=_process(ws).start(str(ws.root), keys=keyring.held())))
    return begun


@changes("stop the autopilot")
def stop(ws: Workspace, *, cancel_run: bool = False) -> Autopilot:
    """Stop the autopilot; return it once its process is gone. The run under way goes on, or is cancelled.

    Raises EngineError when none walks.
    """
    found = status(ws)
    if found is None or found.state not in ("walking", "lost"):
        raise EngineError(
            "No autopilot walks here.", "Start one: python -m engine autopilot start quick-wins"
        )
    end_group(found.process, grace_seconds=STOP_SECONDS)
    with lock(ws):
        latest = read(ws) or found  # its last word, with all that it launched
        if latest.flight == found.flight and latest.state == "walking":
            write(ws, replace(latest, state="stopped", ended_at=now(), message="It was stopped."))
    if cancel_run:
        _cancel_launched(ws, latest)
    return status(ws) or latest


def with_cluster(tree: Tree, cluster: str | int | None) -> Tree:
    """Return the tree judged on one cluster ("all", "largest" or a number). Raises EngineError for others."""
    if cluster is None:
        return tree
    if isinstance(cluster, str) and cluster.isdigit():
        cluster = int(cluster)
    if cluster not in ("all", "largest") and not isinstance(cluster, int):
        raise EngineError(f"{cluster!r} is no cluster.", "Give a number, largest or all.")
    return tree.model_copy(update={"cluster": cluster})


def read(ws: Workspace) -> Autopilot | None:
    """Return state.json as it was last written. Raises EngineError when it is torn."""
    return _process(ws).read(Autopilot)


def write(ws: Workspace, pilot: Autopilot) -> None:
    """Replace state.json atomically."""
    _process(ws).write(pilot)


def tell(ws: Workspace, pilot: Autopilot, text: str) -> None:
    """Append one line to the log."""
    entry = Entry(pilot.flight, now(), round(pilot.seconds, 1), text)
    append_line(_process(ws).folder / "log.jsonl", json.dumps(asdict(entry), ensure_ascii=False))


def lock(ws: Workspace) -> AbstractContextManager[None]:
    """Return the lock that every change of state.json by another process is made under."""
    return _process(ws).lock()


def _begin(earlier: Autopilot | None, tree: Tree) -> Autopilot:
    """The state to start from: the same flight goes on when it ended early on the same tree."""
    same = earlier is not None and (earlier.tree, earlier.cluster) == (tree.name, tree.cluster)
    if earlier is not None and same and earlier.state in RESUMABLE:
        return replace(earlier, state="walking", ended_at=None, message="", node=None, run_id=None)
    flight = earlier.flight + 1 if earlier is not None else 1
    return Autopilot(tree.name, tree.cluster, "walking", flight, started_at=now())


def _cancel_launched(ws: Workspace, pilot: Autopilot) -> None:
    """Cancel what it launched and has not ended, last first, so that nothing new starts between."""
    open_runs = [record for record in scan(ws) if record.run_id in pilot.launched]
    for record in reversed([one for one in open_runs if one.state in ("queued", "running")]):
        jobs.cancel(ws, record.run_id)
