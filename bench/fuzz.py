"""A fuzz of every door for files: damaged data, trees, studies, archives, folders, run folders, and words.

    .venv/bin/python bench/fuzz.py                      21,000 inputs, on all cores
    .venv/bin/python bench/fuzz.py --write              and put the table into docs/reliability.md
    .venv/bin/python bench/fuzz.py --inputs 500 --only trees

Each input is a sound one, mutated: in its values (wrong kinds, huge and undefined numbers, odd text, keys
lost and doubled), in its bytes, in its structure (archives whose entries overlap, lie, swell, lead out or are
no files; folders with links, pipes and depths; two files of one name), or in its words (markup, formulas and
commands for a terminal). Allowed are two ends: it is taken, or it is refused with an EngineError and the
workspace is byte for byte as it was. Anything else is a traceback, printed with its input's number; so is a
word that a page or the command line would not show as it is, and an input that takes over 30 seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import fuzz_inputs
from bench.fuzz_inputs import Files, Pairs, dialogues, edgewise, mutated, run_folder
from bench.reliability import options, tell
from engine.core.errors import EngineError
from engine.core.machine import read_machine
from engine.core.paths import Workspace
from engine.core.plain import in_cell, in_markdown, in_terminal, json_text
from engine.data import load_dataset, prepare, prepare_upload, preview_upload
from engine.data.mapping import PARTS
from engine.results import store
from engine.results.imported.importing import import_study, import_upload
from engine.results.trees import tree_library
from engine.runs import jobs

MOST_SECONDS = 30
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
AS_TEXT = {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "softbreak", "hardbreak"}
MOVES_A_TERMINAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Found:
    """What one process found at one door. `faults` are tracebacks, `changed` refusals that left a trace."""

    door: str
    inputs: int
    taken: int
    refused: int
    faults: tuple[str, ...]
    changed: tuple[str, ...]


# --- doors


def _open_data(ws: Workspace, files: Files) -> None:
    prepare_upload(ws, files, force=True)


def _open_mapped(ws: Workspace, files: Files) -> None:
    """A look and an import with the same mapping, which may be none that fits; a look writes nothing."""
    draw = random.Random(b"".join(files.values()))
    parts = draw.sample(list(PARTS), draw.randint(0, 3))
    columns = (
        "user_id",
        "id",
        "date",
        "prompt",
        "reply",
        "rating",
        "nobody",
        "",
        "prompt+reply",
        "cp1252",
        "x" * 200,
    )
    mapping = {part: draw.choice(columns) for part in parts}
    options: dict[str, Any] = {
        "map": mapping
        if draw.random() < 0.8
        else ",".join(f"{part}={column}" for part, column in mapping.items()),
        "keep_good": draw.random() < 0.5,
        "min_dialogues": draw.choice((None, None, 2, 6)),
        "unseen": draw.choice((None, None, 0.3)),
        "force": True,
    }
    before = snapshot(ws)
    with suppress(EngineError):  # a mapping that is none is refused
        preview_upload(ws, files, **options)
    if snapshot(ws) != before:
        raise RuntimeError("a look changed the workspace")
    prepare_upload(ws, files, **options)


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


def _upload(ws: Workspace, pairs: Pairs) -> None:
    if any(name.endswith(("summary.json", ".csv", "results.json")) for name, _ in pairs):
        import_upload(ws, pairs)
    else:
        prepare_upload(ws, pairs)
    if len({name for name, _ in pairs}) < len(pairs):
        raise RuntimeError("two files of one name were taken, and one was lost")


def _open_folder(ws: Workspace, files: Files) -> None:
    """The same files in a folder with what else may lie there; the draw is in the files' own bytes."""
    draw = random.Random(b"".join(files.values()))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "given"
        place = folder / "/".join("abcdefghijklmnop"[: draw.choice((0, 0, 0, 1, 2, 12))])
        place.mkdir(parents=True)
        (Path(scratch) / "outside.jsonl").write_bytes(b"{}\n")
        for name, content in files.items():
            (place / name).write_bytes(content)
        for _ in range(draw.randint(0, 2)):
            target = place / draw.choice((*files, "characters.jsonl", "edgesplits.json", "more.jsonl"))
            if target.is_dir() and not target.is_symlink():
                continue
            target.unlink(missing_ok=True)
            _odd_entry(target, draw)
        if draw.random() < 0.5:
            prepare(ws, dataset=folder, force=True)
        else:
            import_study(ws, folder)


