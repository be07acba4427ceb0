"""Loads, trains and asks two bases through the same code: the embedded one and a random Qwen2.5-0.5B shape.

Prints seconds and peak memory, and the ratio of the two. Run: .venv/bin/python bench/base_models.py
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHAPE = {
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "max_position_embeddings": 32768,
}


def write_random_shape(folder: Path) -> None:
    """Write a model of Qwen2.5-0.5B's shape with random weights in bf16 and the embedded tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from engine.lm.load import load_base

    torch.manual_seed(0)
    Qwen2ForCausalLM(Qwen2Config(**SHAPE)).to(torch.bfloat16).save_pretrained(folder)
    load_base("embedded").tokenizer.save_pretrained(folder)


def measure(base: str) -> dict[str, float]:
    """Return seconds to load, to train one step of 4 dialogues, to write 8 replies; and peak memory in GB."""
    from itertools import islice

    from engine.lm.base_corpus import corpus
    from engine.lm.encode import encode_chat
    from engine.lm.generate import generate
    from engine.lm.load import load_base
    from engine.lm.train import Trainer, TrainSettings, new_adapter

    began = time.perf_counter()
    loaded = load_base(base)
    seconds = {"load": time.perf_counter() - began}
    rows = [encode_chat(loaded.tokenizer, dialogue.chat) for dialogue in islice(corpus(seed=5), 8)]
    began = time.perf_counter()
    generate(loaded.model, loaded.tokenizer, [row.ids[:128] for row in rows], max_new_tokens=16)
    seconds["8 replies"] = time.perf_counter() - began
    settings = TrainSettings(epochs=1, batch_size=4)
    trainer = Trainer(new_adapter(loaded.model, settings, "bench"), settings, pad_id=0)
    began = time.perf_counter()
    trainer.fit(rows, [])
    seconds["training step"] = (time.perf_counter() - began) / 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {**{name: round(value, 3) for name, value in seconds.items()}, "peak GB": round(peak, 2)}


def main() -> None:
    """Measure each base in a process of its own, so that peaks of memory do not add up."""
    with tempfile.TemporaryDirectory() as folder:
        write_random_shape(Path(folder))
        found = {}
        for name, base in (("embedded", "embedded"), ("0.5B shape", folder)):
            command = [sys.executable, __file__, base]
            out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
            found[name] = json.loads(out.splitlines()[-1])
    small, large = found["embedded"], found["0.5B shape"]
    print(f"{'':<16}{'embedded':>12}{'0.5B shape':>12}{'ratio':>9}")
    for key in small:
        print(f"{key:<16}{small[key]:>12}{large[key]:>12}{large[key] / max(small[key], 1e-9):>9.1f}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
