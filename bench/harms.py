"""The faults of the campaign: each hurts a study that goes on, and says whether it hit something in flight.

A fault returns None where there is nothing to hurt just now. A hit is a process that was killed, a write that
was refused and told of, a file of a run at work that was cut off, a clock that a run has read.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from engine.core import integrity
from engine.core.errors import EngineError
from engine.core.paths import REPOSITORY, Workspace
from engine.results import store
from engine.results.study import autopilot
from engine.runs import jobs, standby
from engine.runs.processes import ProcessIdentity, running, signal_group
from engine.runs.records import RunRecord, scan
from engine.runs.runfolder import read_log, read_status
from engine.show.doctor import examine
from engine.strategies.plan import Plan

_HOLD_SECONDS = (2.5, 6.0)
_EVIDENCE_SECONDS = 5.0
_FAR_SECONDS = 1800.0
_CLOCKS = ("+0", "+3600", "-86400", "+400d", "-3d", "@2000-01-01 00:00:00", "2031-05-05 05:05:05")
_APP_SECONDS = 30.0
_GONE_SECONDS = 60.0
_READER_SECONDS = 120.0


@dataclass
class Episode:
    """One study that is hurt. `disk` is its small disk's folder, None without the right to mount one."""

    ws: Workspace
    draw: random.Random
    piloted: bool
    with_app: bool
    disk: Path | None
    clock: Path | None
    plans: list[Plan] = field(default_factory=list)
    app: subprocess.Popen[bytes] | None = None
    port: int = 0
    hurt: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    succeeded: set[str] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unnoticed: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)


def kill_worker(one: Episode) -> bool | None:
    return _kill(_at_work(one), lambda record: [record.status.worker])


def kill_supervisor(one: Episode) -> bool | None:
    return _kill(_at_work(one), lambda record: [record.status.supervisor])


def kill_heir(one: Episode) -> bool | None:
    """Kill the supervisor that stands by for the next run."""
    return signal_group(standby.who(one.ws), signal.SIGKILL) or None


def kill_both(one: Episode) -> bool | None:
    return _kill(_at_work(one), lambda record: [record.status.supervisor, record.status.worker])


def stop_worker_politely(one: Episode) -> bool | None:
    record = _at_work(one)
    return (record is not None and signal_group(record.status.worker, signal.SIGTERM)) or None


def kill_autopilot(one: Episode) -> bool | None:
    pilot = autopilot.status(one.ws)
    walking = pilot is not None and pilot.state == "walking"
    return (walking and signal_group(pilot.process, signal.SIGKILL)) or None


def kill_app(one: Episode) -> bool | None:
    if one.app is None or one.app.poll() is not None:
        return None
    until = time.monotonic() + _APP_SECONDS
    while not (visited := visit(one.port)) and time.monotonic() < until:
        time.sleep(0.5)
    time.sleep(one.draw.uniform(0, 2))
    with suppress(ProcessLookupError):
        os.killpg(one.app.pid, signal.SIGKILL)
    one.app.wait()
    return visited


def kill_reader(one: Episode) -> bool | None:
    """Kill a process in the middle of taking results into the database."""
    program = "import sys\nfrom pathlib import Path\nfrom engine.core.paths import Workspace\n"
    program += "from engine.results import store\n"
    program += "while True: store.rebuild(Workspace(Path(sys.argv[1])))"
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(one.ws.root)], cwd=REPOSITORY, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + _READER_SECONDS
    while not _has_open(child.pid, one.ws.database) and time.monotonic() < until and child.poll() is None:
        time.sleep(0.01)
    time.sleep(one.draw.uniform(0.0, 0.2))
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGSTOP)
        hit = _has_open(child.pid, one.ws.database)
        child.kill()
    child.wait()
    return hit


def cancel(one: Episode) -> bool | None:
    active = [record for record in scan(one.ws) if record.state in ("queued", "running")]
    if not active:
        return None
    chosen = one.draw.choice(active)
    with suppress(EngineError):  # it may have ended meanwhile
        jobs.cancel(one.ws, chosen.run_id, grace_seconds=one.draw.choice((0.0, 5.0)))
    return chosen.state == "running"


def fill_disk(one: Episode) -> bool | None:
    if one.disk is None:
        return None
    record, filler = _at_work(one), one.disk / "filler"
    told = _told(one, record)
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    time.sleep(one.draw.uniform(*_HOLD_SECONDS))
    filler.unlink()
    return _complained(one, record, told, "No space left")


def make_read_only(one: Episode) -> bool | None:
    """Let the folder of a run, or of all runs, refuse every write for some seconds."""
    if one.disk is None:
        return None
    record = _at_work(one)
    folder = one.ws.runs if record is None or one.draw.random() < 0.5 else one.ws.run_folder(record.run_id)
    if not folder.exists() or not mount("--bind", str(folder), str(folder)):
        return None
    told = _told(one, record)
    mount("-o", "remount,bind,ro", str(folder))
    time.sleep(one.draw.uniform(*_HOLD_SECONDS))
    subprocess.run(["umount", "-l", str(folder)], check=True)
    return _complained(one, record, told, "Read-only file system")