def _odd_entry(target: Path, draw: random.Random) -> None:
    kind = draw.randrange(4)
    if kind == 0:
        os.mkfifo(target)
    elif kind == 1:
        target.symlink_to(draw.choice(("../outside.jsonl", "/dev/zero", "/etc/passwd", ".", target.name)))
    elif kind == 2:
        target.mkdir()
    else:
        with target.open("wb") as file:
            file.truncate(3 * 10**9)  # a hole: it takes no place


def _show_words(ws: Workspace, files: Files) -> None:
    """What is taken in is shown as it is: by the command line, in a table, in a report, on a page."""
    prepare_upload(ws, files, force=True)
    dataset = load_dataset(ws)
    shown = [one.persona_id for one in dataset.personas] + [str(one.character) for one in dataset.personas]
    shown += [text for one in dataset.dialogues for pair in one.meta.items() for text in map(str, pair)]
    for text in dict.fromkeys(shown):
        for told in (in_terminal(text), json_text(text)):
            if MOVES_A_TERMINAL.search(told):
                raise RuntimeError(f"a terminal would obey {told[:80]!r}")
        if json.loads(json_text(text)) != text:
            raise RuntimeError(f"JSON does not give back {text[:80]!r}")
        tokens = MARKDOWN.parse(in_markdown(text))
        kinds = {child.type for token in tokens for child in token.children or ()}
        if not {token.type for token in tokens} <= AS_TEXT or not kinds <= AS_TEXT:
            raise RuntimeError(f"a page would read markup in {text[:80]!r}")
        if str(in_cell(text)).lstrip()[:1] in {"=", "+", "-", "@"}:
            raise RuntimeError(f"a spreadsheet would calculate {text[:80]!r}")


DOORS: Mapping[str, tuple[Callable[[random.Random], Any], Callable[[Workspace, Any], None], bool]] = {
    "dialogues": (lambda draw: mutated(dialogues(), draw), _open_data, True),
    "edgewise": (lambda draw: mutated(edgewise(), draw), _open_data, True),
    "layouts": (fuzz_inputs.layout, _open_data, True),
    "tables": (fuzz_inputs.table, _open_mapped, True),
    "archives": (fuzz_inputs.archives, _open_data, True),
    "trees": (lambda draw: mutated(fuzz_inputs.trees(), draw), _open_tree, True),
    "studies": (lambda draw: mutated(fuzz_inputs.studies(), draw), _open_study, True),
    "uploads": (fuzz_inputs.upload, _upload, True),
    "hostile archives": (fuzz_inputs.structure, _open_data, True),
    "folders": (fuzz_inputs.folder_files, _open_folder, True),
    "words": (fuzz_inputs.words, _show_words, True),
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
            began = time.monotonic()
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
            if time.monotonic() - began > MOST_SECONDS:
                faults.append(f"{door} {number}: took {time.monotonic() - began:.0f} s")
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
    made = options(__doc__)
    made.add_argument("--inputs", type=int, default=21_000)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--only", choices=list(DOORS), help="One door only.")
    given = made.parse_args()
    found = measure(given.inputs, given.seed, given.only)
    command = f".venv/bin/python bench/fuzz.py --inputs {given.inputs} --seed {given.seed} --write"
    tell(given, "fuzz", found, page(found, command))
    bad = [fault for row in found["rows"] for fault in (*row["faults"], *row["changed"])]
    for fault in bad[:20]:
        print(fault, file=sys.stderr)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
