"""A storm on one workspace: several processes submit, look, compare, cancel and take in results at once.

Others lay in foreign run folders (with code of their own, links to elsewhere, names that lead out, specs that
no registry made), open copies of the workspace, and look on read-only, each as a process of its own.

    .venv/bin/python bench/storm.py                        8 processes x 200 operations
    .venv/bin/python bench/storm.py --write                and put the table into docs/reliability.md
    .venv/bin/python bench/storm.py --processes 4 --operations 20

Runs are real: a queue of short evaluations goes on meanwhile. An error is any exception but the one refusal
that a race allows: cancelling a run that has just ended. In the end every finished run must be in the store,
once; nothing foreign may have been started, nothing outside the workspace touched, nothing written by
onlookers.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.reliability import (
    TINY,
    alone,
    copy_finished,
    do_here,
    end_all,
    options,
    p95,
    spec_like,
    study,
    tell,
)
from engine.core.errors import EngineError
from engine.core.machine import READ_ONLY
from engine.core.paths import REPOSITORY, Workspace, write_json
from engine.results import store
from engine.results.comparing.comparison import compare_variants
from engine.runs import jobs
from engine.runs.records import find, scan
from engine.runs.runfolder import RunSpec, Status, write_spec, write_status

SHARES = {"submit": 0.2, "status": 0.3, "compare": 0.14, "cancel": 0.1, "ingest": 0.18}
SHARES |= {"lay in": 0.05, "open a copy": 0.015, "look on": 0.015}
DIFFERENT_RUNS = 40
FIRST_OWN_SEED, FOREIGN_SEED = 10_000, 10_000_000
FOREIGN = (
    "code",
    "links",
    "a name that leads out",
    "upstreams that lead out",
    "odd parameters",
    "a sound spec",
)
LOOKING = """
import sys
from pathlib import Path
WRITES = []
def watch(event, args):
    if event == "open" and isinstance(args[0], str) and args[0].startswith({root!r}):
        if args[2] & 0o3 or args[2] & 0o1000:
            WRITES.append(args[0])
    if event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.utime", "os.truncate", "os.link"):
        if str(args[0]).startswith({root!r}):
            WRITES.append(str(args[0]))
sys.addaudithook(watch)
from engine import store
from engine.results.comparing.comparison import compare_variants
from engine.core.paths import Workspace
from engine.runs import jobs
ws = Workspace(Path({root!r}))
jobs.list_runs(ws)
jobs.advance(ws)
assert compare_variants(ws, reference="base")["rows"], "the onlooker's comparison is empty"
assert {template!r} in {{one.run_id for one in jobs.list_runs(ws)}}
store.refresh(ws)
assert not WRITES, f"an onlooker wrote: {{WRITES}}"
"""


@dataclass(frozen=True, slots=True)
class Done:
    """One operation: how long it took, and what went wrong, if anything did."""

    what: str
    seconds: float
    error: str | None = None
    refused: bool = False


def storm(root: str, template: str, number: int, operations: int, seed: int) -> list[Done]:
    """Do one process's operations, in an order of its own."""
    ws, draw = Workspace(Path(root)), random.Random(f"{seed}/{number}")
    verbs: dict[str, Callable[[int], None]] = {
        "submit": lambda _: _submit(ws, draw),
        "status": lambda _: _status(ws),
        "compare": lambda _: _compare(ws),
        "cancel": lambda _: _cancel(ws, draw),
        "ingest": lambda turn: _ingest(ws, template, FIRST_OWN_SEED + 1000 * number + turn),
        "lay in": lambda turn: lay_in(ws, draw, f"{number}-{turn}"),
        "open a copy": lambda turn: _open_copy(ws, template, f"{number}-{turn}"),
        "look on": lambda _: _look_on(ws, template),
    }
    names = draw.choices(list(SHARES), weights=list(SHARES.values()), k=operations)
    return [_timed(name, verbs[name], turn) for turn, name in enumerate(names)]


def _timed(name: str, verb: Callable[[int], None], turn: int) -> Done:
    began = time.perf_counter()
    try:
        verb(turn)
    except EngineError as error:
        refused = name == "cancel" and "cannot be cancelled" in error.message
        told = None if refused else f"{name}: {error.message}"
        return Done(name, time.perf_counter() - began, told, refused)
    except Exception:  # noqa: BLE001 - counting them is the point
        return Done(name, time.perf_counter() - began, f"{name}: {traceback.format_exc(limit=-3)}")
    return Done(name, time.perf_counter() - began)


