"""What the benchmarks measure on: bases, adapters, data; and how a way of working is timed.

Each way runs in a process of its own, so that its peak of memory is its own. All take the same number of
threads, and a way that is compared gives the results that were compared, too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BASES = ("embedded", "smollm2", "0.5b", "tiny")
TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 64,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
}
"""Hardly any arithmetic: what takes time here is what a fast card would wait for."""
HALF_BILLION = {
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "max_position_embeddings": 32768,
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One way's cost: seconds of each repetition, units of work in each, peak memory in GB, its results."""

    way: str
    seconds: list[float]
    units: int
    peak_gb: float
    results: Any = None
    note: str = ""

    @property
    def per_unit(self) -> float:
        return statistics.median(self.seconds) / self.units


@dataclass
class Clock:
    """Collects the seconds of repetitions."""

    seconds: list[float] = field(default_factory=list)

    @contextmanager
    def timed(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - began)


@contextmanager
def busy_share() -> Iterator[list[float]]:
    """Watch the GPU: at the end the list holds the share of the time in which it computed."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    found: list[float] = []
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as watched:
        began = time.perf_counter()
        yield found
        torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    kernels = [event for event in watched.events() if str(event.device_type).endswith("CUDA")]
    found.append(sum(event.self_device_time_total for event in kernels) / 1e6 / seconds)


def write_random(folder: Path, shape: Mapping[str, Any]) -> Path:
    """Write a Qwen2 model of a shape with random weights in bf16 and the embedded tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from engine.lm.load import load_base

    if not (folder / "config.json").exists():
        torch.manual_seed(0)
        tokenizer = load_base("embedded").tokenizer
        config = Qwen2Config(**{"vocab_size": len(tokenizer), **shape})
        Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def base_folder(name: str) -> Path:
    """Return the folder of a base by its name in BASES; a random shape is written once a machine boot."""
    from engine.core.base_folder import SMOLLM2
    from tools.smollm2 import convert_smollm2

    if name == "embedded":
        return ROOT / "models" / "base"
    if name == SMOLLM2:
        return convert_smollm2()
    folder = Path(tempfile.gettempdir()) / "persona-lab-bench" / name
    return write_random(folder, TINY if name == "tiny" else HALF_BILLION)


def load(name: str, dtype: str) -> Any:
    """Return the base in fp32 or bf16 as the engine's record, with its threads set."""
    import torch

    from engine.lm.load import load_base

    torch.set_num_threads(int(os.environ.get("BENCH_THREADS", os.cpu_count() or 1)))
    base = load_base(str(base_folder(name)))
    base.model.to(torch.bfloat16 if dtype == "bf16" else torch.float32)
    return base


def persona_rows(base: Any, personas: int, dialogues: int) -> list[list[Any]]:
    """Return the encoded dialogues of the first personas of the `default` world."""
    from engine.core.types import Message
    from engine.data.worlds import draw_world
    from engine.domains.smart_home import SMART_HOME
    from engine.lm.encode import encode_chat
    from engine.lm.prompts import chat, system_text

    rows = []
    for _, sessions in draw_world("default", personas=personas, dialogues=dialogues, seed=0):
        rows.append(
            [
                encode_chat(
                    base.tokenizer,
                    chat(
                        system_text(SMART_HOME, meta=session.meta),
                        [
                            message
                            for turn in session.turns
                            for message in (Message("user", turn.user), Message("assistant", turn.reply))
                        ],
                    ),
                )
                for session in sessions
            ]
        )
    return rows


def peak_gb() -> float:
    """Return the peak of memory: of this process, or of the GPU where one computes."""
    import torch

    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1024**3, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2)


def in_own_process(script: str, way: str, options: Mapping[str, Any]) -> Measured:
    """Measure one way in a fresh process of `script`."""
    given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = [sys.executable, script, f"--way={way}", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{way} failed:\n{done.stderr[-3000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def answer(measured: Measured) -> None:
    """Print one way's measurement for the process that asked."""
    print(json.dumps(asdict(measured)))


def show(title: str, found: Sequence[Measured], *, unit: str, checks: Iterable[str], as_json: bool) -> None:
    """Print the table: cost of a unit and how many times cheaper the first way is."""
    ours = found[0]
    if as_json:
        rows = [
            {
                "way": one.way,
                "seconds": one.seconds,
                "units": one.units,
                "seconds_a_unit": one.per_unit,
                "ratio": one.per_unit / ours.per_unit,
                "peak_gb": one.peak_gb,
                "note": one.note,
            }
            for one in found
        ]
        print(json.dumps({"title": title, "unit": unit, "rows": rows, "checks": list(checks)}, indent=2))
        return
    print(f"\n{title}")
    print(f"{'':<44}{'s a ' + unit:>16}{'ours is faster':>16}{'peak GB':>9}  runs")
    for one in found:
        ratio = "" if one is ours else f"{one.per_unit / ours.per_unit:.1f} x"
        print(
            f"{one.way:<44}{one.per_unit:>16.4f}{ratio:>16}{one.peak_gb:>9.2f}  {len(one.seconds)} {one.note}"
        )
    for line in checks:
        print(f"  {line}")


def parser(description: str) -> argparse.ArgumentParser:
    """Return the options all benchmarks share."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--base", choices=BASES, default="embedded")
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--ways", nargs="+", help="Measure these only, the first as ours; by default all.")
    made.add_argument("--way", help=argparse.SUPPRESS)
    return made


def run_ways(
    script: str, ways: Mapping[str, Callable[[Any], Measured]], options: Any, names: Sequence[str]
) -> Any:
    """Answer for one way when asked to, else measure those asked for, each in its own process."""
    if options.way:
        answer(ways[options.way](options))
        return None
    if unknown := set(options.ways or ()) - set(ways):
        sys.exit(f"There is no way {', '.join(sorted(unknown))}. There are: {', '.join(ways)}.")
    given = {name: getattr(options, name) for name in names}
    return [in_own_process(script, way, given) for way in options.ways or ways]
