"""A campaign of random faults on real runs, and what became of every result.

    .venv/bin/python bench/faults.py                       200 faults, about an hour on two cores
    .venv/bin/python bench/faults.py --write               and put the table into docs/reliability.md
    .venv/bin/python bench/faults.py --faults 20 --seed 7

An episode is a study of three real runs (base, unified, one adapter a persona), launched by the queue or by
the autopilot, with the app open. At random moments it is hurt: processes are killed with SIGKILL, the disk is
full, a folder is read-only, files are cut off, the clock steps or stands still. After each fault somebody
looks, as a page does, and within 10 s every run must read as what it is. Then she launches the same thing
again, as a user does. In the end weights and scores are compared with those of a study in peace.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.reliability import alone, end_all, study, write_part  # noqa: E402
from engine import jobs, manifest, store  # noqa: E402
from engine.errors import EngineError  # noqa: E402
from engine.experiments import tree_library  # noqa: E402
from engine.experiments.plan import Plan  # noqa: E402
from engine.paths import REPOSITORY, Workspace  # noqa: E402
from engine.processes import ProcessIdentity, signal_group  # noqa: E402
from engine.records import RunRecord, find, scan  # noqa: E402
from engine.study import autopilot  # noqa: E402

EXPERIMENTS = {
    "base": {},
    "unified": {"epochs": 6, "batch_size": 1},
    "per-persona": {"epochs": 6, "batch_size": 1},
}
EVALUATION = {"examples_per_persona": 8, "max_new_tokens": 24}
FAULTS_AN_EPISODE = 8
LOOK_SECONDS = 10.0
RECOVERY_SECONDS = 900.0
_DISK_BYTES = 400_000_000
_HOLD_SECONDS = (0.5, 4.0)
_FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
_CLOCKS = ("+0", "+3600", "-86400", "+400d", "-3d", "@2000-01-01 00:00:00", "2031-05-05 05:05:05")


@dataclass
class Episode:
    """One study that is hurt. `disk` is its small disk's folder, None without the right to mount one."""

    ws: Workspace
    draw: random.Random
    piloted: bool
    disk: Path | None
    clock: Path | None
    app: subprocess.Popen[bytes] | None = None
    port: int = 0
    hurt: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def plans(ws: Workspace) -> list[Plan]:
    """The runs of every episode."""
    return [alone(ws, name, {**own, **EVALUATION}) for name, own in EXPERIMENTS.items()]


# --- the faults; each returns False where there is nothing to hurt just now


def kill_worker(one: Episode) -> bool:
    return _kill(_at_work(one), lambda record: [record.status.worker])


def kill_supervisor(one: Episode) -> bool:
    return _kill(_at_work(one), lambda record: [record.status.supervisor])


def kill_both(one: Episode) -> bool:
    return _kill(_at_work(one), lambda record: [record.status.supervisor, record.status.worker])


def stop_worker_politely(one: Episode) -> bool:
    record = _at_work(one)
    return record is not None and signal_group(record.status.worker, signal.SIGTERM)


def kill_autopilot(one: Episode) -> bool:
    pilot = autopilot.status(one.ws)
    return pilot is not None and pilot.state == "walking" and signal_group(pilot.process, signal.SIGKILL)


def kill_app(one: Episode) -> bool:
    if one.app is None or one.app.poll() is not None:
        return False
    visit(one.port)
    time.sleep(one.draw.uniform(0, 2))
    with suppress(ProcessLookupError):
        os.killpg(one.app.pid, signal.SIGKILL)
    one.app.wait()
    return True


