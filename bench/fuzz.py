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

import argparse
import gzip
import hashlib
import io
import json
import os
import random
import re
import shutil
import stat
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.reliability import write_part  # noqa: E402
from engine.core.errors import EngineError  # noqa: E402
from engine.core.machine import read_machine  # noqa: E402
from engine.core.paths import Workspace  # noqa: E402
from engine.core.plain import in_cell, in_markdown, in_terminal, json_text  # noqa: E402
from engine.data import load_dataset, prepare, prepare_upload, preview_upload  # noqa: E402
from engine.data.mapping import PARTS  # noqa: E402
from engine.results import store  # noqa: E402
from engine.results.imported.importing import import_study, import_upload  # noqa: E402
from engine.results.trees import tree_library  # noqa: E402
from engine.runs import jobs  # noqa: E402
from tools import layouts  # noqa: E402

Files = dict[str, bytes]
Pairs = list[tuple[str, bytes]]
MOST_SECONDS = 30
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
AS_TEXT = {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "softbreak", "hardbreak"}
MOVES_A_TERMINAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
ODD_NAMES = (
    "", ".", "..", "../up.jsonl", "/etc/x.jsonl", "a/../../b.jsonl", "\\x.jsonl", "C:\\x.jsonl",
    "x" * 300 + ".jsonl", "CON.jsonl", "aux.json", "a\x00.jsonl", "a\x1b[31m.jsonl", "é" * 150 + ".jsonl",
    "D.JSONL", "d.jsonl.", "d.jsonl ", "\u202elnosj.d.jsonl", "\ud800.jsonl", "nul", "-rf.jsonl",
    "$(x).jsonl", "d.pkl", "d.zip", ".jsonl",
)  # fmt: skip
ODD_WORDS = (
    ":red[x]", "**b**", "_e_", "~~s~~", "`c`", "$x$", "![i](http://evil.example/i)", "[l](javascript:x)",
    "<b>", "<!--", ":material/home:", "# h", "\n# h", "\n- i", "\n1. i", "\n> q", "\n---", "\n    code",
    "| a |\n|---|\n", "&lt;", "\\", "http://evil.example", "a@b.example", "=1+1", "+1", "-1", "@x", "\t=1",
    "\x1b[31m", "\x9b1m", "\x07", "\r", "\u202e", "[red]x[/red]", "\u2028", "é", " ", "p", "\n\n", "```",
    "***", "</p>", "{{x}}", "%s", "{0}",
)  # fmt: skip
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


def upload(draw: random.Random) -> Pairs:
    """Sound files under odd names, some of them twice."""
    pairs = list(draw.choice((dialogues, edgewise, studies))().items())
    for place in range(len(pairs)):
        if draw.random() < 0.3:
            pairs[place] = (draw.choice(ODD_NAMES), pairs[place][1])
    if draw.random() < 0.5:
        name = draw.choice(pairs)[0]
        pairs.append((draw.choice((name, name, name.upper(), name + " ")), draw.choice(pairs)[1]))
    draw.shuffle(pairs)
    return pairs


def folder_files(draw: random.Random) -> Files:
    """Either layout, mutated one time in four: what else lies in the folder is hostile enough."""
    files = draw.choice((dialogues, edgewise))()
    files["note.txt"] = draw.randbytes(8)  # decides what else lies there
    return mutated(files, draw) if draw.random() < 0.25 else files


def structure(draw: random.Random) -> Pairs:
    """One archive that is hostile by how it is built."""
    name, content = draw.choice(list(dialogues().items()))
    odd = zipfile.ZipInfo(draw.choice((name, *ODD_NAMES)).replace("\ud800", "\x85") or name)
    kinds = (stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR, 0)
    odd.external_attr = (draw.choice(kinds) | 0o644) << 16
    method = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    held = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        warnings.simplefilter("ignore")  # two of one name are meant
        file.writestr(f"data/{name}", content)
        kind = draw.randrange(6)
        if kind == 0:
            file.writestr(f"data/{name}", content)
        elif kind == 1:
            file.writestr("/".join("abcdefghijklmnop"[: draw.randint(1, 16)]) + f"/{name}", content)
        elif kind == 2:
            file.writestr("inner.zip", held.getvalue())
        elif kind == 3:
            file.writestr("swells.jsonl", b" " * draw.choice((10**3, 3 * 10**7)))
        elif kind == 4:
            for number in range(draw.choice((3, 2_100))):
                file.writestr(f"{number}.jsonl", b"")
        else:
            file.writestr(odd, content, compress_type=method)
    packed = held.getvalue()
    return [("data.zip", _structure_changed(packed, draw) if draw.random() < 0.5 else packed)]


