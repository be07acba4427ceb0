"""What the fuzz pushes through doors: sound inputs of every kind, and the ways to mutate them."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import stat
import warnings
import zipfile
from typing import Any

from engine.results.trees import tree_library
from tools import layouts

Files = dict[str, bytes]
Pairs = list[tuple[str, bytes]]
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


def archives(draw: random.Random) -> Files:
    """The same, damaged as a whole half of the time."""
    is_damaged = draw.random() < 0.5
    made = archive(draw)
    return mutated(made, draw) if is_damaged else made


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
