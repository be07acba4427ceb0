"""The autopilot's process: `python -m engine.results.study.walking ROOT`.

Walks a tree: looks at the results, launches what is ready through the queue, waits, and looks again. Owns no
rule of its own; gates and branches are the tree's. What ended badly is tried once a start, then it halts.
"""

import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.core import keyring
from engine.core.errors import EngineError
from engine.core.paths import Workspace, anchor
from engine.core.wording import duration
from engine.results.study import autopilot
from engine.results.study import standing as study
from engine.results.study.autopilot import Autopilot, Walk
from engine.results.trees import tree_library
from engine.results.trees.tree_words import ahead_words, decision, remaining_words
from engine.runs import jobs
from engine.runs.processes import identity
from engine.runs.records import RunRecord
from engine.runs.runfolder import now
from engine.strategies.clusterings import CLUSTERING, read_clusters

_POLL_SECONDS = 1.0
_NOTE_SECONDS = 5.0  # how old the time in state.json may be


class Stopped(Exception):
    """Raised inside the waiting when the autopilot was asked to stop."""


class _Walk:
    """One leg: from a start to the end, a halt or a stop."""

    def __init__(self, ws: Workspace, pilot: Autopilot) -> None:
        self.ws = ws
        self.pilot = pilot
        self.earlier_seconds = pilot.seconds
        self.began = time.monotonic()
        self.told: set[str] = {entry.text for entry in autopilot.log(ws, pilot.flight)}
        self.tried: set[str] = set()
        self.asked_to_stop = False

    def fly(self) -> None:
        """Walk until a result is reached, nothing more can be done, or a stop is asked for."""
        signal.signal(signal.SIGTERM, self._stop)
        try:
            self._legs()
        except Stopped:
            self._end("stopped", "It was stopped.")
        except EngineError as error:
            self._end("halted", str(error))
        except BaseException as error:
            self._end("halted", f"{type(error).__name__}: {error}")
            raise

    def _legs(self) -> None:
        tree = autopilot.with_cluster(tree_library.find(self.ws, self.pilot.tree), self.pilot.cluster)
        while True:
            self._look()
            stood = study.stand(self.ws, tree)
            self._tell_path(stood)
            if stood.walk.result is not None:
                self._end("finished", _result_words(stood))
                return
            assert stood.walk.next is not None
            self._note(node=stood.walk.next)
            reason = self._launch(stood, stood.walk.next)
            if reason is not None:
                self._end("halted", reason)
                return

    def _launch(self, stood: study.Stand, node_id: str) -> str | None:
        """Launch what the node asks for, or join it where it runs already; return why neither can be."""
        standing, planned = stood.walk.standings[node_id], stood.next_plan
        name = stood.tree.node(node_id).name
        if node_id in self.tried:
            return f"{name} did not come to a result. {standing.reason}".strip()
        if planned is None:
            return f"{name} cannot be planned. {standing.reason}".strip()
        self.tried.add(node_id)
        run_ids = list(stood.walk.findings[node_id].runs)
        if standing.state == "running" and not any(
            record.blocked for record in jobs.list_runs(self.ws) if record.run_id in run_ids
        ):
            self._tell(f"{name}: it runs already; waiting for it")
            self.tried.discard(node_id)
        else:
            run_ids = self._submit(stood, node_id, name)
        self._wait(run_ids)
        return None

    def _submit(self, stood: study.Stand, node_id: str, name: str) -> list[str]:
        planned = stood.plans[node_id]
        submitted = jobs.submit(self.ws, planned)
        new = [entry.record.run_id for entry in submitted if entry.what != "exists"]
        left = remaining_words(stood.remaining)
        self._tell(f"{name}: launched {', '.join(new) or 'nothing new'}; to the end of the tree: {left}")
        launched = dict.fromkeys((*self.pilot.launched, *new))
        self._note(launched=tuple(launched), run_id=planned.target.run_id)
        return [entry.record.run_id for entry in submitted]

    def _wait(self, run_ids: Sequence[str]) -> None:
        for record in jobs.wait(self.ws, run_ids, poll_seconds=_POLL_SECONDS, show=lambda _: self._look()):
            if record.state == "succeeded":
                self._tell(f"{record.run_id} done in {duration(record.status.seconds)}")
                self._tell_clusters(record)
            else:
                why = f": {record.error.splitlines()[0]}" if record.error else ""
                self._tell(f"{record.run_id} {'blocked' if record.blocked else record.state}{why}")
        self._note(run_id=None)

    def _tell_clusters(self, record: RunRecord) -> None:
        """Say of a clustering that found none why what builds on it is trained all the same."""
        if record.experiment == CLUSTERING and (warning := read_clusters(self.ws, record.run_id).warning):
            self._tell(f"{warning} What builds on it is trained all the same: the tree asks for it.")

    def _tell_path(self, stood: study.Stand) -> None:
        for node_id in stood.walk.path:
            state = stood.walk.standings[node_id].state
            if state not in ("ready", "running", "stopped", "reached"):
                self._tell(decision(stood.walk, node_id), once=True)

    def _look(self) -> None:
        if self.asked_to_stop:
            raise Stopped
        if self._seconds() - self.pilot.seconds > _NOTE_SECONDS:
            self._note()

    def _stop(self, *_: object) -> None:
        self.asked_to_stop = True

    def _tell(self, text: str, *, once: bool = False) -> None:
        if once and text in self.told:
            return
        self.told.add(text)
        self._note()
        autopilot.tell(self.ws, self.pilot, text)

    def _note(self, **values: Any) -> None:
        self.pilot = replace(self.pilot, seconds=self._seconds(), **values)
        autopilot.write(self.ws, self.pilot)

    def _seconds(self) -> float:
        return self.earlier_seconds + time.monotonic() - self.began

    def _end(self, state: Walk, message: str) -> None:
        self._tell(f"{state}: {message} Walked for {duration(self.pilot.seconds)}.")
        self._note(state=state, message=message, ended_at=now(), run_id=None)


def _result_words(stood: study.Stand) -> str:
    assert stood.walk.result is not None
    node = stood.tree.node(stood.walk.result)
    parts = [f"{node.name}.", stood.walk.standings[node.id].reason]
    if (verdict := stood.verdict) is not None:
        parts.append(f"{verdict.words}.")
        if verdict.ahead is not None:
            parts.append(ahead_words(verdict.ahead))
    return " ".join(part for part in parts if part)


def main(root: str) -> None:
    """Walk as the process that state.json names; do nothing when that is another one."""
    ws = Workspace(Path(root))
    anchor(ws.root)
    with autopilot.lock(ws):
        pilot = autopilot.read(ws)
    if pilot is None or pilot.state != "walking" or pilot.process != identity():
        print("Another autopilot has this workspace.", flush=True)
        return
    _Walk(ws, pilot).fly()


if __name__ == "__main__":
    keyring.receive()
    main(sys.argv[1])
