"""What a running step works with: its spec and folders, and the ways to say how far it is.

Owns the writing of status, events, log and declarations while a run works, its heartbeat, and the request to
stop. Starts no process, opens no database, imports no model code.
"""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from engine.core.paths import Workspace, make_folder, write_json
from engine.core.secrecy import without_secrets
from engine.runs import usage
from engine.runs.pace import Pace
from engine.runs.parts import Part
from engine.runs.processes import boot_id, identity, place_of
from engine.runs.protocol import completed, protocol_id, without_remarks
from engine.runs.runfolder import (
    BEAT_SECONDS,
    Heartbeat,
    RunSpec,
    State,
    Status,
    append_line,
    declared,
    now,
    write_status,
)

WRITE_SECONDS = 0.5
GONE_SECONDS = 2.0
_PATIENCE_SECONDS = 20.0


class Cancelled(Exception):
    """Raised by a step after its checkpoint, when it was asked to stop."""


class RunContext:
    """What a step gets: its spec, its folders, and the ways to say how far it is.

    Entered by the worker: a thread then writes status.json at most every 0.5 s and at least every 2 s,
    so that a long training step is still seen to be alive and never waits for the disk. Where a run is done
    in parts, `part` says which one this is, status, events and log go to the folder `reports`, and `unwanted`
    is asked regularly whether the part is to stop.
    """

    def __init__(
        self,
        workspace: Workspace,
        spec: RunSpec,
        *,
        status: Status | None = None,
        part: Part | None = None,
        reports: Path | None = None,
        unwanted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.workspace = workspace
        self.spec = spec
        self.folder = workspace.run_folder(spec.run_id)
        self.adapters = workspace.adapters(spec.run_id)
        self.part = part
        self._reports = reports or self.folder
        self._unwanted = unwanted
        make_folder(self._reports)
        self._place = place_of(self.folder)
        self._gone_since: float | None = None
        self._status = replace(status or Status(state="running"), worker=identity())
        self._earlier_seconds = self._status.seconds
        self._began = self._told = time.monotonic()
        self._pace = Pace(spec.stages, spec.expected)
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._changed = False
        self._stop = threading.Event()
        self._closing = threading.Event()
        self._usage = usage.Sampler(self._reports)
        self._beat = threading.Thread(target=self._write_regularly, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._beat.join()
        self.flush()

    @property
    def is_gone(self) -> bool:
        """Whether the run's folder is no longer where it was: moved or deleted. Nothing is written then."""
        return place_of(self.folder) != self._place

    def flush(self) -> None:
        """Write what was said since the last heartbeat: whoever sees the run's end sees all of it."""
        if self._changed:
            with suppress(OSError):  # how it ended is still to be written, and with more care
                self._write()

    def progress(self, stage: str, done: int, total: int, *, unit: str = "") -> None:
        """Say that `done` of `total` units of `stage` are behind. Cheap: call it every step."""
        share = min(1.0, done / total) if total else 1.0
        with self._lock:
            spent = self._spent_until_now(stage)
            self._pace.tell(stage, share, self._told)
            self._status = replace(
                self._status,
                progress=max(self._status.progress, self._pace.progress()),
                stage=stage,
                done=done,
                total=total,
                unit=unit,
                stage_seconds=spent,
            )
            self._changed = True

    def _spent_until_now(self, stage: str) -> dict[str, float]:
        """Charge the time since the last word to the stage it went to: the last one, unless that was done."""
        last, began, self._told = self._status, self._told, time.monotonic()
        to = last.stage if last.stage and last.done < last.total else stage
        spent = last.stage_seconds
        return {**spent, to: spent.get(to, 0.0) + self._told - began}

    def event(self, kind: str, **values: Any) -> None:
        """Append {"t", "kind", **values} to events.jsonl; `t` is seconds of active time. NaN becomes null."""
        record = {"t": round(self.seconds, 3), "kind": kind, **values}
        line = json.dumps({key: _finite(value) for key, value in record.items()}, ensure_ascii=False)
        append_line(self._reports / "events.jsonl", line)

    def log(self, line: str) -> None:
        """Append a line, with the time, to log.txt; no secret of the environment gets there."""
        append_line(self._reports / "log.txt", without_secrets(f"{now()} {line}"))

    def stop_requested(self) -> bool:
        """Say whether the run was asked to stop: write a checkpoint and raise Cancelled then."""
        return self._stop.is_set()

    def request_stop(self) -> None:
        """Ask the step to stop at its next checkpoint (the worker does so on SIGTERM)."""
        self._stop.set()

    def variant(
        self,
        name: str,
        recipe: Mapping[str, Any],
        *,
        family: str,
        parameters_trained: int = 0,
        train_seconds: float | None = None,
        aliases: Sequence[str] = (),
    ) -> None:
        """Declare a variant that this run made. Repeating a name replaces it, so resuming is safe."""
        entry = {
            "name": name,
            "family": family,
            "recipe": dict(recipe),
            "parameters_trained": parameters_trained,
            "train_seconds": train_seconds,
            "aliases": list(aliases),
        }
        others = [other for other in declared(self.folder, "variants", []) if other["name"] != name]
        self._declare("variants", [*others, entry])

    def protocol(self, fields_: Mapping[str, Any]) -> str:
        """Declare a protocol the run scored under, its base added; return its hash (column `protocol`)."""
        whole = without_remarks(completed(fields_, self.spec))
        name = protocol_id(whole)
        self._declare("protocols", {**declared(self.folder, "protocols", {}), name: whole})
        return name

    def summary(self, **values: Any) -> None:
        """Add values to the summary that done.json will carry."""
        self._declare("summary", {**declared(self.folder, "summary", {}), **values})

    @property
    def attempt(self) -> int:
        """Which start of the run this is, from 1; 0 when it runs outside the queue."""
        return self._status.attempt

    @property
    def launch(self) -> Mapping[str, Any]:
        """What the run's launcher was told."""
        return self._status.launch

    @property
    def device(self) -> str:
        """The device whose slot the run has; "" when it runs outside the queue."""
        return self._status.device

    @property
    def seconds(self) -> float:
        """Active time of the run so far, earlier attempts included."""
        return self._earlier_seconds + time.monotonic() - self._began

    def end(self, state: State, *, error: str | None = None, hint: str | None = None) -> None:
        """Write the last status of this attempt. Called once, after the heartbeat has stopped."""
        with self._lock:
            done = 1.0 if state == "succeeded" else self._status.progress
            self._status = replace(
                self._status,
                state=state,
                progress=done,
                eta_seconds=None,
                ended_at=now(),
                error=error and without_secrets(error),
                hint=hint and without_secrets(hint),
            )
        self._write()

    def _write_regularly(self) -> None:
        written, missed = time.monotonic(), None
        while not self._closing.wait(WRITE_SECONDS):
            if self._unwanted():
                self.request_stop()
            if self._end_when_gone():
                continue
            self._usage.look(self.seconds)
            if not self._changed and time.monotonic() - written < BEAT_SECONDS:
                continue
            try:
                self._write()
                written = time.monotonic()
                if missed is not None:
                    self.log(f"status.json could not be written for a while: {missed}")
                    missed = None
            except OSError as error:  # a full disk must not end the work; the next beat tries again
                missed = error

    def _end_when_gone(self) -> bool:
        """Ask the step to stop where the run's folder has gone, and end this process where it does not."""
        if not self.is_gone:
            self._gone_since = None
            return False
        self._gone_since = self._gone_since or time.monotonic()
        gone_seconds = time.monotonic() - self._gone_since
        if gone_seconds > GONE_SECONDS:
            self.request_stop()
        if gone_seconds > GONE_SECONDS + _PATIENCE_SECONDS:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    def _write(self) -> None:
        with self._writing:  # an older status must not come last
            with self._lock:
                beat = Heartbeat(boot_id=boot_id(), monotonic=time.monotonic(), at=now())
                self._status = replace(self._status, heartbeat=beat, seconds=self.seconds)
                if self._status.state == "running":
                    left = self._pace.left(beat.monotonic)  # goes on while a stage says nothing
                    self._status = replace(self._status, eta_seconds=left.seconds, eta_is_rough=left.is_rough)
                self._changed = False
                status = self._status
            write_status(self._reports, status)

    def _declare(self, name: str, value: Any) -> None:
        write_json(self.folder / f"{name}.json", value)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
