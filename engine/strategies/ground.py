"""What a run stands on: the workspace's data, split, base and seed. Owns the hashes that freeze them.

Two runs on another ground are never upstream of, or compared with, each other.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core.base_folder import local_base
from engine.core.errors import EngineError
from engine.core.paths import Workspace, read_json
from engine.runs.runfolder import RunSpec, fingerprint

_SMALL_BASE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ground:
    """The frozen values of a workspace. `scheme` is "by-time" or "by-persona"; `seed` is the workspace's."""

    base: str
    base_fingerprint: str
    data_hash: str
    scheme: str
    split_hash: str
    seed: int
    personas: int
    with_character: int
    has_truth: bool
    dialogues: int

    def carries(self, spec: RunSpec) -> bool:
        """Say whether a run was made on this same ground."""
        theirs = (spec.base, spec.base_fingerprint, spec.data_hash, spec.protocol.get("split_hash"))
        return theirs == (self.base, self.base_fingerprint, self.data_hash, self.split_hash)

    def needs_dialogues(self) -> None:
        """Raise EngineError where there are published scores only, and nothing to answer or to train on."""
        if not self.dialogues:
            raise EngineError(
                "Not applicable here: this workspace holds published scores and no dialogues.",
                "Create one with data: python -m engine init --workspace DIR --dataset world:default",
            )


def read_ground(ws: Workspace) -> Ground:
    """Read the ground of a workspace. Raises EngineError when `init` has not run or its files are torn."""
    config = ws.read_config()
    try:
        card = read_json(ws.dataset / "card.json")
        scheme, split_hash = _splits(*_stamped(ws.splits / "splits.json"))
        counts = card["counts"]
        return Ground(
            base=str(config["base"]),
            base_fingerprint=fingerprint_base(str(config["base"])),
            data_hash=str(card["data_hash"]),
            scheme=scheme,
            split_hash=split_hash,
            seed=int(config["seed"]),
            personas=int(counts["personas"]),
            with_character=int(counts["personas_with_character"]),
            has_truth=(ws.dataset / "truth.jsonl").exists(),
            dialogues=int(counts["dialogues"]),
        )
    except (OSError, KeyError, TypeError) as error:
        raise EngineError(
            f"The dataset of {ws.root} is incomplete: {error}",
            "Create the workspace again: python -m engine init --force",
        ) from error


def fingerprint_base(base: str) -> str:
    """Return what tells one base model from another of the same name; "" for a hub id.

    Small models are hashed whole, large ones by their file names, sizes and configuration. Raises
    EngineError when a local base is not there.
    """
    folder = local_base(base)
    if folder is None:
        return ""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors", ".jinja"))
    return _hash_base(tuple(_stamped(path) for path in paths))


_Stamped = tuple[Path, tuple[int, int, int]]  # a file; its inode, time and size


def _stamped(path: Path) -> _Stamped:
    found = path.stat()
    return path, (found.st_ino, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=8)
def _hash_base(files: tuple[_Stamped, ...]) -> str:
    whole = sum(size for _, (_, _, size) in files) <= _SMALL_BASE_BYTES
    digest = hashlib.sha256()
    for path, (_, _, size) in files:
        digest.update(f"{path.name}:{size};".encode())
        if whole or path.suffix != ".safetensors":
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=8)
def _splits(path: Path, _: tuple[int, int, int]) -> tuple[str, str]:
    """Return scheme and hash of a splits.json."""
    splits = read_json(path)
    return str(splits["scheme"]), _hash_splits(splits)


def _hash_splits(splits: dict[str, Any]) -> str:
    return fingerprint([splits["scheme"], splits["assignment"], sorted(splits.get("online", ()))], 16)