def _submit(ws: Workspace, draw: random.Random) -> None:
    jobs.submit(ws, alone(ws, "base", TINY, seed=draw.randrange(DIFFERENT_RUNS)))


def _status(ws: Workspace) -> None:
    for record in jobs.list_runs(ws):
        if record.error and "cannot be read" in record.error:
            raise RuntimeError(f"a torn status was seen: {record.run_id}: {record.error}")


def _compare(ws: Workspace) -> None:
    if not compare_variants(ws, reference="base")["rows"]:
        raise RuntimeError("the comparison is empty")


def _cancel(ws: Workspace, draw: random.Random) -> None:
    active = [record for record in scan(ws) if record.state in ("queued", "running")]
    if active:
        jobs.cancel(ws, draw.choice(active).run_id, grace_seconds=2.0)


def _ingest(ws: Workspace, template: str, seed: int) -> None:
    run_id = copy_finished(ws, template, spec_like(ws, template, seed=seed))
    store.refresh(ws)
    if run_id not in _taken_in(ws):
        raise RuntimeError(f"{run_id} is finished and not in the store")


def lay_in(ws: Workspace, draw: random.Random, name: str) -> None:
    """Leave a run folder as a stranger would, queued or lost, with something in it that must not happen."""
    spec = asdict(alone(ws, "base", TINY, seed=FOREIGN_SEED + draw.randrange(10**6)).target.spec)
    state = draw.choice(("queued", "queued", "lost", "running"))
    kind = draw.choice(FOREIGN)
    if kind == "code":
        spec |= {"experiment": "evil", "step": f"data.runs.evil-{name}.evil:run"}
    elif kind == "a name that leads out":
        spec |= {"experiment": "../../outside/evil"}
    elif kind == "upstreams that lead out":
        spec |= {"upstream": {"over": "../../../outside"}}
    elif kind == "odd parameters":
        spec |= {"parameters": {"profile": True, "base": "../outside"}}
    made = RunSpec(**{key: value for key, value in spec.items() if key != "step"})
    folder = ws.runs / (made.run_id if kind != "a name that leads out" else f"evil-{made.hash[:8]}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evil.py").write_text(f"open({str(_outside(ws) / 'executed')!r}, 'w')\n")
    if kind == "links":
        for link in ("log.txt", "events.jsonl", "scores.parquet"):
            with suppress(FileExistsError):
                (folder / link).symlink_to(_outside(ws) / "precious")
    write_json(folder / "status.json", {"state": state, "attempt": 0 if state == "queued" else 1})
    write_json(folder / "spec.json", spec)


def _open_copy(ws: Workspace, template: str, name: str) -> None:
    """Copy the workspace's study and one finished run, queue a run in it by hand, and look at all of it."""
    copy = Workspace(ws.root.parent / f"copy-{name}")
    shutil.copytree(ws.dataset, copy.dataset)
    shutil.copytree(ws.splits, copy.splits)
    shutil.copy(ws.config, copy.config)
    shutil.copytree(ws.run_folder(template), copy.run_folder(template))
    queued = alone(copy, "base", TINY, seed=FOREIGN_SEED).target.spec
    mine = next((one.status.consent for one in scan(ws) if one.status.consent), "")
    write_status(copy.run_folder(queued.run_id), Status(state="queued", consent=mine))
    write_spec(copy.run_folder(queued.run_id), queued)
    jobs.list_runs(copy)
    jobs.advance(copy)
    if not compare_variants(copy, reference="base")["rows"]:
        raise RuntimeError("the copy's comparison is empty")
    if find(copy, queued.run_id).status.attempt or not find(copy, queued.run_id).elsewhere:
        raise RuntimeError("a copied workspace started a run by being looked at")
    shutil.rmtree(copy.root)


def _look_on(ws: Workspace, template: str) -> None:
    """Look at everything from a process that may change nothing; writers go on meanwhile."""
    code = LOOKING.format(root=str(ws.root), template=template)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env={**os.environ, READ_ONLY: "1"},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"an onlooker failed: {done.stderr.strip()[-600:]}")


def _outside(ws: Workspace) -> Path:
    return ws.root.parent / "outside"


def _taken_in(ws: Workspace) -> set[str]:
    from engine.results.store.filling import read_stamp

    return set(read_stamp(ws)["present"])


