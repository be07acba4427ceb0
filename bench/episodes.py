"""One episode of the campaign: a study of real runs that is hurt, looked at, launched again, and judged."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.harms import FAULTS, Episode, mount, open_app
from bench.reliability import alone, end_all, results_of
from engine.core.errors import EngineError, refusal
from engine.core.paths import Workspace
from engine.results import store
from engine.results.study import autopilot
from engine.results.trees import tree_library
from engine.runs import jobs
from engine.runs.processes import running
from engine.runs.records import RunRecord, find, scan
from engine.runs.runfolder import Heartbeat
from engine.strategies.plan import Plan

EXPERIMENTS = {
    "base": {},
    "unified": {"epochs": 6, "batch_size": 1},
    "per-persona": {"epochs": 6, "batch_size": 1},
}
EVALUATION = {"examples_per_persona": 4, "max_new_tokens": 16}
FAULTS_AN_EPISODE = 12
LOOK_SECONDS = 10.0
SILENCE_SECONDS = 900.0
RECOVERY_SECONDS = 4 * 3600.0
LEAVING_SECONDS = 300.0
BIDE_SECONDS = 240.0
BAD = ("lost", "doubled", "different", "wrong_states", "not_recovered", "unnoticed", "left_behind")
_DISK_BYTES = 100_000_000
_FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one episode: how often each fault came and hit, the counts of BAD, and remarks."""

    hurt: Counter[str]
    hit: Counter[str]
    judged: dict[str, int]
    remarks: list[str]


def plans(ws: Workspace) -> list[Plan]:
    """The runs of every episode."""
    return [alone(ws, name, {**own, **EVALUATION}) for name, own in EXPERIMENTS.items()]


def episode(pristine: Workspace, number: int, seed: int, expected: dict[str, dict[str, str]]) -> Outcome:
    """Hurt a copy of a study and say what became of it."""
    draw = random.Random(f"{seed}/{number}")
    with (
        tempfile.TemporaryDirectory(prefix="persona-lab-faults-", ignore_cleanup_errors=True) as folder,
        small_disk(Path(folder)) as disk,
        fake_clock(Path(folder), wanted=number % 2 == 0) as clock,
    ):
        ws = Workspace((disk or Path(folder)) / "workspace")
        shutil.copytree(pristine.root, ws.root)
        one = Episode(ws, draw, piloted=number % 3 == 0, with_app=number % 3 == 1, disk=disk, clock=clock)
        try:
            endure(one, FAULTS_AN_EPISODE)
            _end_pilot(one)
            _see_off(one)
            return Outcome(
                one.hurt,
                one.hit,
                judge(one, expected),
                [*one.lost, *one.wrong, *one.unnoticed, *one.left_behind],
            )
        finally:
            _end_pilot(one)
            end_all(ws)
            if one.app is not None and one.app.poll() is None:
                os.killpg(one.app.pid, signal.SIGKILL)
                one.app.wait()
            _end_generator(ws)


def endure(one: Episode, faults: int) -> None:
    """Hurt a study so often, then let it come to its end."""
    one.plans = plans(one.ws)
    launch(one)
    names = list(FAULTS)
    while sum(one.hurt.values()) < faults and not _all_done(one):
        _bide(one)
        name = one.draw.choice(names)
        try:
            hit = FAULTS[name](one)
            if hit is not None:
                one.hurt[name] += 1
                one.hit[name] += hit
                check_states(one, name)
        finally:
            heal(one)
    began = seen = time.monotonic()
    signs = _signs_of_life(one)
    while not _all_done(one) and time.monotonic() < min(seen + SILENCE_SECONDS, began + RECOVERY_SECONDS):
        time.sleep(2.0)
        check_states(one, "recovery")
        heal(one)
        if (latest := _signs_of_life(one)) != signs:
            signs, seen = latest, time.monotonic()


def _signs_of_life(one: Episode) -> list[tuple[int, Heartbeat | None]]:
    return [(record.status.attempt, record.status.heartbeat) for record in scan(one.ws)]


def _see_off(one: Episode) -> None:
    """Wait until the workers of ended runs are gone; note those that are not."""
    until = time.monotonic() + LEAVING_SECONDS
    ended = [record.run_id for record in scan(one.ws) if record.ended]
    while left := [name for name in ended if _processes("engine work", name, one.ws)]:
        if time.monotonic() > until:
            one.wrong += [f"{name} has ended, and its worker does not leave" for name in left]
            return
        time.sleep(1.0)


def _bide(one: Episode) -> None:
    """Wait for the moment of the next fault: mostly until a run is past its start, sometimes for anything."""
    until = time.monotonic() + one.draw.choice((0.0, *3 * (BIDE_SECONDS,)))
    while time.monotonic() < until and not _all_done(one):
        if any(_is_past_its_start(record) for record in scan(one.ws)):
            break
        time.sleep(0.1)
    time.sleep(one.draw.uniform(0.0, 3.0))


def _is_past_its_start(record: RunRecord) -> bool:
    return record.state == "running" and record.status.stage not in ("", "load")


def launch(one: Episode) -> None:
    """Start the study by the autopilot or by the queue, and the app beside it."""
    if one.with_app:
        open_app(one)
    if one.piloted:
        tree_library.save(one.ws, "campaign", _tree())
        autopilot.start(one.ws, "campaign")
    heal(one)