def kill_reader(one: Episode) -> bool:
    """Kill a process in the middle of taking results into the database."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom engine import store\nfrom engine.paths import Workspace\n"
    )
    program += "while True: store.rebuild(Workspace(Path(sys.argv[1])))"
    child = subprocess.Popen([sys.executable, "-c", program, str(one.ws.root)], cwd=REPOSITORY)
    time.sleep(one.draw.uniform(1.5, 4.0))
    child.kill()
    child.wait()
    return True


def cancel(one: Episode) -> bool:
    active = [record for record in scan(one.ws) if record.state in ("queued", "running")]
    if not active:
        return False
    with suppress(EngineError):  # it may have ended meanwhile
        jobs.cancel(one.ws, one.draw.choice(active).run_id, grace_seconds=one.draw.choice((0.0, 5.0)))
    return True


def fill_disk(one: Episode) -> bool:
    if one.disk is None:
        return False
    filler = one.disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    time.sleep(one.draw.uniform(*_HOLD_SECONDS))
    filler.unlink()
    return True


def make_read_only(one: Episode) -> bool:
    """Let the folder of a run, or of all runs, refuse every write for some seconds."""
    if one.disk is None:
        return False
    record = _at_work(one)
    folder = one.ws.runs if record is None or one.draw.random() < 0.5 else one.ws.run_folder(record.run_id)
    if not folder.exists() or not _mount("--bind", str(folder), str(folder)):
        return False
    _mount("-o", "remount,bind,ro", str(folder))
    time.sleep(one.draw.uniform(*_HOLD_SECONDS))
    subprocess.run(["umount", "-l", str(folder)], check=True)
    return True


def cut_a_file(one: Episode) -> bool:
    """Cut off a file that a run, the queue or the store has written."""
    found = [one.ws.database, *one.ws.data.glob("*.json*"), *(one.ws.data / "embeddings").glob("*")]
    found = [path for path in found if path.name not in ("workspace.json", "machine.json")]
    for record in scan(one.ws):
        if record.state != "succeeded":
            folder = one.ws.run_folder(record.run_id)
            found += [path for path in folder.rglob("*") if not path.name.endswith(".lock")]
    found = [path for path in found if path.is_file() and path.stat().st_size]
    if not found:
        return False
    path = one.draw.choice(found)
    with suppress(FileNotFoundError):
        os.truncate(path, one.draw.randrange(path.stat().st_size))
    return True


def tear_a_result(one: Episode) -> bool:
    """Cut off a finished run's file: it must be reported and left out, and come back with the file."""
    finished = [record.run_id for record in scan(one.ws) if record.state == "succeeded"]
    if not finished:
        return False
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


def delete_database(one: Episode) -> bool:
    one.ws.database.unlink(missing_ok=True)
    return True


def step_clock(one: Episode) -> bool:
    if one.clock is None:
        return False
    one.clock.write_text(one.draw.choice(_CLOCKS))
    return True


FAULTS: dict[str, Callable[[Episode], bool]] = {
    "kill -9 of a worker": kill_worker,
    "kill -9 of a supervisor": kill_supervisor,
    "kill -9 of both": kill_both,
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
}


def _at_work(one: Episode) -> RunRecord | None:
    return next((record for record in scan(one.ws) if record.state == "running"), None)


def _kill(record: RunRecord | None, whom: Callable[[RunRecord], list[ProcessIdentity | None]]) -> bool:
    hit = [signal_group(process, signal.SIGKILL) for process in (whom(record) if record else [])]
    return any(hit)


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _mount(*words: str) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


# --- the app


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


# --- one episode


def endure(one: Episode, faults: int) -> dict[str, Any]:
    """Hurt a study so often, then let it come to its end; return what became of its runs."""
    launch(one)
    names = list(FAULTS)
    while sum(one.hurt.values()) < faults and not _all_done(one):
        time.sleep(one.draw.uniform(0.3, 12.0))
        name = one.draw.choice(names)
        try:
            if FAULTS[name](one):
                one.hurt[name] += 1
                check_states(one, name)
        finally:
            heal(one)
    until = time.monotonic() + RECOVERY_SECONDS
    while not _all_done(one) and time.monotonic() < until:
        time.sleep(1.0)
        check_states(one, "recovery")
        heal(one)
    return {
        "done": [planned.target.run_id for planned in plans(one.ws) if _done(one.ws, planned)],
        "open": [planned.target.run_id for planned in plans(one.ws) if not _done(one.ws, planned)],
    }


def launch(one: Episode) -> None:
    """Start the study by the autopilot or by the queue, and the app beside it."""
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
        for planned in plans(one.ws):
            if not _done(one.ws, planned):
                jobs.submit(one.ws, planned, retry=True)
    except (EngineError, OSError) as error:
        one.errors.append(str(error))  # told in words; the next look tries again


