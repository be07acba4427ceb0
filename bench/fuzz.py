"""A fuzz of every door for files: damaged data, trees, studies, archives and run folders.

    .venv/bin/python bench/fuzz.py                      21,000 inputs, on all cores
    .venv/bin/python bench/fuzz.py --write              and put the table into docs/reliability.md
    .venv/bin/python bench/fuzz.py --inputs 500 --only trees

Each input is a sound one, mutated: in its values (wrong kinds, huge and undefined numbers, odd text, keys
lost and doubled) or in its bytes. Allowed are two ends: it is taken, or it is refused with an EngineError and
the workspace is byte for byte as it was. Anything else is a traceback, printed with the number of its input.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.reliability import write_part  # noqa: E402
from engine.core.errors import EngineError  # noqa: E402
from engine.core.machine import read_machine  # noqa: E402
from engine.core.paths import Workspace  # noqa: E402
from engine.data import prepare_upload  # noqa: E402
from engine.results import store  # noqa: E402
from engine.results.imported.importing import import_upload  # noqa: E402
from engine.results.trees import tree_library  # noqa: E402
from engine.runs import jobs  # noqa: E402

Files = dict[str, bytes]
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, 1e308, -0.0, 0.1, "", " ", "\x00", "\ud800", "\u202eabc", "a" * 70_000, [],
    {}, [[]], {"": ""}, ["x"] * 50, "NaN", "1", "../../etc/passwd", "<script>alert(1)</script>", "=1+1",
    "é" * 300,
)  # fmt: skip
ODD_BYTES = (
    b"", b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"\r\n", b"NaN", b"Infinity", b"1e999", b"[" * 3000,
    b'{"a":' * 2000, b"&a [*a]", b"!!python/object/apply:os.system ['true']", b"\xed\xa0\x80", b"---\n",
    b"PK\x03\x04", b"\x1b[31m", b"9" * 5000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """What one process found at one door. `faults` are tracebacks, `changed` refusals that left a trace."""

    door: str
    inputs: int
    taken: int
    refused: int
    faults: tuple[str, ...]
    changed: tuple[str, ...]


# --- sound inputs


def dialogues() -> Files:
    """One dialogue a line."""
    rows = [
        {
            "persona_id": f"p{persona}",
            "session_id": session,
            "character": f"Persona {persona} likes it warm.",
            "meta": {"time_of_day": "evening", "weather": "rain", "outdoor_temp": 7.5},
            "messages": _messages(persona, session),
        }
        for persona in range(3)
        for session in range(6)
    ]
    return {"dialogues.jsonl": _lines(rows)}


def edgewise() -> Files:
    """The EdgeWisePersona layout: one user a line in three files."""
    users = range(3)
    routine = {"triggers": {"time_of_day": "evening"}, "actions": {"lights": {"brightness": 40}}}
    sessions = [
        {"sessions": [{"session_id": n, "meta": {}, "messages": _messages(u, n)} for n in range(6)]}
        for u in users
    ]
    return {
        "characters.jsonl": _lines([{"character": f"User {user} is calm."} for user in users]),
        "routines.jsonl": _lines([{"routines": [routine]} for _ in users]),
        "sessions.jsonl": _lines(sessions),
    }


def archive(draw: random.Random) -> Files:
    """A .zip of either, its files mutated half of the time, itself the other half."""
    inner = draw.choice((dialogues, edgewise))()
    if draw.random() < 0.5:
        inner = mutated(inner, draw)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in inner.items():
            odd = draw.choice(
                ("../up.jsonl", "/etc/x.jsonl", "a/../../b.jsonl", "\\x.jsonl", "x" * 300 + ".jsonl")
            )
            file.writestr(odd if draw.random() < 0.1 else f"data/{name}", content)
    return {"data.zip": packed.getvalue()}


def trees() -> Files:
    """The shipped trees."""
    return {path.name: path.read_bytes() for path in sorted(tree_library.SHIPPED.glob("*.yaml"))[:1]}


def studies() -> Files:
    """Result files of several shapes."""
    people = [f"persona_{number:03d}" for number in range(6)]
    scores = {name: {"num_predictions": 5, "metrics": {"embedding_similarity": 0.8}} for name in people}
    listed = [{"persona_id": name, "embedding_similarity": 0.7, "num_examples": 10} for name in people]
    decisions = [
        {
            "persona_id": name,
            "best_model": "unified",
            "unified_score": 0.8,
            "hybrid_score": 0.7,
            "best_score": 0.8,
        }
        for name in people
    ]
    rows = "\n".join(f"{name},5,0.8" for name in people)
    return {
        "per_persona_results.json": _json(scores),
        "hybrid_summary.json": _json({"num_personas": 6, "per_persona_metrics": listed}),
        "routing_decisions.json": _json({"routing_decisions": decisions, "summary": {"unified_count": 6}}),
        "per_persona_summary.csv": f"persona_id,num_predictions,embedding_similarity\n{rows}\n".encode(),
    }


def run_folder() -> Files:
    """The small files of a workspace's runs and settings."""
    status = {"state": "succeeded", "order": 1, "attempt": 1, "progress": 1.0, "heartbeat": None}
    spec = {
        "experiment": "base", "version": 1, "step": "s:run", "parameters": {}, "seed": 0, "data_hash": "d",
        "base": "embedded", "upstream": {"over": "x-1"}, "protocol": {"splits": ["test"]},
    }  # fmt: skip
    done = {
        "run_id": "base-00000000",
        "finished_at": "2026-01-01",
        "files": {},
        "protocols": {},
        "variants": [],
    }
    return {
        "status.json": _json(status),
        "spec.json": _json(spec),
        "done.json": _json(done),
        "machine.json": _json({"training_slots": 1, "launcher": "local"}),
        "events.jsonl": _lines([{"t": 0.1, "kind": "loss", "step": 1, "loss_nats": 1.0}]),
    }