def heal(one: Episode) -> None:
    """Do what a user does: look, launch the same thing again, open the app again."""
    if one.app is not None and one.app.poll() is not None:
        open_app(one)
    try:
        store.refresh(one.ws)
        if one.piloted:
            pilot = autopilot.status(one.ws)
            if pilot is None or pilot.state in autopilot.RESUMABLE:
                autopilot.start(one.ws, "campaign")
        pilot = autopilot.status(one.ws) if one.piloted else None
        walking = pilot is not None and pilot.state == "walking"
        for planned in one.plans:
            launched = one.ws.run_folder(planned.target.run_id).exists()
            if not _done(one.ws, planned) and (launched or not walking):
                jobs.submit(one.ws, planned)
    except EngineError as error:
        one.errors.append(str(error))  # told in words; the next look tries again
    except OSError as error:
        if refusal(error) is None:
            one.wrong.append(f"a user saw: {traceback.format_exc(limit=-3)}")
        one.errors.append(str(error))
    except Exception:  # noqa: BLE001 - counting them is the point
        one.wrong.append(f"a user saw: {traceback.format_exc(limit=-3)}")


def check_states(one: Episode, after: str) -> None:
    """Look until every run reads as what it is; note those that do not within LOOK_SECONDS."""
    until = time.monotonic() + LOOK_SECONDS
    while faults := _untrue(one.ws):
        if time.monotonic() > until:
            one.wrong += [f"after {after}: {fault}" for fault in faults]
            break
        time.sleep(0.2)
    succeeded = {record.run_id for record in scan(one.ws) if record.state == "succeeded"}
    one.lost += [f"after {after}: {name} had succeeded" for name in one.succeeded - succeeded]
    one.succeeded = succeeded


def _untrue(ws: Workspace) -> list[str]:
    """Compare what the runs say with the processes there are, found by their command lines."""
    found = []
    for record in jobs.list_runs(ws):
        working = _processes("engine work", record.run_id, ws)
        watching = _processes("engine supervise", record.run_id, ws)
        if record.state == "running" and not working and not watching:
            found.append(f"{record.run_id} reads as running, and no process works on it")
        worker = record.status.worker
        if record.state == "running" and worker is not None and not running(worker):
            found.append(f"{record.run_id} reads as running, and its worker has ended")
        leaving = [worker.pid] if worker is not None and record.ended else []  # it has said its last word
        if record.state != "running" and working not in ([], leaving):
            found.append(f"{record.run_id} reads as {record.state}, and process {working[0]} works on it")
        if len(working) > 1:
            found.append(f"{record.run_id} runs {len(working)} times")
    return found


def _processes(module: str, run_id: str, ws: Workspace) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if f"-m {module} {ws.root} {run_id} ".encode() in line.replace(b"\0", b" "):
                found.append(int(entry.name))
    return found


def _all_done(one: Episode) -> bool:
    return all(_done(one.ws, planned) for planned in one.plans)


def _done(ws: Workspace, planned: Plan) -> bool:
    run_id = planned.target.run_id
    try:
        return find(ws, run_id).state == "succeeded"
    except EngineError:
        return False


def _tree() -> str:
    """The same three runs as a tree."""
    settings = json.dumps(EVALUATION)[1:-1]
    lines = ["title: Campaign", "nodes:"]
    names = [name for name in EXPERIMENTS if name != "base"]
    for name, after in zip(names, [*names[1:], "end"], strict=True):
        own = json.dumps(EXPERIMENTS[name])[1:-1]
        lines.append(
            f"  - {{id: {name}, experiment: {name}, then: {after}, parameters: {{{own}, {settings}}}}}"
        )
    return "\n".join([*lines, "  - {id: end, result: Done, use: [unified]}", ""])


def results(ws: Workspace) -> dict[str, dict[str, str]]:
    """Return each run's results as hashes."""
    return {planned.target.run_id: results_of(ws, planned.target.run_id) for planned in plans(ws)}


def judge(one: Episode, expected: dict[str, dict[str, str]]) -> dict[str, int]:
    """Count what is lost, doubled, other than it must be, and not recovered."""
    done = [planned.target.run_id for planned in one.plans if _done(one.ws, planned)]
    mine = results(one.ws)
    report = store.rebuild(one.ws)
    rows = store.example_rows(one.ws, split="test")
    rerun = Counter(record.experiment for record in scan(one.ws))
    return {
        "lost": len(one.lost) + sum(run_id not in report.taken_in for run_id in done),
        "doubled": int(rows.duplicated(subset=["variant", "example_id"]).sum())
        + sum(rerun[name] - 1 for name in EXPERIMENTS if rerun[name] > 1 and not one.piloted),
        "different": sum(mine.get(run_id) != expected[run_id] for run_id in done),
        "wrong_states": len(one.wrong),
        "not_recovered": len(one.plans) - len(done),
        "unnoticed": len(one.unnoticed),
        "left_behind": len(one.left_behind),
    }


@contextmanager
def small_disk(scratch: Path) -> Iterator[Path | None]:
    """Mount a small disk of its own in memory; None without the right to."""
    place = scratch / "disk"
    place.mkdir()
    mounted = os.getuid() == 0 and mount("-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none", str(place))
    try:
        yield place if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)


@contextmanager
def fake_clock(scratch: Path, wanted: bool) -> Iterator[Path | None]:
    """Let all processes started here read their time of day from a file; not their monotonic clock."""
    if not wanted or _FAKETIME is None:
        yield None
        return
    clock = scratch / "clock"
    clock.write_text("+0")
    settings = {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    os.environ.update(settings)
    try:
        yield clock
    finally:
        for name in settings:
            os.environ.pop(name)


def _end_pilot(one: Episode) -> None:
    if one.piloted:
        with suppress(EngineError):
            autopilot.stop(one.ws)


def _end_generator(ws: Workspace) -> None:
    for module in ("engine.serve.server", "engine.results.study.walking"):
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
                if {module.encode(), str(ws.root).encode()} <= set(words):
                    os.kill(int(entry.name), signal.SIGKILL)
