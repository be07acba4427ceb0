"""How far training is from what this machine can do: rates of products, where a step's time goes.

    .venv/bin/python -m engine bench limits

Prints GFLOP/s of linear layers in fp32 and bf16, attention there and back beside torch's own, the share of
each kind of work in a step on one thread, and tokens a second in one lane of all threads and in a lane a
thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.ground import load, persona_rows

SHAPES = ((512, 192, 512), (512, 896, 4864), (512, 4864, 896))
KINDS = {"matrix products": ("aten::mm", "aten::addmm", "aten::bmm"), "softmax": ("aten::_softmax",)}


def best(work: Callable[[], object], times: int = 8) -> float:
    """Return the least seconds of several times, after one for warming up."""
    work()
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def products() -> dict[str, dict[str, float]]:
    """Return GFLOP/s of x [rows, in] times w [out, in] on all threads."""
    import torch

    rates: dict[str, dict[str, float]] = {}
    for rows, wide, tall in SHAPES:
        for dtype in (torch.float32, torch.bfloat16):
            x, w = torch.randn(rows, wide, dtype=dtype), torch.randn(tall, wide, dtype=dtype)
            seconds = best(lambda x=x, w=w: torch.nn.functional.linear(x, w), 30)  # type: ignore[misc]
            name = f"{rows} x {wide} x {tall}"
            rates.setdefault(name, {})[str(dtype)[6:]] = 2 * rows * wide * tall / seconds / 1e9
    return rates


def attention() -> dict[str, float]:
    """Return milliseconds there and back of three dialogues of 314 tokens on one thread."""
    import torch

    from engine.lm.attention import CausalBlocks

    torch.set_num_threads(1)
    own = [torch.randn(18, 314, 32, requires_grad=True) for _ in range(3)]
    theirs = torch.nn.functional.scaled_dot_product_attention
    ways = {
        "ours": lambda: CausalBlocks.apply(*own, 32**-0.5),
        "torch's": lambda: theirs(*own, is_causal=True),
    }
    return {name: 1000 * best(lambda way=way: way().sum().backward(), 15) for name, way in ways.items()}  # type: ignore[misc]


def training(base: Any, rows: list[list[Any]]) -> Callable[[], object]:
    from engine.lm.forms import LoraForm
    from engine.lm.shape import LoraShape
    from engine.lm.train import Lesson, Trainer, TrainSettings

    settings = TrainSettings(epochs=1)
    lessons = [Lesson(str(number), mine) for number, mine in enumerate(rows)]
    kind = LoraForm(base.model, LoraShape(dropout=0.0, target_modules=["q_proj", "v_proj"]))
    return lambda: Trainer(base.model, kind, settings, lessons, pad_id=0).fit()


def step_shares(work: Callable[[], object]) -> dict[str, float]:
    """Return the share of a training's processor time by kind of work, on one thread."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.set_num_threads(1)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        work()
    seconds: Counter[str] = Counter()
    for event in profiled.key_averages():
        kind = next((kind for kind, names in KINDS.items() if event.key in names), "everything else")
        seconds[kind] += event.self_cpu_time_total
    whole = sum(seconds.values())
    return {kind: spent / whole for kind, spent in seconds.most_common()}


def lanes(work: Callable[[], object], tokens: int, threads: int) -> dict[str, float]:
    """Return tokens a second in one lane of all threads and in a lane a thread."""
    import torch

    import engine.lm.lanes as module

    torch.set_num_threads(threads)
    several = tokens / best(work, 3)
    module._SMALL_PARAMETERS = 0  # nothing is small: one lane
    return {"one lane of all threads": tokens / best(work, 3), "a lane a thread": several}


def main() -> None:
    """Measure and print."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    options = made.parse_args()
    base = load("embedded", "fp32")
    import torch

    threads, rows = torch.get_num_threads(), persona_rows(base, 8, 8)
    work = training(base, rows)
    found = {
        "GFLOP/s": products(),
        "attention there and back, ms": attention(),
        "share of a step": step_shares(work),
        "tokens a second": lanes(work, sum(len(row) for mine in rows for row in mine), threads),
    }
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for title, values in found.items():
        print(title)
        for name, value in values.items():
            told = value if isinstance(value, float) else ", ".join(f"{k} {v:.0f}" for k, v in value.items())
            print(f"  {name}: {told if isinstance(told, str) else f'{told:.3g}'}")


if __name__ == "__main__":
    main()