def _messages(persona: int, session: int) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": f"Lights to {10 * session}, please."},
        {"role": "assistant", "content": f"Done, user {persona}: the lights are at {10 * session} percent."},
    ]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", errors="surrogatepass")


def _lines(rows: list[Any]) -> bytes:
    return b"".join(_json(row) + b"\n" for row in rows)


# --- mutations


def mutated(files: Files, draw: random.Random) -> Files:
    """Return the files with one to three mutations."""
    made = dict(files)
    for _ in range(draw.randint(1, 3)):
        name = draw.choice(list(made))
        if draw.random() < 0.03:
            made.pop(name)
        elif draw.random() < 0.5 and name.endswith((".json", ".jsonl")):
            made[name] = _values_changed(made[name], draw)
        else:
            made[name] = _bytes_changed(made[name], draw)
        if not made:
            return {"empty.jsonl": b""}
    return made


def _values_changed(content: bytes, draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    place = draw.randrange(len(lines))
    try:
        value = json.loads(lines[place])
    except (ValueError, RecursionError):
        return _bytes_changed(content, draw)
    lines[place] = json.dumps(_value_changed(value, draw)).encode("utf-8", errors="surrogatepass")
    return b"\n".join(lines)


def _value_changed(value: Any, draw: random.Random, depth: int = 0) -> Any:
    """Change one place of a JSON value: replace it, lose it, double it, or go deeper."""
    if depth > 6 or not isinstance(value, dict | list) or not value or draw.random() < 0.15:
        return draw.choice(ODD_VALUES)
    if isinstance(value, list):
        place = draw.randrange(len(value))
        kind = draw.random()
        if kind < 0.15:
            return value[:place] + value[place + 1 :]
        if kind < 0.3:
            return [*value, value[place]]
        return [*value[:place], _value_changed(value[place], draw, depth + 1), *value[place + 1 :]]
    key = draw.choice(list(value))
    kind = draw.random()
    if kind < 0.15:
        return {name: held for name, held in value.items() if name != key}
    if kind < 0.3:
        return {**value, draw.choice(("", "x", key.upper(), key + " ", "é")): value[key]}
    return {**value, key: _value_changed(value[key], draw, depth + 1)}


def _bytes_changed(content: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(content))
    end = min(len(content), start + draw.choice((0, 1, 1, 2, 10, 200)))
    kind = draw.randrange(6)
    if kind == 0:
        return content[:start]
    if kind == 1:
        return content[:start] + content[end:]
    if kind == 2:
        return content[:end] + content[start:]
    if kind == 3:
        return content[:start] + draw.randbytes(draw.choice((1, 1, 4, 40))) + content[end:]
    if kind == 4:
        return content[:start] + draw.choice(ODD_BYTES) + content[end:]
    lines = content.split(b"\n")
    draw.shuffle(lines)
    return b"\n".join(lines)


# --- doors


def _open_data(ws: Workspace, files: Files) -> None:
    prepare_upload(ws, files, force=True)


def _open_tree(ws: Workspace, files: Files) -> None:
    for content in files.values():
        tree_library.save(ws, "fuzzed", content.decode("utf-8", errors="replace"))
        tree_library.find(ws, "fuzzed")


def _open_study(ws: Workspace, files: Files) -> None:
    import_upload(ws, files)


def _look_at_runs(ws: Workspace, files: Files) -> None:
    """What every page does. A damaged folder is a record with a reason and is left out, never an error."""
    folder = ws.run_folder("base-00000000")
    folder.mkdir(parents=True, exist_ok=True)
    for name in run_folder():
        place = ws.data / name if name == "machine.json" else folder / name
        place.unlink(missing_ok=True)
        if name in files:
            place.write_bytes(files[name])
    try:
        for record in jobs.list_runs(ws):
            json.dumps(record.to_json(), allow_nan=False)
        store.refresh(ws)
    except EngineError as error:
        raise RuntimeError("looking was refused") from error
    read_machine(ws)  # settings may be refused


DOORS: Mapping[str, tuple[Callable[[random.Random], Files], Callable[[Workspace, Files], None], bool]] = {
    "dialogues": (lambda draw: mutated(dialogues(), draw), _open_data, True),
    "edgewise": (lambda draw: mutated(edgewise(), draw), _open_data, True),
    "archives": (
        lambda draw: (
            mutated(made, draw) if draw.random() < 0.5 and (made := archive(draw)) else archive(draw)
        ),
        _open_data,
        True,
    ),
    "trees": (lambda draw: mutated(trees(), draw), _open_tree, True),
    "studies": (lambda draw: mutated(studies(), draw), _open_study, True),
    "run folders": (lambda draw: mutated(run_folder(), draw), _look_at_runs, False),
}


def fuzz(door: str, numbers: range, seed: int) -> Found:
    """Push the numbered inputs through one door, each from a workspace in a known state."""
    make, enter, must_stay = DOORS[door]
    taken = refused = 0
    faults, changed = list[str](), list[str]()
    with tempfile.TemporaryDirectory(prefix="persona-lab-fuzz-") as scratch:
        pristine, ws = Workspace(Path(scratch) / "pristine"), Workspace(Path(scratch) / "workspace")
        prepare_upload(pristine, dialogues())
        for number in numbers:
            if not ws.root.exists():
                shutil.copytree(pristine.root, ws.root)
                before = snapshot(ws)
            try:
                enter(ws, make(random.Random(f"{seed}/{door}/{number}")))
                taken += 1
                shutil.rmtree(ws.root)
            except EngineError as error:
                refused += 1
                if not str(error).strip():
                    faults.append(f"{door} {number}: refused without a word")
                if must_stay and snapshot(ws) != before:
                    changed.append(f"{door} {number}: {_difference(before, snapshot(ws))}")
                    shutil.rmtree(ws.root)
            except Exception:  # noqa: BLE001 - counting them is the point
                faults.append(f"{door} {number}: {traceback.format_exc(limit=-4)}")
                shutil.rmtree(ws.root, ignore_errors=True)
    return Found(door, len(numbers), taken, refused, tuple(faults), tuple(changed))


def snapshot(ws: Workspace) -> dict[str, str]:
    """Return the hash of every file of a workspace; lock files hold nothing."""
    return {
        str(path.relative_to(ws.root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in ws.root.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


def _difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    return ", ".join(sorted(name for name in {*before, *after} if before.get(name) != after.get(name)))


def measure(inputs: int, seed: int, only: str | None) -> dict[str, Any]:
    """Fuzz every door, or one, with that many inputs in all; return what docs and --json show."""
    doors = [only] if only else list(DOORS)
    each, chunk = -(-inputs // len(doors)), 250
    began = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = [
            pool.submit(fuzz, door, range(start, min(start + chunk, each)), seed)
            for start in range(0, each, chunk)
            for door in doors
        ]
        found = [part.result() for part in parts]
    rows = [_sum(door, [one for one in found if one.door == door]) for door in doors]
    return {"seconds": time.monotonic() - began, "seed": seed, "rows": rows}


def _sum(door: str, found: list[Found]) -> dict[str, Any]:
    return {
        "door": door,
        "inputs": sum(one.inputs for one in found),
        "taken": sum(one.taken for one in found),
        "refused": sum(one.refused for one in found),
        "faults": [fault for one in found for fault in one.faults],
        "changed": [change for one in found for change in one.changed],
    }


def page(found: dict[str, Any], command: str) -> str:
    """Return the fuzz's part of the page."""
    rows = found["rows"]
    lines = [
        f"{sum(row['inputs'] for row in rows):,} inputs in {found['seconds']:.0f} s "
        f"on {os.cpu_count()} cores. Made by",
        "",
        f"    {command}",
        "",
        "| door | inputs | taken | refused | tracebacks | changed workspaces |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {row['door']} | {row['inputs']:,} | {row['taken']:,} | {row['refused']:,} "
            f"| {len(row['faults'])} | {len(row['changed'])} |"
            for row in rows
        ),
        "",
        f"Tracebacks: **{sum(len(row['faults']) for row in rows)}**. Workspaces changed by a refused input: "
        f"**{sum(len(row['changed']) for row in rows)}**.",
    ]
    return "\n".join(lines)


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--inputs", type=int, default=21_000)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--only", choices=list(DOORS), help="One door only.")
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    made.add_argument("--write", action="store_true", help="Write docs/reliability.md too.")
    given = made.parse_args()
    found = measure(given.inputs, given.seed, given.only)
    command = f".venv/bin/python bench/fuzz.py --inputs {given.inputs} --seed {given.seed} --write"
    print(json.dumps(found, indent=2) if given.json else page(found, command))
    bad = [fault for row in found["rows"] for fault in (*row["faults"], *row["changed"])]
    for fault in bad[:20]:
        print(fault, file=sys.stderr)
    if given.write:
        write_part("fuzz", page(found, command))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
