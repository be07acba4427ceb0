"""The trainer's checkpoint: one safetensors file, and the small JSON that makes it count.

Owns the files and what counts as damaged. Knows nothing of what the tensors mean.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from engine.core.errors import EngineError
from engine.core.forms import Record
from engine.core.paths import plain_name, read_record, write_atomically, write_json

_POSITION = "position.json"
Parts = Mapping[str, Mapping[str, Tensor]]
"""Part (weights, moments ...) -> tensor name -> tensor."""


class Damaged(Exception):
    """The checkpoint cannot be gone on from; the message says why."""


def write_checkpoint(folder: Path, number: int, parts: Parts, position: Mapping[str, Any]) -> None:
    """Write the checkpoint of round `number`, then delete the older ones."""
    tensors = {
        f"{part}/{name}": tensor.cpu().contiguous()
        for part, named in parts.items()
        for name, tensor in named.items()
    }
    name = f"round-{number}.safetensors"
    write_atomically(folder / name, save(tensors))
    write_json(folder / _POSITION, {"file": name, **position})
    for old in folder.glob("round-*.safetensors"):
        if old.name != name:
            old.unlink()


def read_position(folder: Path, form: type[Record]) -> Record | None:
    """Return what was written as `position`; None when there is no checkpoint. Raises Damaged."""
    try:
        return read_record(folder / _POSITION, form)
    except FileNotFoundError:
        return None
    except EngineError as error:
        raise Damaged(str(error)) from error


def read_into(folder: Path, file: str, parts: Parts) -> None:
    """Copy the tensors of the checkpoint that a position names into those of `parts`. Raises Damaged."""
    try:
        tensors = load_file(folder / plain_name(file, what="a checkpoint"))
        wanted = [
            (tensor, tensors[f"{part}/{name}"])
            for part, named in parts.items()
            for name, tensor in named.items()
        ]
        for tensor, kept in wanted:
            tensor.copy_(kept)
    except (OSError, EngineError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise Damaged(str(error)) from error
