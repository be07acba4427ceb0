"""Trained tensors as safetensors: written in fp32, read again, called damaged in words. Names no tensor."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from engine.core.paths import TornFile


def packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Return what a file of these tensors holds, wherever they are and in whatever numbers."""
    plain = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
    return save(plain, metadata={"format": "pt"})


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file in fp32, by name. Raises TornFile when it is damaged or gone."""
    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise TornFile(path, f"is damaged: {error}", "Repeat the run that makes it.") from error
