"""A tiny real base model for tests: the project's own tokenizer and a random Qwen2 of two layers.

Its weights are large enough that it says different things to different prompts, at different lengths. It
knows nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.core.paths import Workspace

TEXTS = 300


def save_tiny_base(folder: Path, *, hidden: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Write a tiny base in transformers' format into `folder` (created) and return it."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from tools.base_corpus import corpus
    from tools.base_tokenizer import VOCABULARY, train_tokenizer

    dialogues = itertools.islice(corpus(seed=1), TEXTS)
    tokenizer = train_tokenizer(
        "\n".join(line["content"] for line in dialogue.chat) for dialogue in dialogues
    )
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=2 * hidden,
        tie_word_embeddings=False,
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= 2.0  # so that some replies end early
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def prepare_study(
    root: Path,
    base: Path,
    *,
    world: str = "default",
    personas: int = 4,
    dialogues: int = 8,
    split: str = "by-time",
) -> Workspace:
    """Prepare a small synthetic workspace over a tiny base."""
    from engine.data import prepare

    ws = Workspace(root)
    prepare(
        ws,
        dataset=f"world:{world}",
        base=str(base),
        personas=personas,
        dialogues=dialogues,
        split=split,  # type: ignore[arg-type]
    )
    return ws


def save_adapters(
    root: Path, model: Any, shapes: Mapping[str, tuple[int, tuple[str, ...]]]
) -> dict[str, Path]:
    """Save adapters whose weights matter: name -> rank and layers; return name -> its folder."""
    import torch

    from engine.lm.adapters import fresh, save_lora, targets
    from engine.lm.shape import LoraShape

    for seed, (name, (rank, modules)) in enumerate(shapes.items()):
        form = LoraShape(rank=rank, alpha=7, target_modules=modules)
        lora = fresh(targets(model, modules), form, seed=seed)
        torch.manual_seed(seed)
        for _, b in lora.factors.values():
            torch.nn.init.normal_(b, std=0.4)
        save_lora(lora, form, root / name)
    return {name: root / name for name in shapes}
