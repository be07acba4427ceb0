"""The worker of a run on a Ray cluster: `python -m engine work-on-ray ROOT RUN ATTEMPT`.

Owns the run's division over tasks, and their fate: progress, log lines and losses are gathered from what the
tasks write, a task whose node is lost is given to another, cancelling reaches them all. Does no work itself.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from engine.core.errors import EngineError, first_line
from engine.core.paths import REPOSITORY, Workspace, write_json
from engine.core.wording import count
from engine.lm.remote.keys import asks
from engine.runs.context import Cancelled, RunContext
from engine.runs.launchers.ray import connect, fitting, request, words
from engine.runs.launchers.ray_tasks import PARTS, STOP, TURN, reports_of
from engine.runs.parts import Part
from engine.runs.registry import Registry
from engine.runs.runfolder import Status, append_line, now, read_status
from engine.runs.worker import work

MOST_ATTEMPTS = 5
SILENT_SECONDS = 120.0
STOP_SECONDS = 15.0
WAITING_SECONDS = 30.0
_POLL_SECONDS = 0.5


@dataclass
class Piece:
    """One task: what it does, how often it was tried, when it was heard, how much of its files is read.

    `waits` says that it has not begun for so long that the log tells it.
    """

    name: str
    part: Part | None
    attempts: int = 0
    heartbeat: object = None
    heard: float = 0.0
    waits: bool = False
    read: dict[str, int] = field(default_factory=dict)


def drive(context: RunContext, registry: Registry) -> None:
    """Do the run on the cluster. Raises Cancelled when asked to stop, EngineError when a part fails.

    A run that asks a remote model is done by this process: one alone can keep the pace, and no key of an
    endpoint leaves this machine.
    """
    if asks(context.spec.parameters):
        registry.step(context.workspace, context.spec)(context)
        return
    divisible = registry.divisible(context.workspace, context.spec)
    ray = connect(str(context.launch["address"]))
    parts = context.folder / PARTS
    shutil.rmtree(parts, ignore_errors=True)  # an earlier attempt's reports; its work is not in there
    try:
        crew = _Crew(ray, context)
        context.log(
            f"Ray {ray.__version__}: {count(crew.tasks, 'task')} at once, each with {words(crew.request)}, "
            f"on {count(len(crew.nodes), 'node')}"
        )
        if crew.tasks > 1 and "training" in divisible:
            _train(crew)
        if crew.tasks > 1 and "replies" in divisible:
            crew.do(
                [Piece(f"replies-{n}", Part("replies", number=n, of=crew.tasks)) for n in range(crew.tasks)]
            )
        crew.do([Piece("whole", None)])
    finally:
        ray.shutdown()
    shutil.rmtree(parts, ignore_errors=True)


def _train(crew: "_Crew") -> None:
    """Divide the training into waves, train them side by side, and put them together."""
    (divided,) = crew.do([Piece("divide", Part("divide", of=crew.tasks))])
    waves = int(divided.get("waves", 0))
    if waves > 1:
        crew.do([Piece(f"wave-{n}", Part("wave", number=n, of=waves)) for n in range(waves)])
    if waves:
        crew.do([Piece("join", Part("join"))])


class _Crew:
    """The tasks of one run: submitted, watched, tried again, stopped."""

    def __init__(self, ray: Any, context: RunContext) -> None:
        self.ray, self.context = ray, context
        self.nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self.request = request(context.launch, self.nodes)
        self.tasks = fitting(context.launch, self.request, self.nodes)
        task = ray.remote(_bootstrap(str(REPOSITORY)))
        self._task = task.options(
            num_cpus=self.request["CPU"], num_gpus=self.request.get("GPU", 0), max_retries=0
        )
        self._pending: dict[Any, Piece] = {}

    def do(self, pieces: Sequence[Piece]) -> list[dict[str, Any]]:
        """Do all pieces side by side; return how each ended, in order."""
        ended: dict[str, dict[str, Any]] = {}
        for piece in pieces:
            self._submit(piece)
        try:
            while self._pending:
                ready, _ = self.ray.wait(list(self._pending), num_returns=1, timeout=_POLL_SECONDS)
                for ref in ready:
                    self._take(ref, ended)
                self._gather(pieces)
                self._show(pieces, ended)
                self._look_after()
                if self.context.stop_requested():
                    raise Cancelled
        finally:
            self._stop()
            self._gather(pieces)
        return [ended[piece.name] for piece in pieces]

    def _submit(self, piece: Piece) -> None:
        piece.attempts += 1
        spec, ws = self.context.spec, self.context.workspace
        # Without a status it has not begun: one that waits for a free node is not silent.
        reports = reports_of(ws, spec.run_id, piece.name)
        write_json(reports / TURN, piece.attempts)
        (reports / "status.json").unlink(missing_ok=True)
        piece.heard, piece.heartbeat, piece.waits = time.monotonic(), None, False
        part = asdict(piece.part) if piece.part is not None else None  # plain values: nodes know no class yet
        told = (str(ws.root), spec.run_id, self.context.attempt, piece.name, part, piece.attempts)
        self._pending[self._task.remote(*told)] = piece

    def _take(self, ref: Any, ended: dict[str, dict[str, Any]]) -> None:
        """Take the end of a task: its answer, or its loss, after which it is tried again."""
        piece = self._pending.pop(ref)
        try:
            answer: dict[str, Any] = self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:
            raise EngineError(
                f"{piece.name} could not be done on the cluster: {error.cause}",
                f"Every node needs this folder, and the same Python packages: {REPOSITORY}",
            ) from error
        except (self.ray.exceptions.RayError, OSError) as error:
            self._again(piece, first_line(error))
            return
        if answer["state"] == "failed":
            if answer.get("traceback"):
                print(answer["traceback"], flush=True)
            raise EngineError(str(answer["error"]), str(answer.get("hint") or ""))
        if answer["state"] == "cancelled" and not self.context.stop_requested():
            self._again(piece, "it was stopped from outside")
            return
        ended[piece.name] = answer

    def _again(self, piece: Piece, reason: str) -> None:
        if piece.attempts >= MOST_ATTEMPTS:
            raise EngineError(
                f"{piece.name} was lost {piece.attempts} times, the last time: {reason}",
                "Look at the cluster: ray status. Then resume the run.",
            )
        self.context.log(f"{piece.name} was lost and is tried again: {reason}")
        self.context.event("lost", part=piece.name, attempt=piece.attempts, reason=reason)
        self._submit(piece)

    def _look_after(self) -> None:
        """Say which tasks no node has begun yet, and give up those that have begun and fallen silent.

        What is given up is lost, and taken as that later.
        """
        for ref, piece in self._pending.items():
            beat, silent = self._status(piece).heartbeat, time.monotonic() - piece.heard
            if beat != piece.heartbeat:
                piece.heartbeat, piece.heard = beat, time.monotonic()
            elif beat is None and silent > WAITING_SECONDS and not piece.waits:
                piece.waits = True
                self.context.log(
                    f"{piece.name} has not begun for {WAITING_SECONDS:.0f} s: either no node has "
                    f"{words(self.request)} free (see: ray status), or the node is slow"
                )
            elif beat is not None and silent > SILENT_SECONDS:
                self.context.log(f"{piece.name} has shown no sign of life for {SILENT_SECONDS:.0f} s")
                piece.heard = time.monotonic()
                self.ray.cancel(ref, force=True)

    def _status(self, piece: Piece) -> Status:
        ws, run_id = self.context.workspace, self.context.spec.run_id
        return read_status(reports_of(ws, run_id, piece.name))

    def _stop(self) -> None:
        """Ask the tasks still at work for a checkpoint, then end them."""
        if not self._pending:
            return
        write_json(self.context.folder / PARTS / STOP, {"at": now()})
        until = time.monotonic() + STOP_SECONDS
        waiting = list(self._pending)
        while waiting and time.monotonic() < until:
            _, waiting = self.ray.wait(waiting, num_returns=len(waiting), timeout=_POLL_SECONDS)
        for ref in waiting:
            self.ray.cancel(ref, force=True)
        self._pending.clear()

    def _show(self, pieces: Sequence[Piece], ended: dict[str, dict[str, Any]]) -> None:
        """Tell the run's progress as the mean of its parts', once they are at their work."""
        stands = [(piece, self._status(piece)) for piece in pieces]
        begun = [status for _, status in stands if status.stage]
        if not begun:
            if any(piece.waits for piece in pieces):
                self.context.progress("waiting for the cluster", 0, 1)
            return
        training = any(piece.part is not None and piece.part.kind == "wave" for piece in pieces)
        stage, unit = ("train", "steps") if training else ("generate", "replies")
        counted = [status for status in begun if status.stage == stage and status.total]
        if len(pieces) == 1 or not counted:
            first = begun[0]
            self.context.progress(first.stage, first.done, first.total, unit=first.unit)
            return
        total = max(status.total for status in counted)
        share = sum(
            1.0 if piece.name in ended else _share(piece.part, status) if status.stage == stage else 0.0
            for piece, status in stands
            if piece.part is not None
        )
        self.context.progress(stage, round(total * min(1.0, share / len(pieces))), total, unit=unit)

    def _gather(self, pieces: Sequence[Piece]) -> None:
        """Append what the parts have logged and recorded since the last look to the run's own files."""
        for piece in pieces:
            folder = reports_of(self.context.workspace, self.context.spec.run_id, piece.name)
            for line in _new_lines(folder / "log.txt", piece):
                append_line(self.context.folder / "log.txt", f"{line} ({piece.name})")
            for line in _new_lines(folder / "events.jsonl", piece):
                append_line(self.context.folder / "events.jsonl", _marked(line, piece.name))


