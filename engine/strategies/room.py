"""How much memory and disk runs take at least, from their specs and the base's configuration alone.

A lower bound, so that nothing is refused that would have fitted: what a process loads before it works, the
weights as they lie on disk, and what a training step keeps; adapters with their checkpoints, and replies.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.core.base_folder import base_on_disk
from engine.core.errors import EngineError
from engine.core.paths import read_json
from engine.core.stamps import weight_bytes
from engine.runs.room import Room, beside
from engine.runs.runfolder import RunSpec
from engine.strategies.ground import Ground
from engine.strategies.workload import CLUSTERS, workload

_PROCESS_BYTES = 350_000_000  # Python with the model code
_STEP_TOKENS = 2048  # what a training step computes at once on a processor
_NUMBER_BYTES = 4
_REPLY_BYTES = 1_500  # with its reference and scores, as Parquet
_RUN_BYTES = 1_000_000  # spec, log, events, manifest
_WHILE_TRAINED = 3  # an adapter and its two moments, in a checkpoint


def room(specs: Iterable[RunSpec], ground: Ground) -> Room:
    """Return what these runs take: the memory of the largest, the disk of all. Nothing for no runs."""
    folder = base_folder(ground.base)
    return beside(_of_run(spec, ground, folder) for spec in specs)


def _of_run(spec: RunSpec, ground: Ground, folder: Path | None) -> Room:
    config = _config(folder)
    adapters = _adapter_bytes(spec.parameters, ground, config)
    units = workload(spec, ground)
    replies = units.get("generate", units.get("ask", 0.0))
    memory = _PROCESS_BYTES
    if "load" in spec.stages and folder is not None:
        memory += weight_bytes(folder)
    if "train" in spec.stages:
        memory += _STEP_TOKENS * _token_bytes(config)
    return Room(memory, int(_RUN_BYTES + _REPLY_BYTES * replies + (1 + _WHILE_TRAINED) * adapters))


def _adapter_bytes(parameters: Mapping[str, Any], ground: Ground, config: Mapping[str, Any]) -> int:
    """The weights of all adapters that a run trains, by their shape; 0 where that is not known."""
    count = {"all": 1, "cluster": CLUSTERS, "persona": parameters.get("personas") or ground.personas}
    many = min(int(count.get(str(parameters.get("by")), 0)), ground.personas)
    wide, layers = _width(config), int(config.get("num_hidden_layers") or 0)
    heads = int(config.get("num_attention_heads") or 1)
    head = int(config.get("head_dim") or wide // heads)
    keys = head * int(config.get("num_key_value_heads") or heads)
    block = int(config.get("intermediate_size") or 4 * wide)
    ends = {
        "q": head * heads,
        "o": head * heads,
        "k": keys,
        "v": keys,
        "gate": block,
        "up": block,
        "down": block,
    }
    if parameters.get("rank"):
        modules = parameters.get("target_modules") or ()
        each = sum(wide + ends.get(str(name).removesuffix("_proj"), wide) for name in modules)
        return many * layers * int(parameters["rank"]) * each * _NUMBER_BYTES
    length = int(parameters.get("length") or 0)
    return many * layers * length * 2 * keys * _NUMBER_BYTES


def _token_bytes(config: Mapping[str, Any]) -> int:
    """What the layers keep of one token for the way back."""
    wide = _width(config)
    block = int(config.get("intermediate_size") or 4 * wide)
    return int(config.get("num_hidden_layers") or 0) * (9 * wide + 2 * block) * _NUMBER_BYTES


def _width(config: Mapping[str, Any]) -> int:
    return int(config.get("hidden_size") or 0)


def base_folder(base: str) -> Path | None:
    """Return where a base lies; None where it is not on this machine."""
    try:
        return base_on_disk(base)
    except EngineError:
        return None  # what it lacks is said where it is loaded


def base_config(base: str) -> Mapping[str, Any]:
    """Return the configuration of a base's language model; nothing where it is not on this machine."""
    return _config(base_folder(base))


def _config(folder: Path | None) -> Mapping[str, Any]:
    path = folder / "config.json" if folder is not None else None
    found = read_json(path) if path is not None and path.exists() else {}
    inner = found.get("text_config")
    return inner if isinstance(inner, dict) else found