def cut_a_file(one: Episode) -> bool | None:
    """Cut off a file that a run, the queue or the store has written."""
    found = [one.ws.database, *one.ws.data.glob("*.json*"), *(one.ws.data / "embeddings").glob("*")]
    found = [path for path in found if path.name not in ("workspace.json", "machine.json")]
    record = _at_work(one)
    with suppress(OSError, ValueError, IndexError):  # it may be gone meanwhile, or there may be none
        open_runs = [each.run_id for each in scan(one.ws) if each.state != "succeeded"]
        folders = [folder(name) for name in open_runs for folder in (one.ws.run_folder, one.ws.adapters)]
        of_runs = [path for folder in folders for path in folder.rglob("*") if path.suffix != ".lock"]
        chosen = of_runs if of_runs and one.draw.random() < 0.8 else found
        path = one.draw.choice([path for path in chosen if path.is_file() and path.stat().st_size])
        os.truncate(path, one.draw.randrange(path.stat().st_size))
        return record is not None and record.run_id in path.parts
    return None


def tear_a_result(one: Episode) -> bool | None:
    """Cut off a finished run's file: it must be reported and left out, and come back with the file."""
    finished = [record.run_id for record in scan(one.ws) if record.state == "succeeded"]
    if not finished:
        return None
    run_id = one.draw.choice(finished)
    path = one.ws.run_folder(run_id) / one.draw.choice(("scores.parquet", "done.json"))
    whole = path.read_bytes()
    _replace(path, whole[: one.draw.randrange(len(whole))])
    if run_id not in {torn.run_id for torn in store.rebuild(one.ws).torn}:
        one.wrong.append(f"{run_id}: {path.name} is torn and nobody says so")
    _replace(path, whole)
    if run_id not in store.rebuild(one.ws).taken_in:
        one.wrong.append(f"{run_id} is whole again and not in the store")
    return True


def delete_database(one: Episode) -> bool | None:
    if not one.ws.database.exists():
        return None
    one.ws.database.unlink(missing_ok=True)
    return any(record.state == "succeeded" for record in scan(one.ws))


def step_clock(one: Episode) -> bool | None:
    """Step the clock of all that was started here, or let it stand; a hit is one that a run has read."""
    if one.clock is None:
        return None
    record, before = _at_work(one), one.clock.read_text()
    setting = one.draw.choice([setting for setting in _CLOCKS if setting != before])
    one.clock.write_text(setting)
    until = time.monotonic() + _EVIDENCE_SECONDS
    while record is not None and time.monotonic() < until:
        beat = read_status(one.ws.run_folder(record.run_id)).heartbeat
        if beat is not None and beat != record.status.heartbeat:
            away = abs((datetime.fromisoformat(beat.at) - datetime.now(UTC)).total_seconds())
            if (away > _FAR_SECONDS) == (setting != "+0"):
                return True
        time.sleep(0.1)
    return False


def edit_data(one: Episode) -> bool | None:
    """Edit a file that the study stands on: it must be named, and nothing may start on it. Put it back."""
    found = [*one.ws.dataset.glob("*.json*"), one.ws.splits / "splits.json"]
    path, record = one.draw.choice(sorted(found)), _at_work(one)
    whole = path.read_bytes()
    place = one.draw.randrange(len(whole) // 2)
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    try:
        if path not in [changed.path for changed in integrity.changed(one.ws)]:
            one.unnoticed.append(f"{path.name} was edited and nobody says so")
        with suppress(EngineError):  # some damage stops the planning itself, in words
            jobs.submit(one.ws, one.plans[0])
            one.unnoticed.append(f"a run was launched on an edited {path.name}")
        time.sleep(one.draw.uniform(*_HOLD_SECONDS))
    finally:
        _replace(path, whole)
    return record is not None


def tear_config(one: Episode) -> bool | None:
    """Tear, empty or replace a file that everybody reads: doctor must name it and finish."""
    found = [one.ws.config, one.ws.splits / "splits.json", one.ws.dataset / "card.json"]
    path, record = one.draw.choice(found), _at_work(one)
    whole = path.read_bytes()
    path.write_bytes(one.draw.choice((whole[: one.draw.randrange(len(whole))], b"", b"[]", b"null", b"{}")))
    try:
        named = [
            check for check in examine(one.ws) if not check.ok and path.name in check.name + check.detail
        ]
        if not named:
            one.unnoticed.append(f"{path.name} is torn and doctor does not name it")
        with suppress(EngineError):
            store.refresh(one.ws)
        time.sleep(one.draw.uniform(*_HOLD_SECONDS))
    except Exception:  # noqa: BLE001 - counting them is the point
        one.unnoticed.append(f"a torn {path.name}: {traceback.format_exc(limit=-3)}")
    finally:
        _replace(path, whole)
    return record is not None


def hang_with_lock(one: Episode) -> bool | None:
    """Let a process hang while it holds the queue's lock: doctor must name it; then kill it."""
    program = "import sys, time\nfrom engine.core.locks import queue_lock\n"
    program += "from engine.core.paths import Workspace\n"
    program += "from pathlib import Path\nwith queue_lock(Workspace(Path(sys.argv[1]))):\n"
    program += "    print('held', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", program, str(one.ws.root)]
    child = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        if child.stdout is None or not child.stdout.readline():
            return None
        child.send_signal(signal.SIGSTOP)
        told = " ".join(check.detail for check in examine(one.ws) if not check.ok)
        if f"process {child.pid} " not in told:
            one.unnoticed.append(f"a process hangs with the queue's lock and doctor does not name it: {told}")
    finally:
        child.kill()
        child.wait()
    return True


