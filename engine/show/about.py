"""What a workspace stands on and what this machine has: base model, processors, keys, sizes, versions.

Says of a key only whether it is there. Loads no model, asks no server and changes nothing.
"""

import functools
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from engine.core.base_folder import EMBEDDED, check_base, local_base
from engine.core.errors import EngineError
from engine.core.keyring import key_of
from engine.core.paths import Workspace, read_json
from engine.core.permits import permits
from engine.core.stamps import held, weight_bytes
from engine.core.wording import size
from engine.lm.lengths import POSITIONS
from engine.runs import slots

_PACKAGES = ("torch", "transformers", "peft", "duckdb", "streamlit", "altair", "numpy", "pandas")
MISSING = "missing"
_NVIDIA = Path("/proc/driver/nvidia/gpus")
in_words = size


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The base as its folder tells it; None what it does not tell. `fault` says why it cannot be used."""

    name: str
    folder: Path | None
    architecture: str | None = None
    layers: int | None = None
    width: int | None = None
    vocabulary: int | None = None
    window: int | None = None
    parameters: int | None = None
    size_bytes: int | None = None
    card: str | None = None
    fault: str | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Processor:
    """What runs are executed on: cores, memory, and the names of the GPUs that they will use."""

    cores: int
    memory_bytes: int
    gpus: tuple[str, ...]

    @property
    def number_format(self) -> str:
        """What weights are held in here."""
        return "the model's own (bfloat16 as a rule)" if self.gpus else "float32"


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its variable's name: whether it is set, and the addresses that it may be sent to."""

    name: str
    present: bool
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder of the workspace, what it holds, and its size on disk (0 where it is not there)."""

    name: str
    path: Path
    what: str
    size_bytes: int
    files: int


def base_model(ws: Workspace) -> BaseModel:
    """Return what is known of the workspace's base model. Raises EngineError where there is no workspace."""
    name = str(ws.read_config()["base"])
    try:
        folder = local_base(name)
        if folder is None:
            return BaseModel(name, None)
        check_base(folder)
        return _read_base(name, folder)
    except EngineError as error:
        return BaseModel(name, None, fault=error.message, hint=error.hint or "")


def processor() -> Processor:
    """Return the cores and memory that this process may use, and the GPUs that runs will."""
    names = slots.gpus()
    models = _gpu_models()
    told = tuple(models[place] if place < len(models) else name for place, name in enumerate(names))
    return Processor(len(os.sched_getaffinity(0)), psutil.virtual_memory().total, told)


def endpoint_keys() -> list[Key]:
    """Return each key that endpoints may get, by name, whether it is set, and where it may go."""
    goes: dict[str, list[str]] = {}
    for one in permits():
        if one.key:
            goes.setdefault(one.key, []).append(one.address)
    return [Key(name, key_of(name) is not None, tuple(goes[name])) for name in sorted(goes)]


def keyless_addresses() -> tuple[str, ...]:
    """Return the addresses that the owner allows and that get no key."""
    return tuple(one.address for one in permits() if one.key is None)


def places(ws: Workspace) -> list[Place]:
    """Return the parts of a workspace with their sizes."""
    named = (
        ("Dataset", ws.dataset, "personas, dialogues and their card"),
        ("Splits", ws.splits, "which dialogue is for what"),
        ("Runs", ws.runs, "specs, logs and scores"),
        ("Caches", ws.cache, "may be deleted"),
        ("Adapters", ws.models, "trained weights"),
        ("Results", ws.database, "an index of the runs; may be rebuilt"),
        ("Report", ws.root / "report", "the report as it was written last"),
    )
    found = [(name, path, what, held(path)) for name, path, what in named]
    return [Place(name, path, what, size, files) for name, path, what, (size, files) in found]


@functools.cache
def versions() -> Mapping[str, str]:
    """Return the versions of Python and of the packages that results depend on; "missing" for none."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = MISSING
    return found


def _read_base(name: str, folder: Path) -> BaseModel:
    config: dict[str, Any] = read_json(folder / "config.json")
    build = read_json(folder / "build.json") if (folder / "build.json").exists() else {}
    card = folder / "README.md"
    return BaseModel(
        name=name,
        folder=folder,
        architecture=", ".join(config.get("architectures") or [str(config.get("model_type", ""))]),
        layers=config.get("num_hidden_layers"),
        width=config.get("hidden_size"),
        vocabulary=config.get("vocab_size"),
        window=next((config[name] for name in POSITIONS if config.get(name)), None),
        parameters=build.get("parameters") if isinstance(build, dict) else None,
        size_bytes=weight_bytes(folder),
        card=_without_front_matter(card) if name == EMBEDDED and card.exists() else None,
    )


def _without_front_matter(card: Path) -> str:
    """A model card's text below the block of metadata that it may begin with."""
    text = card.read_text(encoding="utf-8")
    return text.split("\n---\n", 1)[-1] if text.startswith("---\n") else text


def _gpu_models() -> list[str]:
    """The names of the GPUs as the driver's files tell them; empty where there is no such driver."""
    found = []
    for path in sorted(_NVIDIA.glob("*/information")):
        lines = path.read_text(errors="replace").splitlines()
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
    return found