def measure(processes: int, operations: int, seed: int) -> dict[str, Any]:
    """Let the storm blow and count; return what docs and --json show."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with study() as ws:
        template = do_here(ws, alone(ws, "base", TINY, seed=FIRST_OWN_SEED))
        _outside(ws).mkdir()
        (_outside(ws) / "precious").write_text("mine")
        began = time.monotonic()
        with ProcessPoolExecutor(processes) as pool:
            parts = [
                pool.submit(storm, str(ws.root), template, number, operations, seed)
                for number in range(processes)
            ]
            done = [one for part in parts for one in part.result()]
        seconds = time.monotonic() - began
        end_all(ws)
        return {
            "processes": processes,
            "operations": operations,
            "seconds": seconds,
            "rows": _rows(done),
            "errors": [one.error for one in done if one.error],
            "refused": sum(one.refused for one in done),
            **_in_the_end(ws),
            **_foreign(ws),
        }


def _foreign(ws: Workspace) -> dict[str, int]:
    """Count what must not have happened to foreign folders: started, executed, or written through."""
    foreign = [path.parent for path in ws.runs.glob("*/evil.py")]
    logs = [folder / "log.txt" for folder in foreign]
    outside = {path.name: path.read_text() for path in _outside(ws).iterdir()}
    return {
        "foreign": len(foreign),
        "foreign_started": sum(log.exists() and not log.is_symlink() for log in logs),
        "code_executed": int("executed" in outside),
        "outside_touched": int(outside != {"precious": "mine"}),
    }


def _rows(done: Sequence[Done]) -> list[dict[str, Any]]:
    found = []
    for name in SHARES:
        mine = [one for one in done if one.what == name]
        times = [one.seconds for one in mine]
        found.append(
            {
                "operation": name,
                "times": len(mine),
                "errors": sum(one.error is not None for one in mine),
                "median_seconds": sorted(times)[len(times) // 2] if times else 0.0,
                "p95_seconds": p95(times),
            }
        )
    return found


def _in_the_end(ws: Workspace) -> dict[str, Any]:
    """Compare folders and store: finished runs, those missing in the store, and rows that it holds twice."""
    finished = [record.run_id for record in scan(ws) if record.state == "succeeded"]
    report = store.rebuild(ws)
    rows = store.example_rows(ws, split="test")
    doubled = int(rows.duplicated(subset=["variant", "example_id"]).sum())
    return {
        "finished": len(finished),
        "missing": len(set(finished) - set(report.taken_in)),
        "torn": len(report.torn),
        "doubled_rows": doubled,
        "states": dict(Counter(record.state for record in scan(ws))),
    }


def page(found: dict[str, Any], command: str) -> str:
    """Return the storm's part of the page."""
    lines = [
        f"{found['processes']} processes, {found['operations']} operations each, in {found['seconds']:.0f} s "
        f"on {os.cpu_count()} cores, while a queue of real evaluations went on. Made by",
        "",
        f"    {command}",
        "",
        "| operation | times | errors | median, ms | p95, ms |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {row['operation']} | {row['times']} | {row['errors']} | {row['median_seconds'] * 1000:.0f} "
            f"| {row['p95_seconds'] * 1000:.0f} |"
            for row in found["rows"]
        ),
        "",
        f"Errors: **{len(found['errors'])}**. Finished runs: {found['finished']}; missing in the store: "
        f"**{found['missing']}**; torn: **{found['torn']}**; rows twice: **{found['doubled_rows']}**. "
        f"{found['refused']} cancels met a run that had just ended and were told so.",
        "",
        f"Foreign run folders laid in: {found['foreign']}; started: **{found['foreign_started']}**; code of "
        f"theirs executed: **{found['code_executed']}**; files outside the workspace touched: "
        f"**{found['outside_touched']}**. A copy that started something, or an onlooker that wrote or got no "
        "answer, would be an error of its operation.",
    ]
    return "\n".join(lines)


def main() -> None:
    made = options(__doc__)
    made.add_argument("--processes", type=int, default=8)
    made.add_argument("--operations", type=int, default=200)
    made.add_argument("--seed", type=int, default=0)
    given = made.parse_args()
    found = measure(given.processes, given.operations, given.seed)
    size = f"--processes {given.processes} --operations {given.operations}"
    command = f".venv/bin/python bench/storm.py {size} --write"
    tell(given, "storm", found, page(found, command))
    for error in found["errors"][:10]:
        print(error, file=sys.stderr)
    must_be_0 = ("missing", "torn", "doubled_rows", "foreign_started", "code_executed", "outside_touched")
    sys.exit(bool(found["errors"] or any(found[name] for name in must_be_0)))


if __name__ == "__main__":
    main()
