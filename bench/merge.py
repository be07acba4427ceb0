"""Merging 200 adapters into 200 personas' weights: this engine beside PEFT's exact `cat`, with equal results.

    .venv/bin/python -m engine bench merge                 the embedded base's shape
    .venv/bin/python -m engine bench merge --base 0.5b     Qwen2.5-0.5B's shape (24 layers, width 896)

A sparse MoE: each persona gets a weighted sum of 5 adapters, written into the base's weights, all in fp32.
Only the layers with adapters exist, with random weights, in one process for both, on the GPU where there is
one (`--device`). Ways of PEFT: with all 200
adapters in the model, and, in its favour, with only those that the personas of the sample need.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from statistics import median

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

ADAPTERS, NEAREST, RANK = 200, 5, 8
_CHUNK_BYTES = {"cpu": 1 << 20, "cuda": 1 << 30}  # a core's own cache: larger pieces take twice as long
Keep = Callable[[str, int, Tensor], None]
SHAPES: dict[str, tuple[int, dict[str, tuple[int, int]]]] = {
    "embedded": (
        4,
        {
            **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), (192, 192)),
            **dict.fromkeys(("gate_proj", "up_proj"), (512, 192)),
            "down_proj": (192, 512),
        },
    ),
    "0.5b": (
        24,
        {
            **dict.fromkeys(("q_proj", "o_proj"), (896, 896)),
            **dict.fromkeys(("k_proj", "v_proj"), (128, 896)),
            **dict.fromkeys(("gate_proj", "up_proj"), (4864, 896)),
            "down_proj": (896, 4864),
        },
    ),
}
"""Layers, and (out, in) of each linear layer."""


class Layers(nn.Module):
    """The layers of a model that get adapters, without the rest of it."""

    def __init__(self, base: str, wanted: Sequence[str]) -> None:
        super().__init__()
        layers, modules = SHAPES[base]
        self.layers = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(*reversed(modules[name]), bias=False) for name in wanted})
            for _ in range(layers)
        )


def draw(base: str, wanted: Sequence[str], device: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return 200 random adapters, stacked, and the base weight of each layer."""
    from engine.lm.merge import Stack

    random = torch.Generator().manual_seed(0)
    model = Layers(base, wanted)
    stacks, bases = {}, {}
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear):
            tall, wide = module.weight.shape
            a = torch.randn(ADAPTERS, RANK, wide, generator=random) / wide**0.5
            b = torch.randn(ADAPTERS, tall, RANK, generator=random)
            stacks[path] = Stack(a.to(device), b.to(device))
            bases[path] = module.weight.detach().clone().to(device)
    return stacks, bases


def sparse_weights() -> Tensor:
    """Return the weights [200, 200] of a sparse MoE: five adapters a persona, her own the heaviest."""
    likeness = torch.rand(ADAPTERS, ADAPTERS, generator=torch.Generator().manual_seed(0))
    likeness.fill_diagonal_(2.0)
    near = likeness.topk(NEAREST, dim=1)
    return torch.zeros(ADAPTERS, ADAPTERS).scatter(1, near.indices, torch.softmax(near.values / 0.5, dim=1))


def ours(stacks: Mapping[str, Any], bases: Mapping[str, Tensor], weights: Tensor, keep: Keep) -> float:
    """Merge for every persona, layer by layer; return the seconds a persona. `keep` sees each weight."""
    began = time.perf_counter()
    for path, stack in stacks.items():
        for part, merged in merged_weights(stack, weights, base=bases[path]):
            for row, target in enumerate(range(part.start, part.stop)):
                keep(path, target, merged[row])
    finished(weights)
    return (time.perf_counter() - began) / len(weights)


def merged_weights(
    stack: Any, weights: Tensor, *, base: Tensor | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Yield (targets, W), the exact merges of a module: W [m, out, in] = base + sum_n weights[m, n] b_n a_n.

    `weights` [M, N] may be sparse: zeros cost nothing. `base` [out, in] is zero when not given. A few
    targets at a time, on the stack's device, and every W lies in the same memory: copy what has to stay.
    """
    (tall, wide), device, dtype = stack.shape, stack.a.device, stack.a.dtype
    weights = weights.to(device)
    most = max(1, int((weights != 0).sum(dim=1).max()))
    chosen = weights.abs().topk(most, dim=1).indices
    at_once = _CHUNK_BYTES.get(device.type, _CHUNK_BYTES["cpu"])
    rows = max(1, min(len(weights), at_once // (tall * wide * dtype.itemsize)))
    zero = torch.zeros(1, 1, 1, dtype=dtype, device=device)
    start_from = zero if base is None else base.to(device, dtype)
    space = torch.empty(rows, tall, wide, dtype=dtype, device=device)
    up = stack.b.transpose(1, 2).contiguous()
    for start in range(0, len(weights), rows):
        part = slice(start, min(start + rows, len(weights)))
        picked = chosen[part]
        shares = weights[part].gather(1, picked).to(dtype)
        a = (stack.a[picked] * shares[:, :, None, None]).flatten(1, 2)
        b = up[picked].flatten(1, 2).transpose(1, 2)
        into = space[: len(picked)]
        torch.baddbmm(start_from.expand(len(picked), tall, wide), b, a, out=into)
        yield part, into


def finished(like: Tensor) -> None:
    """Wait until the device has done what it was given."""
    if like.is_cuda:
        torch.cuda.synchronize()


def in_peft(base: str, wanted: Sequence[str], stacks: Mapping[str, Any], rows: Sequence[int]) -> PeftModel:
    """Return a model that holds the adapters of these rows in PEFT's layers."""
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(wanted))
    model = get_peft_model(Layers(base, wanted), config, adapter_name=f"p{rows[0]}")
    for row in rows[1:]:
        model.add_adapter(f"p{row}", config)
    for path, stack in stacks.items():
        layer: Any = model.get_submodule(f"base_model.model.{path}")
        for row in rows:
            layer.lora_A[f"p{row}"].weight.data.copy_(stack.a[row])
            layer.lora_B[f"p{row}"].weight.data.copy_(stack.b[row])
    return model.to(next(iter(stacks.values())).a.device)