def check_states(one: Episode, after: str) -> None:
    """Look until every run reads as what it is; note those that do not within LOOK_SECONDS."""
    until = time.monotonic() + LOOK_SECONDS
    while faults := _untrue(one.ws):
        if time.monotonic() > until:
            one.wrong += [f"after {after}: {fault}" for fault in faults]
            return
        time.sleep(0.2)


def _untrue(ws: Workspace) -> list[str]:
    """Compare what the runs say with the processes there are, found by their command lines."""
    found = []
    for record in jobs.list_runs(ws):
        working = _processes("engine.worker", record.run_id, ws)
        watching = _processes("engine.supervisor", record.run_id, ws)
        if record.state == "running" and not working and not watching:
            found.append(f"{record.run_id} reads as running, and no process works on it")
        if record.state != "running" and working:
            found.append(f"{record.run_id} reads as {record.state}, and process {working[0]} works on it")
        if len(working) > 1:
            found.append(f"{record.run_id} runs {len(working)} times")
    return found


def _processes(module: str, run_id: str, ws: Workspace) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if {module.encode(), run_id.encode(), str(ws.root).encode()} <= set(words):
                found.append(int(entry.name))
    return found


def _all_done(one: Episode) -> bool:
    return all(_done(one.ws, planned) for planned in plans(one.ws))


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


# --- results


def results(ws: Workspace) -> dict[str, dict[str, str]]:
    """Return each run's results as hashes: its adapters' files and its scores without the times."""
    import pandas as pd

    found = {}
    for planned in plans(ws):
        run_id = planned.target.run_id
        folder = ws.adapters(run_id)
        weights = {
            str(path.relative_to(folder)): manifest.sha256(path)
            for path in sorted(folder.rglob("*.safetensors"))
        }
        path = ws.run_folder(run_id) / "scores.parquet"
        if not path.exists():
            continue
        scores = pd.read_parquet(path).drop(columns="seconds")
        found[run_id] = {**weights, "scores": scores.to_csv(index=False)}
    return found


def judge(one: Episode, ended: dict[str, Any], expected: dict[str, dict[str, str]]) -> dict[str, int]:
    """Count what is lost, doubled, other than it must be, and not recovered."""
    mine = results(one.ws)
    report = store.rebuild(one.ws)
    rows = store.example_rows(one.ws, split="test")
    rerun = Counter(record.experiment for record in scan(one.ws))
    return {
        "lost": sum(run_id not in report.taken_in for run_id in ended["done"]),
        "doubled": int(rows.duplicated(subset=["variant", "example_id"]).sum())
        + sum(rerun[name] - 1 for name in EXPERIMENTS if rerun[name] > 1 and not one.piloted),
        "different": sum(mine.get(run_id) != expected[run_id] for run_id in ended["done"]),
        "wrong_states": len(one.wrong),
        "not_recovered": len(ended["open"]),
    }


@contextmanager
def small_disk(scratch: Path) -> Iterator[Path | None]:
    """Mount a small disk of its own in memory; None without the right to."""
    place = scratch / "disk"
    place.mkdir()
    mounted = os.getuid() == 0 and _mount("-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none", str(place))
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


