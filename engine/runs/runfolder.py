"""The run folder: the one place where jobs, supervisor, worker and store meet.

Owns the records in spec.json and status.json and the reading of the event and log files; context.py is what
writes there while a step works. Starts no process, opens no database, imports no model code.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from engine.core.consent import agree, agreed
from engine.core.errors import EngineError
from engine.core.paths import TornFile, Workspace, plain_name, read_json, read_record, read_rows, write_json
from engine.core.types import Row
from engine.runs.processes import ProcessIdentity, boot_id, is_copied, place_of, running

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
RESUMABLE: frozenset[str] = frozenset({"failed", "cancelled", "lost"})
ENDED: frozenset[str] = RESUMABLE | {"succeeded"}

CANCEL = "cancel.json"
_LASTING = frozenset({"spec.json", "status.json", "log.txt", ".worker.lock", CANCEL})
BEAT_SECONDS = 2.0
SILENT_SECONDS = 8.0


def now() -> str:
    """Return the wall-clock time in UTC, for people to read; nothing is decided by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def canonical(value: Any) -> str:
    """Return `value` as JSON with one spelling. Raises ValueError on NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any, digits: int) -> str:
    """Return the first `digits` hex digits of the sha256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()[:digits]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a run is. Everything a worker needs to rebuild it; frozen at launch.

    `upstream` maps a role to a run id. What runs is the step that the registry has for `experiment`; a file
    names no code. `stages` maps each stage to its share of the work. `changed` names the parameters and
    evaluation settings (its own and, as role.name, its upstreams') that differ from their defaults.
    `expected` are the seconds that each stage was expected to take, as far as that was known. `cloned_from`
    is the run whose settings were taken over, "" for none; it decides nothing.
    """

    experiment: str
    version: int
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
    expected: dict[str, float] = field(default_factory=dict)
    cloned_from: str = ""

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
    `consent` is the token with which this was put into the queue (engine/core/consent.py), `place` the folder
    that this was written into (engine/runs/processes.py).
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
    eta_is_rough: bool = False
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
    consent: str = ""
    place: str = ""


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
    path = folder / "spec.json"
    try:
        spec = read_record(path, RunSpec)
        for run_id in (*spec.upstream.values(), *filter(None, [spec.cloned_from])):
            plain_name(run_id, what="a run")
        if not spec.hash:
            raise ValueError("it has no hash")
    except (FileNotFoundError, ValueError) as error:  # what it holds cannot be hashed
        raise EngineError(f"{path} cannot be read: {error}", "Run: python -m engine doctor") from error
    return spec


def write_status(folder: Path, status: Status) -> None:
    """Replace status.json atomically."""
    write_json(folder / "status.json", asdict(replace(status, place=place_of(folder))))


def read_status(folder: Path) -> Status:
    """Return the run's status; an unreadable one reads as lost, with the reason as its error.

    In a copy of a workspace no process is named: those at work are the original's.
    """
    try:
        status = read_record(folder / "status.json", Status)
    except (FileNotFoundError, EngineError) as error:
        return Status(state="lost", error=f"status.json cannot be read: {error}".splitlines()[0])
    return replace(status, supervisor=None, worker=None) if is_copied(status.place, folder) else status


def read_events(folder: Path) -> list[dict[str, Any]]:
    """Return the run's events in order; a last line torn by a kill is left out."""
    return read_rows(folder / "events.jsonl", dict)


def losses_once(events: Iterable[Row]) -> list[Row]:
    """Return the events of losses, one for each split and step, by step.

    Of a step that was done again the last counts. Where a run trains several times over (in waves, on
    different weights, on several machines) each is the mean over those that came so far.
    """
    told: dict[tuple[int, str], dict[tuple[Any, ...], Row]] = {}
    for event in events:
        if event.get("kind") == "loss" and event.get("loss_nats") is not None:
            each = told.setdefault((event["step"], event["split"]), {})
            each[event.get("part"), event.get("training", 0)] = event
    return [
        {**[*each.values()][-1], "loss_nats": sum(one["loss_nats"] for one in each.values()) / len(each)}
        for _, each in sorted(told.items())
    ]


def read_log(folder: Path, *, last_lines: int | None = None) -> list[str]:
    """Return the lines of log.txt, or its last ones."""
    path = folder / "log.txt"
    if not path.is_file():
        return []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = 0 if last_lines is None else max(0, size - 400 * (last_lines + 1))
        while True:
            file.seek(start)
            lines = file.read().decode("utf-8", errors="replace").splitlines()
            if last_lines is None:
                return lines
            if start == 0 or len(lines) > last_lines:  # so the first of the last is whole
                return lines[-last_lines:]
            start = max(0, 2 * start - size)


def declared(folder: Path, name: str, default: Any) -> Any:
    """Return what the run declared under `name` (variants, protocols, summary), or `default`."""
    path = folder / f"{name}.json"
    return read_json(path) if path.exists() else default


def put_here(ws: Workspace, spec: RunSpec, status: Status) -> Status:
    """Return the status with this user's consent that the run is started, here, as the status says."""
    return replace(status, consent=agree(ws, *_started_as(spec, status)))


def is_put_here(ws: Workspace, spec: RunSpec, status: Status) -> bool:
    """Say whether this user, on this machine and in this place, has put that run into the queue."""
    return agreed(ws, status.consent, *_started_as(spec, status))


def _started_as(spec: RunSpec, status: Status) -> tuple[Any, ...]:
    return "run", spec.run_id, spec.hash, status.launcher, status.launch


def request_cancel(folder: Path, attempt: int) -> None:
    """Leave word that somebody wants this attempt ended, so that its end is not taken for an accident."""
    write_json(folder / CANCEL, {"attempt": attempt, "at": now()})


def cancel_requested(folder: Path, attempt: int) -> bool:
    """Say whether somebody asked for this attempt to be ended."""
    try:
        return bool(read_json(folder / CANCEL)["attempt"] == attempt)
    except (FileNotFoundError, EngineError):
        return False


def forget_work(ws: Workspace, run_id: str) -> None:
    """Delete all that a run has done so far: its checkpoints, adapters and what it declared.

    Spec, status and log stay. Only for a run that nobody works on, or for its own worker.
    """
    shutil.rmtree(ws.adapters(run_id), ignore_errors=True)
    for path in ws.run_folder(run_id).iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in _LASTING:
            path.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Append one line in one write; a line torn before it is closed first, so that it stays alone."""
    if os.path.lexists(path) and not path.is_file():
        raise TornFile(path, "is no file.", f"Remove {path}: lines are appended to a file in its place.")
    with path.open("ab+") as file:
        if file.seek(0, 2) and (file.seek(-1, 2), file.read(1))[1] != b"\n":
            line = f"\n{line}"
        file.write(f"{line}\n".encode())
