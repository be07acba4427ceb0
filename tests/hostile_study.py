"""A study whose every name and text means to be markup: personas, dialogues, metadata, variants, errors.

`UNPLAIN` finds what would be read as markup, in a text that a page gives to Streamlit.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.core.paths import Workspace, write_json
from engine.data import prepare
from engine.data.worlds import write_world
from engine.results.imported.importing import import_upload
from engine.results.trees import tree_library
from engine.runs.records import scan
from tests import sample_study
from tests.sample_study import end_badly, finish

# No slash, backslash or hash: those are no part of an id.
NAME = ":red[EVIL] **EVIL** $EVIL$ `EVIL` ![EVIL](x:y) <i>EVIL ~EVIL~"
TEXT = (
    f"# EVIL\n- EVIL\n\n{NAME} [EVIL](javascript:alert(1)) ![EVIL](http://evil.example/i.png) "
    ":material/EVIL: <img src=http://evil.example/x onerror=alert(1)> http://evil.example/EVIL "
    "www.evil.example eve@evil.example :blue-badge[EVIL] :streamlit: "
    "\x1b[31mEVIL\x1b[0m [red]EVIL[/red] \u202eEVIL"
)
UNPLAIN = re.compile(
    r"(?<!\\):(?:red|blue-badge)\\?\[EVIL|(?<!\\)\*EVIL|(?<!\\)\$EVIL|(?<!\\)`EVIL|(?<!\\)~EVIL|(?<!\\)\[EVIL"
    r"|(?<!\\)<i>EVIL|(?<!\\)<img|:material/EVIL|://evil|www\.evil|\w@evil|:streamlit:|\x1b|\u202e"
    r"|^\s*# EVIL|^\s*- EVIL|\\\\\\[*$`~\[]EVIL",
    re.MULTILINE,
)
# In a terminal: nothing that moves it or turns text. What rich would have taken for markup stays there.
TERMINAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def hostile_id(number: int) -> str:
    return f"p{number}{NAME}"


def write_dialogues(folder: Path, *, personas: int = 6, dialogues: int = 8) -> Path:
    """Write the default world as one dialogue a line, its people and their words hostile; return the file."""
    write_world(folder / "world", name="default", personas=personas, dialogues=dialogues, seed=0)
    world = folder / "world"
    people = [json.loads(line) for line in (world / "sessions.jsonl").read_text().splitlines()]
    rows = []
    for number, person in enumerate(people):
        for session in person["sessions"]:
            messages = [dict(message) for message in session["messages"]]
            for message in messages[:2]:
                message["text" if "text" in message else "content"] += f" {TEXT}"
            rows.append(
                {
                    "persona_id": hostile_id(number),
                    "session_id": f"{session['session_id']}{NAME}",
                    "character": f"{TEXT} {number}",
                    "routines": [
                        {"triggers": {NAME: TEXT, "weather": TEXT}, "actions": {NAME: {NAME: TEXT}}}
                    ],
                    "meta": {**session["meta"], NAME: TEXT, "time_of_day": TEXT},
                    "messages": messages,
                }
            )
    path = folder / f"{NAME} dialogues.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_hostile(folder: Path, patch: pytest.MonkeyPatch) -> Workspace:
    """Leave a workspace in which every name is hostile, with finished, failed and imported runs."""
    ws = Workspace(folder / f"study {NAME}")
    base = ws.root / f"base {NAME}"
    write_json(base / "config.json", {"model_type": "qwen2"})
    for name in ("model.safetensors", "tokenizer.json"):
        (base / name).touch()
    (base / "README.md").write_text(TEXT, encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    prepare(ws, dataset=write_dialogues(folder), base=str(base))
    made: Mapping[str, Any] = {
        **sample_study.MADE,
        "retrieval": {
            **sample_study.MADE["retrieval"],
            f"unified+{NAME}": ("retrieval", 0.7, 98_304),
            f"worse+{NAME}": (NAME, 0.1, 98_304),
        },
    }
    patch.setattr(sample_study, "MADE", made)
    finish(ws, "base", "profile-prompt", "unified", "retrieval", per_persona=4)
    end_badly(ws, "per-persona", state="failed", error=f"ValueError: {TEXT}", hint=TEXT)
    _leave_status(ws)
    shutil.copytree(ws.run_folder(find_one(ws, "prefix")), ws.run_folder(f"prefix-{NAME}"))
    _import(ws)
    _trees(ws)
    return ws


def find_one(ws: Workspace, experiment: str) -> str:
    """Return the id of the run of that experiment."""
    return next(record.run_id for record in scan(ws) if record.experiment == experiment)


def _leave_status(ws: Workspace) -> None:
    """A run of another's making: its words about itself are hostile too."""
    run_id = end_badly(ws, "prefix", state="cancelled", error=TEXT)
    status = json.loads((ws.run_folder(run_id) / "status.json").read_text())
    write_json(ws.run_folder(run_id) / "status.json", {**status, "stage": TEXT, "hint": TEXT})
    with (ws.run_folder(run_id) / "log.txt").open("a") as log:
        log.write(f"{TEXT}\n")


def _import(ws: Workspace) -> None:
    scores = [
        {"persona_id": hostile_id(number), "embedding_similarity": 0.5 + number / 20, "num_examples": 10}
        for number in range(6)
    ]
    better = [{**row, "embedding_similarity": row["embedding_similarity"] + 0.1} for row in scores]
    config = {
        "config": {"model": {"name": TEXT}},
        "metrics": {"embedding_similarity": 0.6},
        "num_examples": 9,
    }
    import_upload(
        ws,
        [
            (f"unified {NAME}.json", json.dumps({"per_persona_metrics": scores}).encode()),
            (f"other {NAME}.json", json.dumps({"per_persona_metrics": better}).encode()),
            (f"average {NAME}.json", json.dumps(config).encode()),
        ],
    )


def _trees(ws: Workspace) -> None:
    told = json.dumps(TEXT)
    source = tree_library.source(ws, tree_library.DEFAULT)
    tree_library.save(
        ws, "mine", re.sub(r"^title:.*$", lambda _: f"title: {told}", source, flags=re.MULTILINE)
    )
    (ws.data / "trees" / "broken.yaml").write_text(f"title: {told}\nnodes:\n- id: {told}\n", encoding="utf-8")
