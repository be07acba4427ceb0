"""The workspace an import comes into: one of its own that holds no dialogues, or one with other personas.

Owns what a workspace needs so that published scores alone can be looked at in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.core.paths import Workspace
from engine.core.types import Dataset, Persona
from engine.core.wording import count
from engine.data.dataset import CARD, PERSONAS, SPLITS, data_hash, dataset_files, hash_of, load_dataset
from engine.data.prepare import noted
from engine.data.splits import NAMES
from engine.data.staging import write_files
from engine.data.statistics import dataset_statistics
from engine.runs.runfolder import now

_NOTE = "This workspace holds published scores and no dialogues: nothing can be trained in it."


def strangers(ws: Workspace, personas: Sequence[str]) -> list[str]:
    """Say which of `personas` the workspace does not have; nothing where it has all, or is none yet."""
    path = ws.dataset / PERSONAS
    if not ws.config.exists() or not path.exists():
        return []
    own = {one.persona_id for one in load_dataset(ws).personas}
    others = [name for name in personas if name not in own]
    if not others:
        return []
    told = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return [
        f"{len(others)} of the study's {count(len(personas), 'persona')} are not in this workspace ({told}):"
        " its scores are compared among themselves, never with those of runs made here."
    ]


def make_room(ws: Workspace, personas: Sequence[str], label: str, staging: Path) -> list[tuple[Path, Path]]:
    """Build a workspace of personas without dialogues in `staging`; return what is to be moved where."""
    dataset = Dataset(tuple(Persona(name) for name in personas), ())
    files = dataset_files(dataset)
    digest = data_hash(files)
    source = f"published results of {label}"
    card = _card(dataset, source, digest)
    about = {"source": source, "data_hash": digest, "personas": len(personas), "dialogues": 0}
    config = {"dataset": about, "base": "embedded", "split": "by-time", "seed": 0, "created_at": now()}
    files |= {CARD: _json(card)}
    divided = {SPLITS: _json(_splits())}
    config |= noted(files, divided)
    write_files(staging / "dataset", files)
    write_files(staging / "splits", divided)
    write_files(staging, {ws.config.name: _json(config)})
    return [
        (staging / "dataset", ws.dataset),
        (staging / "splits", ws.splits),
        (staging / ws.config.name, ws.config),
    ]


def _card(dataset: Dataset, source: str, digest: str) -> dict[str, Any]:
    zero = [
        *("dialogues", "messages", "assistant_turns", "examples"),
        *("personas_with_character", "personas_with_routines", "dialogues_with_meta"),
    ]
    return {
        "source": source,
        "importer": "import-study",
        "data_hash": digest,
        "counts": {
            "personas": len(dataset.personas),
            **dict.fromkeys(zero, 0),
            "examples_by_split": dict.fromkeys(NAMES, 0),
        },
        "statistics": dataset_statistics(dataset),
        "split": "by-time",
        "notes": [_NOTE],
        "left_out": [],
    }


def _splits() -> dict[str, Any]:
    nothing = {"dialogues": 0, "share": None, "personas": 0, "dialogues_per_persona": None, "examples": 0}
    return {
        "scheme": "by-time",
        "splits_hash": hash_of("{}"),
        "assignment": {},
        "online": [],
        "checks": [],
        "statistics": {**dict.fromkeys(NAMES, nothing), "online": {"dialogues": 0}},
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode("utf-8")