def by_peft(
    model: PeftModel, bases: Mapping[str, Tensor], weights: Tensor, targets: Sequence[int], keep: Keep
) -> list[float]:
    """Merge for `targets` by add_weighted_adapter("cat"); return the seconds of each."""
    layers: dict[str, Any] = {path: model.get_submodule(f"base_model.model.{path}") for path in bases}
    seconds = []
    for target in targets:
        began = time.perf_counter()
        used = weights[target].nonzero().flatten().tolist()
        names, shares = [f"p{row}" for row in used], weights[target][used].tolist()
        model.add_weighted_adapter(names, shares, "merged", combination_type="cat")
        for path, layer in layers.items():
            keep(path, target, bases[path] + layer.get_delta_weight("merged"))
        model.delete_adapter("merged")
        finished(weights)
        seconds.append(time.perf_counter() - began)
    return seconds


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return seconds a persona of every way, ratios to ours, and the largest difference of a weight."""
    wanted = options.target_modules.split(",")
    stacks, bases = draw(options.base, wanted, options.device)
    weights = sparse_weights().to(options.device)
    targets = list(range(options.sample))
    sample: dict[tuple[str, int], Tensor] = {}
    differences: list[float] = []
    shown = set(list(bases)[:: max(1, len(bases) // 8)])

    def remember(path: str, target: int, merged: Tensor) -> None:
        if path in shown and target in targets:
            sample[path, target] = merged.clone()

    def check(path: str, target: int, merged: Tensor) -> None:
        if path in shown:
            differences.append(float((sample[path, target] - merged).abs().max()))

    ours(stacks, bases, weights, remember)
    mine = median(ours(stacks, bases, weights, lambda *_: None) for _ in range(options.repeats))
    found: dict[str, Any] = {"base": options.base, "device": options.device, "ours": mine}
    needed = weights[targets].sum(dim=0).nonzero().flatten().tolist()
    loaded = {"peft, the needed": needed, "peft, all": list(range(ADAPTERS))}
    for way, rows in list(loaded.items())[: 2 if options.all_loaded else 1]:
        model = in_peft(options.base, wanted, stacks, rows)
        seconds = median(by_peft(model, bases, weights, targets, check))
        found[way] = {"adapters": len(rows), "seconds": seconds, "ratio": seconds / mine}
    return {**found, "largest_difference": max(differences)}


def main() -> None:
    """Print seconds a persona and ratios; fail when the merged weights differ."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--base", choices=tuple(SHAPES), default="embedded")
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--sample", type=int, default=4, help="Personas that PEFT merges for.")
    made.add_argument("--target-modules", default="q_proj,v_proj")
    made.add_argument(
        "--all-loaded",
        action=argparse.BooleanOptionalAction,
        help="Measure PEFT with all 200 adapters in the model, too; by default on the small base only.",
    )
    made.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = made.parse_args()
    if options.all_loaded is None:
        options.all_loaded = options.base == "embedded"
    torch.set_num_threads(int(os.environ.get("BENCH_THREADS", os.cpu_count() or 1)))
    with torch.no_grad():
        found = measure(options)
    if options.json:
        print(json.dumps(found))
    else:
        _show(found, options)
    if found["largest_difference"] > 1e-4:
        raise SystemExit(f"The merged weights differ by {found['largest_difference']:.1e}.")


def _show(found: Mapping[str, Any], options: argparse.Namespace) -> None:
    where = f"{options.target_modules}, {NEAREST} a persona, fp32, {options.device}"
    print(f"{ADAPTERS} adapters of rank {RANK} on {where}")
    print(f"{'':<28}{'ms a persona':>14}{'ratio':>8}")
    print(f"{'ours, ' + str(ADAPTERS) + ' personas':<28}{1000 * found['ours']:>14.2f}{1.0:>8.1f}")
    for way, one in found.items():
        if isinstance(one, dict):
            name = f"{way} ({one['adapters']} loaded)"
            print(f"{name:<28}{1000 * one['seconds']:>14.1f}{one['ratio']:>8.1f}")
    print(f"largest difference of a merged weight: {found['largest_difference']:.1e}")


if __name__ == "__main__":
    main()