def move_workspace(one: Episode) -> bool | None:
    """Move the workspace away under a run: its processes must end and leave nothing; then move it back."""
    record = _at_work(one)
    if record is None or record.status.worker is None:
        return None
    away = one.ws.root.with_name("moved")
    os.rename(one.ws.root, away)
    until = time.monotonic() + _GONE_SECONDS
    processes = [record.status.worker, record.status.supervisor]
    while any(map(running, processes)) and time.monotonic() < until:
        time.sleep(0.2)
    if any(map(running, processes)):
        one.left_behind.append(f"{record.run_id}: its processes go on where the workspace was moved away")
    if one.ws.root.exists():
        left = sorted(str(path.relative_to(one.ws.root)) for path in one.ws.root.rglob("*"))[:5]
        one.left_behind.append(f"a second folder grew at the old place: {', '.join(left)}")
        shutil.rmtree(one.ws.root, ignore_errors=True)
    os.rename(away, one.ws.root)
    return True


FAULTS: dict[str, Callable[[Episode], bool | None]] = {
    "kill -9 of a worker": kill_worker,
    "kill -9 of a supervisor": kill_supervisor,
    "kill -9 of both": kill_both,
    "kill -9 of who stands by": kill_heir,
    "SIGTERM of a worker from outside": stop_worker_politely,
    "kill -9 of the autopilot": kill_autopilot,
    "kill -9 of the app": kill_app,
    "kill -9 while results are taken in": kill_reader,
    "cancelled": cancel,
    "disk full": fill_disk,
    "read-only folder": make_read_only,
    "file cut off": cut_a_file,
    "finished result torn": tear_a_result,
    "database deleted": delete_database,
    "clock stepped or stopped": step_clock,
    "data edited": edit_data,
    "configuration torn": tear_config,
    "hung with the queue's lock": hang_with_lock,
    "workspace moved away": move_workspace,
}


def _at_work(one: Episode) -> RunRecord | None:
    return next((record for record in scan(one.ws) if record.state == "running"), None)


def _kill(record: RunRecord | None, whom: Callable[[RunRecord], list[ProcessIdentity | None]]) -> bool | None:
    hit = [signal_group(process, signal.SIGKILL) for process in (whom(record) if record else [])]
    return any(hit) or None


def _has_open(pid: int, path: Path) -> bool:
    with suppress(OSError):
        return any(os.path.realpath(entry) == str(path) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _told(one: Episode, record: RunRecord | None) -> list[str]:
    """What a run's log and status say."""
    if record is None:
        return []
    folder = one.ws.run_folder(record.run_id)
    return [*read_log(folder), read_status(folder).error or ""]


def _complained(one: Episode, record: RunRecord | None, told: list[str], of: str) -> bool:
    """Say whether the run has since told of a refused write; it may need a moment for that."""
    until = time.monotonic() + _EVIDENCE_SECONDS
    while record is not None and time.monotonic() < until:
        now = _told(one, record)
        if sum(of in line for line in now) > sum(of in line for line in told):
            return True
        time.sleep(0.1)
    return False


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def mount(*words: str) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


def open_app(one: Episode) -> None:
    """Start the app over the episode's workspace, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        one.port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(one.port)]
    one.app = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "PERSONA_LAB_WORKSPACE": str(one.ws.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def visit(port: int) -> bool:
    """Open a session of the app, as a browser does, so that its pages run; False while it is not up."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    message = BackMsg()
    message.rerun_script.query_string = ""
    try:
        address = f"ws://localhost:{port}/_stcore/stream"
        with connect(address, subprotocols=["streamlit"], open_timeout=5, max_size=None) as line:  # type: ignore[list-item]
            line.send(message.SerializeToString())
            line.recv(timeout=5)
    except (OSError, TimeoutError, WebSocketException):
        return False
    return True