def _structure_changed(packed: bytes, draw: random.Random) -> bytes:
    """Change what an archive says of itself: sizes, places, numbers, names, flags, ways of packing."""
    made = bytearray(packed)
    marks = [place for mark in (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06") for place in _all(packed, mark)]
    for _ in range(draw.randint(1, 4)):
        place = draw.choice(marks) + draw.randrange(4, 46)
        value = draw.choice((b"\x00" * 4, b"\xff" * 4, b"\x01\x00", b"\xff\xff", draw.randbytes(2)))
        made[place : place + len(value)] = value[: max(0, len(made) - place)]
    return bytes(made)


def _all(packed: bytes, mark: bytes) -> list[int]:
    found, place = [], packed.find(mark)
    while place >= 0 and len(found) < 50:
        found.append(place)
        place = packed.find(mark, place + 1)
    return found


def words(draw: random.Random) -> Files:
    """Dialogues whose ids and texts are markup, formulas and commands for a terminal."""
    odd = "".join(draw.choice(ODD_WORDS) for _ in range(draw.randint(1, 5)))
    name = re.sub(r"[/\\#\x00-\x1f\x7f]", "", odd).strip(" .")[:40] or "p"
    rows = [
        {
            "persona_id": f"{name}{persona}",
            "session_id": f"{name}{session}",
            "character": odd,
            "meta": {odd: odd, "weather": odd},
            "messages": [
                {**one, "content": f"{one['content']} {odd}"} for one in _messages(persona, session)
            ],
        }
        for persona in range(3)
        for session in range(6)
    ]
    return {"dialogues.jsonl": _lines(rows)}


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


def layout(draw: random.Random) -> Files:
    """Files of one of the layouts that researchers bring, written in one of the ways there are, mutated."""
    files = dict(layouts.LAYOUTS[draw.choice(list(layouts.LAYOUTS))]())
    made = mutated(files, draw) if draw.random() < 0.7 else files
    name = draw.choice(list(made))
    content = made.pop(name)
    way = draw.randrange(5)
    if way == 0:
        made[f"{name}.gz"] = gzip.compress(content)
    elif way == 1:
        made[name] = content.decode("utf-8", errors="replace").encode("utf-16")
    elif way == 2:
        made[name] = content.replace(b"\n", b"\r\n")
    elif way == 3:
        made[name.upper()] = content
    else:
        made[name] = content
    return mutated(made, draw) if draw.random() < 0.3 else made


def table(draw: random.Random) -> Files:
    """A table with odd cells, as CSV, parquet or arrow; a draw of its own decides which column is what."""
    names = ["user_id", "id", "date", "prompt", "reply", "rating"]
    rows = [
        {"user_id": f"u{n % 3}", "id": f"s_{n}", "date": f"{1 + n}/2/2024", "prompt": f"Ask {n}",
         "reply": f"Say {n}", "rating": str(n)}
        for n in range(18)
    ]  # fmt: skip
    for _ in range(draw.randint(0, 4)):
        odd = draw.choice(ODD_VALUES)
        rows[draw.randrange(len(rows))][draw.choice(names)] = str(odd).replace("\ud800", "?")[:70_000]
    if draw.random() < 0.3:
        name = draw.choice(("t.parquet", "t.arrow"))
        content = layouts.parquet(rows) if name == "t.parquet" else layouts.arrow(rows)
        return {name: _bytes_changed(content, draw) if draw.random() < 0.7 else content}
    content = layouts.table(rows, delimiter=draw.choice(",;\t|"))
    return {
        draw.choice(("t.csv", "T.TSV", "t.json")): _bytes_changed(content, draw)
        if draw.random() < 0.6
        else content
    }


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
    "layouts": (layout, _open_data, True),
    "tables": (table, _open_mapped, True),
    "archives": (
        lambda draw: (
            mutated(made, draw) if draw.random() < 0.5 and (made := archive(draw)) else archive(draw)
        ),
        _open_data,
        True,
    ),
    "trees": (lambda draw: mutated(trees(), draw), _open_tree, True),
    "studies": (lambda draw: mutated(studies(), draw), _open_study, True),
    "uploads": (upload, _upload, True),
    "hostile archives": (structure, _open_data, True),
    "folders": (folder_files, _open_folder, True),
    "words": (words, _show_words, True),
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
