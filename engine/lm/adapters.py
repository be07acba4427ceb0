"""Low-rank adapters as plain factors, read and written in PEFT's format.

Owns the mapping between a module's path in the model and the names in PEFT's files. Refuses adapters that
are more than A and B: DoRA, rank stabilisation by pattern, trained biases.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from peft import LoraConfig
from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from engine.core.base_identity import peft_base
from engine.core.errors import EngineError
from engine.core.paths import read_json, whole
from engine.lm.effects import Activations, Library, Prefix, Weights
from engine.lm.layers import no_such_layer, takes_update
from engine.lm.shape import LoraShape, refuse_more
from engine.lm.tensor_file import load_tensors, packed

Factors = tuple[Tensor, Tensor]
"""A [r, in] and B [out, r] of one module, in fp32."""

_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Lora:
    """One adapter: the path of each changed module -> its factors; the change is scale * B A."""

    factors: Mapping[str, Factors]
    scale: float

    @property
    def parameters(self) -> int:
        return sum(a.numel() + b.numel() for a, b in self.factors.values())


def sizes(module: nn.Module) -> tuple[int, int]:
    """Return (in, out) of a linear layer."""
    if isinstance(module, Conv1D):
        return int(module.weight.shape[0]), int(module.weight.shape[1])
    return int(module.in_features), int(module.out_features)  # type: ignore[arg-type]


def linear_layers(model: PreTrainedModel) -> dict[str, nn.Module]:
    """Return every linear layer of the model that takes an update by its path, but the output head."""
    head, kind = model.get_output_embeddings(), str(model.config.model_type)
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D))
        and module is not head
        and takes_update(kind, path.rsplit(".", 1)[-1])
    }


def targets(model: PreTrainedModel, names: Sequence[str]) -> dict[str, nn.Module]:
    """Return the linear layers whose last name is among `names`, by path.

    Raises EngineError when one of them is no layer of the model.
    """
    layers = linear_layers(model)
    known = {path.rsplit(".", 1)[-1] for path in layers}
    missing = [name for name in names if name not in known]
    if missing:
        raise no_such_layer(missing, sorted(known))
    return {path: module for path, module in layers.items() if path.rsplit(".", 1)[-1] in set(names)}


def fresh(modules: Mapping[str, nn.Module], shape: LoraShape, *, seed: int) -> Lora:
    """Return an untrained adapter as PEFT would draw it: A Kaiming uniform with a = sqrt(5), B zero."""
    random = torch.Generator().manual_seed(seed)
    factors = {}
    for path, module in modules.items():
        wide, tall = sizes(module)
        a = torch.empty(shape.rank, wide)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=random)
        factors[path] = (a, torch.zeros(tall, shape.rank))
    return Lora(factors, shape.scale)


def save_lora(lora: Lora, shape: LoraShape, folder: Path, *, base: str = "", architecture: str = "") -> None:
    """Write `folder` in PEFT's format; it is there whole or not at all. Replaces an older one.

    `architecture` is the model's type: of some, PEFT takes the names of linear layers for those of experts.
    """
    apart = taken_for_experts(architecture, shape.target_modules)
    with whole(folder) as part:
        found, revision = peft_base(base)
        config = LoraConfig(
            r=shape.rank,
            lora_alpha=shape.alpha,  # type: ignore[arg-type]
            lora_dropout=0.0 if apart else shape.dropout,  # PEFT drops nothing before a weight that is named
            target_modules=[name for name in shape.target_modules if name not in apart],
            target_parameters=sorted(
                f"{path}.weight" for path in lora.factors if path.rsplit(".", 1)[-1] in apart
            )
            or None,
            bias="none",
            task_type="CAUSAL_LM",
            inference_mode=True,
            base_model_name_or_path=found,
            revision=revision,
        )
        config.save_pretrained(str(part))
        tensors = {}
        for path, (a, b) in lora.factors.items():
            tensors[f"{_PREFIX}{path}.lora_A.weight"] = a
            tensors[f"{_PREFIX}{path}.lora_B.weight"] = b
        (part / _WEIGHTS).write_bytes(packed(tensors))


def taken_for_experts(architecture: str, names: Sequence[str]) -> frozenset[str]:
    """Return which names of layers PEFT takes for those of experts in models of an architecture.

    Older versions of transformers had each expert's layers by themselves, under the names that shared experts
    and dense layers still have; now the experts are one tensor, and PEFT looks for all layers of these names
    there. It would leave a change of the others out without an error. Named by their weights, they are found.
    """
    model: Any = SimpleNamespace(config=SimpleNamespace(model_type=architecture))
    moved = set()
    for name in names:
        config = LoraConfig(target_modules=[name], task_type="CAUSAL_LM")
        try:
            convert_peft_config_for_transformers(config, model, None)
        except ValueError:  # half of what is now one tensor
            moved.add(name)
        else:
            moved |= {name}.difference(config.target_modules or ())
    return frozenset(moved)


def effect_kind(folder: Path) -> str:
    """Return the kind of effect that lies in a folder, by its configuration; "" where there is none."""
    if not (folder / _CONFIG).exists():
        return ""
    config: dict[str, Any] = read_json(folder / _CONFIG)
    if config.get("peft_type") == "PREFIX_TUNING":
        return Prefix.kind
    ours = config.get("effect")
    return ours if ours in (Activations.kind, Library.kind) else Weights.kind


def load_lora(folder: Path) -> Lora:
    """Return the adapter in a folder of PEFT's format.

    Raises EngineError when the folder is incomplete or holds more than plain low-rank factors.
    """
    if not (folder / _CONFIG).exists() or not (folder / _WEIGHTS).exists():
        raise EngineError(
            f"{folder} holds no adapter.",
            "Resume or repeat the run that makes it: python -m engine resume RUN",
        )
    config: dict[str, Any] = read_json(folder / _CONFIG)
    refuse_more(folder, config)
    tensors = load_tensors(folder / _WEIGHTS)
    rank = int(config["r"])
    scale = float(config["lora_alpha"]) / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Lora(_pairs(tensors, folder, rank), scale)


def _pairs(tensors: Mapping[str, Tensor], folder: Path, rank: int) -> dict[str, Factors]:
    """Return each layer's A and B. Raises EngineError for a tensor that is neither, or of another rank."""
    factors, left = dict[str, Factors](), set(tensors)
    for name, a in tensors.items():
        if not name.startswith(_PREFIX) or not name.endswith(_A):
            continue
        other = name.removesuffix(_A) + _B
        b = tensors.get(other)
        if b is None or a.dim() != 2 or b.dim() != 2 or not a.shape[0] == b.shape[1] == rank:
            raise EngineError(
                f"The adapter in {folder} has no pair of rank {rank} in {name}.", "Save it again with PEFT."
            )
        factors[name.removeprefix(_PREFIX).removesuffix(_A)] = (a, b)
        left -= {name, other}
    if left or not factors:
        what = f"{len(left)} tensors beside A and B, {min(left)} among them" if left else "no A and B"
        raise EngineError(
            f"The adapter in {folder} is no plain LoRA (it holds {what}).",
            "Train it without modules_to_save, embeddings and biases.",
        )
    return factors


def added(parts: Sequence[tuple[Lora, float]]) -> dict[str, Factors]:
    """Return the weighted sum of adapters as factors: A's stacked, B's scaled and side by side. Exact.

    Of rank sum(r_i): (A [R, in], B [out, R]) for each module that any of them changes; where that is more
    than the matrix has, the sum itself beside an identity.
    """
    stacked: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for lora, weight in parts:
        for path, (a, b) in lora.factors.items():
            stacked.setdefault(path, []).append((a, b * (lora.scale * weight)))
    return {path: _no_larger_than_the_sum(*_side_by_side(pairs)) for path, pairs in stacked.items()}


def _side_by_side(pairs: Sequence[tuple[Tensor, Tensor]]) -> Factors:
    if len(pairs) == 1:
        return pairs[0]
    return torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs], dim=1)


def _no_larger_than_the_sum(a: Tensor, b: Tensor) -> Factors:
    rank, wide, tall = a.shape[0], a.shape[1], b.shape[0]
    if rank <= min(wide, tall):
        return a, b
    return (torch.eye(wide), b @ a) if wide <= tall else (b @ a, torch.eye(tall))