def campaign(faults: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Hurt studies until there were that many faults; return what docs and --json show."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    began = time.monotonic()
    hurt: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    remarks = list[str]()
    number = 0
    with study() as pristine:
        expected = _undisturbed(pristine)
        while sum(hurt.values()) < faults:
            number += 1
            with tempfile.TemporaryDirectory(prefix="persona-lab-faults-") as scratch:
                one, judged = _episode(
                    pristine, Path(scratch), random.Random(f"{seed}/{number}"), number, expected,
                    faults=min(FAULTS_AN_EPISODE, faults - sum(hurt.values())),
                )  # fmt: skip
            hurt += one.hurt
            counted.update(judged)
            remarks += [f"episode {number}: {text}" for text in one.wrong]
            say(f"episode {number}: {sum(one.hurt.values())} faults, {sum(hurt.values())} in all, {judged}")
    return {
        "faults": sum(hurt.values()),
        "episodes": number,
        "seconds": time.monotonic() - began,
        "seed": seed,
        "by_kind": {name: hurt[name] for name in FAULTS},
        "runs": number * len(EXPERIMENTS),
        **{name: counted[name] for name in ("lost", "doubled", "different", "wrong_states", "not_recovered")},
        "remarks": remarks,
    }


def _undisturbed(ws: Workspace) -> dict[str, dict[str, str]]:
    """Do the study once in peace, on a copy; return its results."""
    with tempfile.TemporaryDirectory(prefix="persona-lab-faults-") as scratch:
        quiet = Workspace(Path(scratch) / "workspace")
        shutil.copytree(ws.root, quiet.root)
        ids = [jobs.submit(quiet, planned)[0].record.run_id for planned in plans(quiet)]
        ended = jobs.wait(quiet, ids)
        if any(record.state != "succeeded" for record in ended):
            raise SystemExit(
                f"The study does not succeed even in peace: {[record.error for record in ended]}"
            )
        if (quiet.data / "kernels.json").exists():  # a matter of timing, and part of the protocol
            shutil.copy(quiet.data / "kernels.json", ws.data / "kernels.json")
        return results(quiet)


def _episode(
    pristine: Workspace,
    scratch: Path,
    draw: random.Random,
    number: int,
    expected: dict[str, dict[str, str]],
    *,
    faults: int,
) -> tuple[Episode, dict[str, int]]:
    with small_disk(scratch) as disk, fake_clock(scratch, wanted=number % 2 == 0) as clock:
        ws = Workspace((disk or scratch) / "workspace")
        shutil.copytree(pristine.root, ws.root)
        one = Episode(ws, draw, piloted=number % 3 == 0, disk=disk, clock=clock)
        try:
            ended = endure(one, faults)
            _end_pilot(one)
            return one, judge(one, ended, expected)
        finally:
            _end_pilot(one)
            end_all(ws)
            if one.app is not None and one.app.poll() is None:
                os.killpg(one.app.pid, signal.SIGKILL)
                one.app.wait()
            _end_generator(ws)


def _end_pilot(one: Episode) -> None:
    if one.piloted:
        with suppress(EngineError):
            autopilot.stop(one.ws)


def _end_generator(ws: Workspace) -> None:
    for module in ("engine.talk.server", "engine.study.walking"):
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
                if {module.encode(), str(ws.root).encode()} <= set(words):
                    os.kill(int(entry.name), signal.SIGKILL)


def page(found: dict[str, Any], command: str) -> str:
    """Return the campaign's part of the page."""
    kinds = [(name, number) for name, number in found["by_kind"].items() if number]
    lines = [
        f"{found['faults']} faults in {found['episodes']} studies of {len(EXPERIMENTS)} runs, in "
        f"{found['seconds'] / 60:.0f} minutes on {os.cpu_count()} cores. Made by",
        "",
        f"    {command}",
        "",
        "| fault | times |",
        "|---|---:|",
        *(f"| {name} | {number} |" for name, number in kinds),
        "",
        "| what must not be | count |",
        "|---|---:|",
        f"| results lost | {found['lost']} |",
        f"| results doubled | {found['doubled']} |",
        f"| weights or scores other than those of a study nobody hurt | {found['different']} |",
        f"| states still wrong after {LOOK_SECONDS:.0f} s | {found['wrong_states']} |",
        f"| runs that did not recover | {found['not_recovered']} |",
    ]
    left = [name for name, number in found["by_kind"].items() if not number]
    return "\n".join([*lines, *(["", f"Not met: {', '.join(left)}."] if left else [])])


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--faults", type=int, default=200)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    made.add_argument("--write", action="store_true", help="Write docs/reliability.md too.")
    given = made.parse_args()
    found = campaign(given.faults, given.seed, lambda line: print(line, file=sys.stderr, flush=True))
    command = f".venv/bin/python bench/faults.py --faults {given.faults} --seed {given.seed} --write"
    print(json.dumps(found, indent=2) if given.json else page(found, command))
    for remark in found["remarks"][:20]:
        print(remark, file=sys.stderr)
    if given.write:
        write_part("faults", page(found, command))
    bad = ("lost", "doubled", "different", "wrong_states", "not_recovered")
    sys.exit(any(found[name] for name in bad))


if __name__ == "__main__":
    main()