def _share(part: Part, status: Status) -> float:
    """How much of its part a task has done: a wave counts the steps of those before it, replies all rows."""
    done = status.done / status.total if status.total else 0.0
    return min(1.0, max(0.0, done * part.of - part.number if part.kind == "wave" else done * part.of))


def _new_lines(path: Path, piece: Piece) -> list[str]:
    """Return the whole lines that were added since the last look."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(piece.read.get(path.name, 0))
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    piece.read[path.name] = piece.read.get(path.name, 0) + len(whole)
    return whole.decode("utf-8", errors="replace").splitlines()


def _marked(line: str, name: str) -> str:
    """Return an event with the part it comes from; a torn one as it is."""
    try:
        return json.dumps({**json.loads(line), "part": name}, ensure_ascii=False)
    except (ValueError, TypeError):
        return line


def _bootstrap(repository: str) -> Callable[..., dict[str, Any]]:
    """Return the task. A function made here travels to the nodes whole, and finds the engine there."""

    def task(root: str, run_id: str, attempt: int, name: str, part: Any, turn: int) -> dict[str, Any]:
        import sys

        if repository not in sys.path:
            sys.path.insert(0, repository)
        from engine.__main__ import registry
        from engine.runs.launchers.ray_tasks import do_part, keep_needed_keys

        keep_needed_keys(root, run_id)
        return do_part(root, run_id, attempt, name, part, turn, registry=registry())

    return task


def main(root: str, run_id: str, attempt: str, *, registry: Registry) -> int:
    """Do the run on the cluster; return the exit code."""
    return work(Workspace(Path(root)), run_id, int(attempt), registry, do=partial(drive, registry=registry))
