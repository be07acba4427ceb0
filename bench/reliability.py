"""What the reliability benches share: a small real study, finished runs made from one, and their page.

Owns docs/reliability.md: each bench replaces its own part of it with --write.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.core.paths import REPOSITORY, Workspace
from engine.data import prepare
from engine.runs import jobs, manifest
from engine.runs.records import scan
from engine.runs.runfolder import RunSpec, Status, read_spec, write_spec, write_status
from engine.strategies.plan import Plan, plan
from engine.strategies.runnable import execute

PAGE = REPOSITORY / "docs" / "reliability.md"
TINY = {"examples_per_persona": 2, "max_new_tokens": 16}
"""Evaluation settings under which a real run is short."""


@contextmanager
def study(*, personas: int = 4, dialogues: int = 8, root: Path | None = None) -> Iterator[Workspace]:
    """Give a small real workspace over the embedded base; it is deleted afterwards, its processes ended."""
    folder = root or Path(tempfile.mkdtemp(prefix="persona-lab-bench-"))
    ws = Workspace(folder / "workspace")
    try:
        prepare(ws, dataset="world:default", personas=personas, dialogues=dialogues)
        yield ws
    finally:
        end_all(ws)
        if root is None:
            shutil.rmtree(folder, ignore_errors=True)


def end_all(ws: Workspace) -> None:
    """Cancel all that is queued or at work."""
    for record in reversed(scan(ws)):
        if record.state in ("queued", "running"):
            jobs.cancel(ws, record.run_id, grace_seconds=0.0)


def alone(ws: Workspace, experiment: str, parameters: Mapping[str, Any], *, seed: int = 0) -> Plan:
    """Return a plan of one run, without what is run beside it."""
    made = plan(ws, experiment, dict(parameters), seed=seed)
    return Plan(made.experiment, (made.target,))


def do_here(ws: Workspace, planned: Plan) -> str:
    """Do one run in this process, outside the queue; return its id."""
    spec = planned.target.spec
    begun = Status(state="running", attempt=1, order=next_order(ws))
    write_status(ws.run_folder(spec.run_id), begun)
    write_spec(ws.run_folder(spec.run_id), spec)
    if execute(ws, spec.run_id, begun):
        raise SystemExit(f"{spec.run_id} failed; see {ws.run_folder(spec.run_id) / 'log.txt'}")
    return spec.run_id


def copy_finished(ws: Workspace, template: str, spec: RunSpec) -> str:
    """Leave a finished run with the results of another one, as a worker does: done.json last."""
    source, target = ws.run_folder(template), ws.run_folder(spec.run_id)
    target.mkdir(parents=True, exist_ok=True)
    for name in ("replies.parquet", "scores.parquet", "variants.json", "protocols.json", "summary.json"):
        if (source / name).exists():
            shutil.copy(source / name, target / name)
    write_status(target, Status(state="succeeded", progress=1.0, order=next_order(ws)))
    write_spec(target, spec)
    manifest.write(ws, spec.run_id)
    return spec.run_id


def spec_like(ws: Workspace, template: str, *, seed: int) -> RunSpec:
    """Return another run's spec with another seed."""
    return replace(read_spec(ws.run_folder(template)), seed=seed)


def results_of(ws: Workspace, run_id: str) -> dict[str, str]:
    """Return a run's results as hashes: each adapter's weights, and the scores without the seconds."""
    from engine.runs import answers

    folder = ws.adapters(run_id)
    found = {str(path.relative_to(folder)): manifest.sha256(path) for path in folder.rglob("*.safetensors")}
    if (ws.run_folder(run_id) / answers.SCORES).exists():
        scores = answers.read(ws, run_id).wide().drop(columns="seconds").to_csv(index=False)
        found["replies and scores"] = hashlib.sha256(scores.encode("utf-8")).hexdigest()
    return dict(sorted(found.items()))


def next_order(ws: Workspace) -> int:
    return max((record.order for record in scan(ws)), default=0) + 1


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile; of fewer than two values, the largest."""
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else max(values, default=0.0)


def options(doc: str | None, page: Path = PAGE) -> argparse.ArgumentParser:
    """Return the options that all benches with a part of a page have; `doc` is the script's own."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    made.add_argument("--write", action="store_true", help=f"Write docs/{page.name} too.")
    return made


def tell(given: argparse.Namespace, name: str, found: Any, text: str, *, page: Path | None = None) -> None:
    """Print what was found, as JSON where that is asked for, and with --write put `text` into the page."""
    print(json.dumps(found, indent=2) if given.json else text)
    if given.write:
        write_part(name, text, page=page)


def write_part(name: str, text: str, *, page: Path | None = None) -> None:
    """Replace one bench's part of a page, by default docs/reliability.md."""
    place = page or PAGE
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    written = place.read_text(encoding="utf-8")
    if begin not in written or end not in written:
        raise SystemExit(f"{place} has no place for {name}: it needs the lines {begin} and {end}.")
    before, rest = written.split(begin, 1)
    after = rest.split(end, 1)[1]
    place.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")
