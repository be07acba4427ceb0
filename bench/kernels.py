"""Every kernel for GPUs, compiled for some cards on a machine without one: what each takes of a card.

    .venv/bin/python -m engine bench kernels
    .venv/bin/python -m engine bench kernels --base smollm2 --cards 80 90

Triton's own compiler, with the widths that a base has and the numbers it is used with. Prints registers a
thread, bytes that did not fit into them ("spilled"), and the memory that the threads of a block share.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from engine.lm import dropout, gpu_kernels, kernel_lean

CARDS = {80: "A100", 86: "RTX 3090", 90: "H100", 120: "RTX 5090"}
SHARED = {80: 163, 86: 99, 89: 99, 90: 227, 120: 99}
"""KiB that the threads of a block can share, by what cards can do (CUDA C++ Programming Guide)."""
WIDTHS = {
    "smollm2": {"wide": 576, "inner": 1536, "heads": 3, "groups": 3, "size": 64, "vocabulary": 49152},
    "0.5b": {"wide": 896, "inner": 4864, "heads": 2, "groups": 7, "size": 64, "vocabulary": 151936},
    "7b": {"wide": 3584, "inner": 18944, "heads": 4, "groups": 7, "size": 128, "vocabulary": 152064},
    "gemma-2b": {"wide": 2048, "inner": 16384, "heads": 1, "groups": 8, "size": 256, "vocabulary": 256000},
}
RANK = 8
_LAUNCH = JITFunction.run


class _Card:
    """What Triton asks a driver for when it compiles."""

    def __init__(self, card: int) -> None:
        self._target = GPUTarget("cuda", card, 32)

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: int = 0) -> int:
        return 0


def only_compile(card: int) -> list[tuple[str, Any]]:
    """From now on compile kernels that are launched for a card, and run none; return where they come."""
    found: list[tuple[str, Any]] = []

    def compiled(self: Any, *given: Any, warmup: bool = False, **more: Any) -> Any:
        self.device_caches.clear()  # what another card had compiled
        made = _LAUNCH(self, *given, warmup=True, **more)
        found.append((self.__name__, made))
        return made

    driver.set_active(_Card(card))
    JITFunction.run = compiled
    return found


def launch_all(
    dtype: torch.dtype, *, wide: int, inner: int, heads: int, groups: int, size: int, vocabulary: int
) -> None:
    """Launch every kernel once, with the widths that a model has."""

    def zeros(*shape: int, of: torch.dtype = dtype, trained: bool = False) -> torch.Tensor:
        return torch.zeros(shape, dtype=of, requires_grad=trained)

    tokens, whole = 4, torch.long
    for width in (wide, inner):
        words = dropout._words(-(-width // 2), torch.device("cpu"))
        gpu_kernels.dropped(
            zeros(tokens, width), zeros(tokens, of=torch.int32), zeros(tokens, of=torch.int32), words,
            salts=(-77, 2**31 - 1), limit=1638, scale=1.05, factors=(dropout._FIRST, dropout._SECOND),
        )  # fmt: skip
    logits, losses = zeros(tokens, vocabulary), zeros(tokens, of=torch.float32)
    gpu_kernels.losses_of(logits, zeros(tokens, of=whole), losses, back=True)
    gate, up = zeros(tokens, inner, trained=True), zeros(tokens, inner, trained=True)
    gpu_kernels.Gated.apply(gate, up).sum().backward()
    turning, cos = zeros(tokens, heads * groups, size, trained=True), zeros(tokens, size)
    gpu_kernels.Turned.apply(turning, cos, cos).sum().backward()
    kernel_lean.gated(gate.detach(), up.detach())
    cos = zeros(2, tokens, size)
    kernel_lean.turned(zeros(2, heads * groups, tokens, size), zeros(2, heads, tokens, size), cos, cos)
    kernel_lean.normed(zeros(tokens, wide), zeros(wide), 1e-6)
    factors, names = (zeros(2, wide, RANK), zeros(2, RANK, wide)), zeros(tokens, of=whole)
    kernel_lean.with_factors(zeros(tokens, 1, wide), *factors, names, zeros(tokens, 1, wide))
    kept = zeros(tokens, heads, 192, size)
    kernel_lean.attended(
        zeros(tokens, heads, groups, size), kept, kept, zeros(tokens, 192), zeros(tokens, of=whole),
        zeros(1, of=whole), size**-0.5,
    )  # fmt: skip


def taken(card: int, made: Any) -> dict[str, int]:
    """Return what a compiled kernel takes of a card, by what the assembler says."""
    name = re.search(r"\.target (\w+)", made.asm["ptx"])
    assert name is not None
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(made.asm["ptx"])
        file.flush()
        assembler = knobs.nvidia.ptxas_blackwell if card >= 100 else knobs.nvidia.ptxas
        command = [assembler.path, "-v", f"--gpu-name={name[1]}", file.name, "-o", "/dev/null"]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = [re.search(told_by, told) for told_by in (r"Used (\d+) registers", r"(\d+) bytes spill stores")]
    registers, spilled = (int(one[1]) for one in found if one)
    return {
        "registers": registers, "spilled": spilled, "shared": int(made.metadata.shared),
        "threads": 32 * int(made.metadata.num_warps),
    }  # fmt: skip


def main() -> None:
    """Compile all kernels for all cards; print or dump what they take."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--base", choices=(*WIDTHS, "all"), default="0.5b", help="Whose widths.")
    made.add_argument("--cards", type=int, nargs="+", choices=CARDS, default=[90])
    made.add_argument("--dtype", choices=("bf16", "fp16", "fp32"), default="bf16")
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    options = made.parse_args()
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[options.dtype]
    rows = []
    for card in options.cards:
        for base in WIDTHS if options.base == "all" else (options.base,):
            found = only_compile(card)
            launch_all(dtype, **WIDTHS[base])
            rows += [
                {"card": card, "base": base, "kernel": name, **taken(card, kernel)} for name, kernel in found
            ]
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    print("| card | widths of | kernel | registers | spilled | shared KiB | threads |")
    print("|---|---|---|---:|---:|---:|---:|")
    for row in rows:
        told = f"| {CARDS[row['card']]} | {row['base']} | {row['kernel']} | {row['registers']} | "
        print(told + f"{row['spilled']} | {row['shared'] / 1024:.0f} | {row['threads']} |")


if __name__ == "__main__":
    main()
