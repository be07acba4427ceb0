"""The run folder: the one place where jobs, supervisor, worker and store meet.

Owns the records in spec.json and status.json, the event and log files, and `RunContext`, what a step
gets to work with. Starts no process, opens no database, imports no model code.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from engine.errors import EngineError
from engine.parts import Part
from engine.paths import Workspace, read_json, write_json
from engine.processes import ProcessIdentity, boot_id, identity, running
from engine.secrecy import without_secrets

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
STATES: tuple[State, ...] = ("queued", "running", "succeeded", "failed", "cancelled", "lost")
RESUMABLE: frozenset[str] = frozenset({"failed", "cancelled", "lost"})
ENDED: frozenset[str] = RESUMABLE | {"succeeded"}

CANCEL = "cancel.json"
STOP = "stop.json"
_LASTING = frozenset({"spec.json", "status.json", "log.txt", ".worker.lock", CANCEL})
WRITE_SECONDS = 0.5
BEAT_SECONDS = 2.0
SILENT_SECONDS = 8.0
_LEAST_PROGRESS_FOR_ETA = 0.01


class Cancelled(Exception):
    """Raised by a step after its checkpoint, when it was asked to stop."""


def now() -> str:
    """Return the wall-clock time in UTC, for people to read; nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def canonical(value: Any) -> str:
    """Return `value` as JSON with one spelling. Raises ValueError on NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any, digits: int) -> str:
    """Return the first `digits` hex digits of the sha256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical(value).encode("utf-8")).hexdigest()[:digits]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a run is. Everything a worker needs to rebuild it; frozen at launch.

    `upstream` maps a role to a run id. `step` is "module:function"; `stages` maps each stage to its
    share of the work. `changed` names the parameters and evaluation settings (its own and, as role.name, its
    upstreams') that differ from their defaults.
    """

    experiment: str
    version: int
    step: str
    parameters: dict[str, Any]
    seed: int
    data_hash: str
    base: str
    upstream: dict[str, str] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    base_fingerprint: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    created_at: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    estimate_seconds: float | None = None

    @property
    def hash(self) -> str:
        """The sha256 of what decides the run's outcome: not of its time, versions or estimate."""
        decisive = ("experiment", "version", "parameters", "seed", "data_hash", "base", "base_fingerprint")
        values = {name: getattr(self, name) for name in (*decisive, "upstream", "protocol")}
        return fingerprint(values, 64)

    @property
    def has_defaults(self) -> bool:
        """Whether its variants were made in the default way, whatever they are scored on."""
        return all(name.rpartition(".")[2] in self.protocol for name in self.changed)

    @property
    def run_id(self) -> str:
        return f"{self.experiment}-{self.hash[:8]}"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker's last sign of life. `monotonic` counts seconds of one boot; `at` is for people."""

    boot_id: str
    monotonic: float
    at: str


@dataclass(frozen=True, slots=True)
class Status:
    """Where a run stands. `progress` is a share of the whole run; `seconds` is active time, all attempts.

    `stage_seconds` is the active time of each stage, all attempts. `order` is its place in the queue.
    `attempt` counts starts: a worker of an older attempt may not write. `launch` is what the launcher was
    told, `device` whose slot the run has, `freed_bytes` the memory that its processes held at their end.
    """

    state: State
    order: int = 0
    attempt: int = 0
    launcher: str = "local"
    launch: dict[str, Any] = field(default_factory=dict)
    device: str = ""
    progress: float = 0.0
    stage: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    eta_seconds: float | None = None
    seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    supervisor: ProcessIdentity | None = None
    worker: ProcessIdentity | None = None
    heartbeat: Heartbeat | None = None
    queued_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    error: str | None = None
    hint: str | None = None
    exit_code: int | None = None
    signal: str | None = None
    freed_bytes: int | None = None


def alive(status: Status) -> bool:
    """Say whether a process still works on the run: its worker, or the supervisor that waits for it.

    A supervisor that has not recorded its worker's end for SILENT_SECONDS cannot: it hangs, or the disk is
    full. The run is then as dead as its worker.
    """
    if running(status.worker):
        return True
    silence = heartbeat_age_seconds(status) if status.worker is not None else None
    return running(status.supervisor) and (silence is None or silence < SILENT_SECONDS)


def heartbeat_age_seconds(status: Status) -> float | None:
    """Return the seconds since the last heartbeat; None when there is none of this boot."""
    beat = status.heartbeat
    if beat is None or beat.boot_id != boot_id():
        return None
    return max(0.0, time.monotonic() - beat.monotonic)


def write_spec(folder: Path, spec: RunSpec) -> None:
    """Write spec.json atomically. A run exists once its spec does."""
    write_json(folder / "spec.json", {"run_id": spec.run_id, **asdict(spec)})


def read_spec(folder: Path) -> RunSpec:
    """Return the run's spec. Raises EngineError when the file is missing, torn or of another form."""
    try:
        values = read_json(folder / "spec.json")
        return RunSpec(**{**_known(RunSpec, values), "changed": tuple(values.get("changed", ()))})
    except (OSError, TypeError, AttributeError) as error:
        raise EngineError(
            f"{folder / 'spec.json'} cannot be read: {error}", "Run: python -m engine doctor"
        ) from error


def write_status(folder: Path, status: Status) -> None:
    """Replace status.json atomically."""
    write_json(folder / "status.json", asdict(status))


def read_status(folder: Path) -> Status:
    """Return the run's status; an unreadable one reads as lost, with the reason as its error."""
    try:
        values = _known(Status, read_json(folder / "status.json"))
        for name in ("supervisor", "worker"):
            values[name] = ProcessIdentity(**values[name]) if values.get(name) else None
        values["heartbeat"] = Heartbeat(**values["heartbeat"]) if values.get("heartbeat") else None
        status = Status(**values)
    except (OSError, EngineError, TypeError, AttributeError) as error:
        return Status(state="lost", error=f"status.json cannot be read: {error}".splitlines()[0])
    if status.state not in STATES:
        return Status(state="lost", error=f"status.json holds an unknown state: {status.state!r}")
    return status


def read_events(folder: Path) -> list[dict[str, Any]]:
    """Return the run's events in order; a last line torn by a kill is left out."""
    path = folder / "events.jsonl"
    if not path.exists():
        return []
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue  # cut off in the middle of a write; the step repeats it after its checkpoint
    return events


def read_log(folder: Path, *, last_lines: int | None = None) -> list[str]:
    """Return the lines of log.txt, or its last ones."""
    path = folder / "log.txt"
    if not path.exists():
        return []
    with path.open("rb") as file:
        if last_lines is not None:
            size = file.seek(0, 2)
            file.seek(max(0, size - 400 * (last_lines + 1)))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return lines if last_lines is None else lines[-last_lines:]


def declared(folder: Path, name: str, default: Any) -> Any:
    """Return what the run declared under `name` (variants, protocols, summary), or `default`."""
    path = folder / f"{name}.json"
    return read_json(path) if path.exists() else default


def request_cancel(folder: Path, attempt: int) -> None:
    """Leave word that somebody wants this attempt ended, so that its end is not taken for an accident."""
    write_json(folder / CANCEL, {"attempt": attempt, "at": now()})


def cancel_requested(folder: Path, attempt: int) -> bool:
    """Say whether somebody asked for this attempt to be ended."""
    try:
        asked = read_json(folder / CANCEL)
    except (OSError, EngineError):
        return False
    return isinstance(asked, dict) and asked.get("attempt") == attempt


def forget_work(ws: Workspace, run_id: str) -> None:
    """Delete all that a run has done so far: its checkpoints, adapters and what it declared.

    Spec, status and log stay. Only for a run that nobody works on, or for its own worker.
    """
    shutil.rmtree(ws.adapters(run_id), ignore_errors=True)
    for path in ws.run_folder(run_id).iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in _LASTING:
            path.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Append one line in one write; a line torn before it is closed first, so that it stays alone."""
    with path.open("ab+") as file:
        if file.seek(0, 2) and (file.seek(-1, 2), file.read(1))[1] != b"\n":
            line = f"\n{line}"
        file.write(f"{line}\n".encode())


class RunContext:
    """What a step gets: its spec, its folders, and the ways to say how far it is.

    Entered by the worker: a thread then writes status.json at most every 0.5 s and at least every 2 s,
    so that a long training step is still seen to be alive and never waits for the disk. Where a run is done
    in parts, `part` says which one this is, and status, events and log go to the folder `reports`; a file
    named stop.json beside that folder asks it to stop.
    """

    def __init__(
        self,
        workspace: Workspace,
        spec: RunSpec,
        *,
        status: Status | None = None,
        part: Part | None = None,
        reports: Path | None = None,
    ) -> None:
        self.workspace = workspace
        self.spec = spec
        self.folder = workspace.run_folder(spec.run_id)
        self.adapters = workspace.adapters(spec.run_id)
        self.part = part
        self._reports = reports or self.folder
        self._stop_file = reports.parent / STOP if reports is not None else None
        self._reports.mkdir(parents=True, exist_ok=True)
        self._status = replace(status or Status(state="running"), worker=identity())
        self._earlier_seconds = self._status.seconds
        self._began = self._told = time.monotonic()
        self._first: tuple[float, float] | None = None
        self._lock = threading.Lock()
        self._changed = False
        self._stop = threading.Event()
        self._closing = threading.Event()
        self._beat = threading.Thread(target=self._write_regularly, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._beat.join()
        if self._changed:
            with suppress(OSError):  # how it ended is still to be written, and with more care
                self._write()

    def progress(self, stage: str, done: int, total: int, *, unit: str = "") -> None:
        """Say that `done` of `total` units of `stage` are behind. Cheap: call it every step."""
        share = min(1.0, done / total) if total else 1.0
        with self._lock:
            overall = max(self._status.progress, _overall(self.spec.stages, stage, share))
            self._first = self._first or (time.monotonic(), overall)
            eta, spent = self._eta_seconds(overall), self._spent_until_now(stage)
            self._status = replace(
                self._status,
                progress=overall,
                stage=stage,
                done=done,
                total=total,
                unit=unit,
                eta_seconds=eta,
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
        """Declare a protocol the run scored under; return its hash, for the column `protocol`."""
        name = fingerprint(dict(fields_), 12)
        self._declare("protocols", {**declared(self.folder, "protocols", {}), name: dict(fields_)})
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

    def _eta_seconds(self, overall: float) -> float | None:
        assert self._first is not None
        began, start = self._first
        if overall - start >= _LEAST_PROGRESS_FOR_ETA:
            return (1.0 - overall) * (time.monotonic() - began) / (overall - start)
        estimate = self.spec.estimate_seconds
        return None if estimate is None else (1.0 - overall) * estimate

    def _write_regularly(self) -> None:
        written, missed = time.monotonic(), None
        while not self._closing.wait(WRITE_SECONDS):
            if self._stop_file is not None and self._stop_file.exists():
                self.request_stop()
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

    def _write(self) -> None:
        with self._lock:
            beat = Heartbeat(boot_id=boot_id(), monotonic=time.monotonic(), at=now())
            self._status = replace(self._status, heartbeat=beat, seconds=self.seconds)
            self._changed = False
            status = self._status
        write_status(self._reports, status)

    def _declare(self, name: str, value: Any) -> None:
        write_json(self.folder / f"{name}.json", value)


def _known(record: type, values: dict[str, Any]) -> dict[str, Any]:
    names = {entry.name for entry in fields(record)}
    return {name: value for name, value in values.items() if name in names}


def _overall(stages: Mapping[str, float], stage: str, share: float) -> float:
    total = sum(stages.values())
    if stage not in stages or total <= 0:
        return share if not stages else 0.0
    before = 0.0
    for name, weight in stages.items():
        if name == stage:
            return (before + weight * share) / total
        before += weight
    return 0.0


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
