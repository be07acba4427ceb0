"""Which architectures work here: tiny random models of each, trained, answered, exported and read back.

For each the table says whether the base can be probed (its logits are made from its last hidden states
alone), whether a trained adapter's loss is the one PEFT comes to on the same data, whether replies are those
of transformers' generate(), and whether an adapter that is trained here has the same loss when PEFT loads it.

    .venv/bin/python -m engine bench architectures
    .venv/bin/python -m engine bench architectures --as-on-a-gpu llama smollm3

As on a GPU: packed rows, steps of static shape, and the kernels, by Triton's interpreter (some minutes each).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from engine.core.errors import EngineError

_NEW = 16
_TOLERANCE = 1e-4
_SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "head_dim": 8,
}
_MOE: dict[str, Any] = {
    **_SHAPE,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 24,
}


def _less(*names: str, of: Mapping[str, Any] = _SHAPE, **more: Any) -> dict[str, Any]:
    return {**{name: value for name, value in of.items() if name not in names}, **more}


_DEEPSEEK = _less(
    "head_dim",
    moe_intermediate_size=16,
    n_routed_experts=4,
    num_experts_per_tok=2,
    n_group=1,
    topk_group=1,
    first_k_dense_replace=1,
    kv_lora_rank=16,
    qk_rope_head_dim=8,
    qk_nope_head_dim=8,
    v_head_dim=8,
    num_key_value_heads=4,
)
_GPT: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "initializer_range": 0.3}
ZOO: dict[str, dict[str, Any]] = {
    "apertus": _SHAPE,
    "arcee": _SHAPE,
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3},
    "codegen": {**_GPT, "n_inner": 64, "rotary_dim": 4},
    "cohere": {**_SHAPE, "logit_scale": 0.25},
    "cohere2": {**_SHAPE, "logit_scale": 0.25, "sliding_window": 64},
    "deepseek_v2": {**_DEEPSEEK, "q_lora_rank": None},
    "deepseek_v3": {**_DEEPSEEK, "q_lora_rank": 16},
    "ernie4_5": _SHAPE,
    "exaone4": {**_SHAPE, "sliding_window": 64},
    "falcon": _less("num_key_value_heads", "intermediate_size", "head_dim", alibi=False),
    "falcon_h1": {
        **_SHAPE,
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
    },
    "gemma": _SHAPE,
    "gemma2": {**_SHAPE, "final_logit_softcapping": 5.0, "query_pre_attn_scalar": 8, "sliding_window": 64},
    "gemma3_text": {**_SHAPE, "query_pre_attn_scalar": 8, "sliding_window": 64},
    "glm": _SHAPE,
    "glm4": _SHAPE,
    "glm4_moe": _less(
        of=_MOE, n_routed_experts=4, n_shared_experts=1, n_group=1, topk_group=1, first_k_dense_replace=1
    ),
    "gpt2": _GPT,
    "gpt_bigcode": _GPT,
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "max_position_embeddings": 512,
        "attention_types": [[["global", "local"], 1]],
        "initializer_range": 0.3,
    },
    "gpt_neox": _less("num_key_value_heads", "head_dim"),
    "gpt_oss": {
        **_SHAPE,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "sliding_window": 32,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "gptj": {**_GPT, "rotary_dim": 4},
    "granite": {**_SHAPE, "logits_scaling": 8.0},
    "granitemoeshared": _less(
        "head_dim",
        num_local_experts=4,
        num_experts_per_tok=2,
        shared_intermediate_size=24,
        logits_scaling=8.0,
        embedding_multiplier=1.0,
    ),
    "helium": _SHAPE,
    "hunyuan_v1_dense": _SHAPE,
    "lfm2": {**_SHAPE, "layer_types": ["conv", "full_attention"]},
    "llama": _SHAPE,
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "initializer_range": 0.3},
    "mistral": {**_SHAPE, "sliding_window": None},
    "mixtral": {**_SHAPE, "num_local_experts": 4, "num_experts_per_tok": 2},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 512, "initializer_range": 0.3},
    "nanochat": {**_SHAPE, "final_logit_softcapping": 5.0},
    "nemotron": _SHAPE,
    "olmo": _SHAPE,
    "olmo2": _SHAPE,
    "olmo3": {**_SHAPE, "sliding_window": 64},
    "olmoe": _less("head_dim", of=_MOE),
    "opt": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 64,
        "word_embed_proj_dim": 16,
        "max_position_embeddings": 512,
        "init_std": 0.3,
    },
    "phi": _less("head_dim", num_key_value_heads=4),
    "phi3": _SHAPE,
    "qwen2": _less("head_dim"),
    "qwen2_moe": _less("head_dim", of=_MOE),
    "qwen3": _SHAPE,
    "qwen3_moe": {**_MOE, "mlp_only_layers": [0]},
    "qwen3_next": {
        **_MOE,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "recurrent_gemma": {**_SHAPE, "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 64},
    "seed_oss": _SHAPE,
    "smollm3": {**_SHAPE, "no_rope_layers": [1, 0]},
    "stablelm": _less("head_dim"),
    "starcoder2": _less("head_dim"),
    "xglm": {
        "d_model": 32,
        "num_layers": 2,
        "attention_heads": 4,
        "ffn_dim": 64,
        "max_position_embeddings": 512,
        "init_std": 0.3,
    },
}
"""Architecture -> the settings of its tiny model; the rest are its own defaults."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one architecture: None where it does not get so far; differences in nats."""

    architecture: str
    changes_logits: bool | None = None
    probe: float | None = None
    loss: float | None = None
    same_texts: bool | None = None
    round_trip: float | None = None
    refused: str = ""
    failed: str = ""
    """What broke on the way, which nobody put into words."""

    @property
    def holds(self) -> bool:
        """Whether every column does."""
        numbers = (self.probe, self.loss, self.round_trip)
        return bool(self.same_texts) and all(one is not None and one <= _TOLERANCE for one in numbers)


def write_tiny(name: str, folder: Path, tokenizer: Any, *, seed: int = 0, **settings: Any) -> Path:
    """Write a tiny random model of one architecture with a tokenizer; `settings` go above those of ZOO."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    given = {**ZOO[name], "vocab_size": len(tokenizer), **settings}
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = AutoConfig.for_model(name, **{**ends, "bos_token_id": tokenizer.bos_token_id, **given})
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def look_at(name: str, tokenizer: Any, chats: Sequence[Any], folder: Path) -> Found:
    """Return what holds of an architecture; faults that the product words are told, not raised."""
    import torch

    from engine.lm.encode import encode_chat
    from engine.lm.load import load_base
    from engine.lm.tail import changes_logits, tail_error

    found: dict[str, Any] = {"architecture": name}
    try:
        base = load_base(str(write_tiny(name, folder / "base", tokenizer)))
        rows = [encode_chat(base.tokenizer, chat) for chat in chats]
        rows = [row for row in rows if len(row) <= 400]
        found["changes_logits"] = changes_logits(base.model)
        found["probe"] = tail_error(base.model, torch.tensor([rows[0].ids]))
        found |= _training(base, rows[:8], folder)
        found["same_texts"] = _same_texts(base, chats)
    except EngineError as error:
        found["refused"] = error.message
    return Found(**found)


def all_linear(model: Any) -> list[str]:
    """Return the names of all linear layers of a model."""
    from engine.lm.adapters import linear_layers

    return sorted({path.rsplit(".", 1)[-1] for path in linear_layers(model)})


def _training(base: Any, rows: Sequence[Any], folder: Path) -> dict[str, float]:
    """Return how far the loss after training is from PEFT's own training, and from PEFT with our adapter."""
    import torch
    from peft import PeftModel

    from engine.lm.forms import LoraForm
    from engine.lm.lanes import Lanes
    from engine.lm.load import load_base
    from engine.lm.packing import Drill
    from engine.lm.passes import Passes
    from engine.lm.shape import LoraShape
    from engine.lm.train import Lesson, Trainer, TrainSettings

    train, judged = rows[:6], rows[6:]
    settings = TrainSettings(learning_rate=0.01, epochs=2, batch_size=2, weight_decay=0.0)
    shape = LoraShape(rank=4, alpha=8, dropout=0.0, target_modules=all_linear(base.model))
    form = LoraForm(base.model, shape)
    lessons = [Lesson("one", train), Lesson("two", train[::-1])]  # two, so that rows differ in their adapter
    trainer = Trainer(base.model, form, settings, lessons, pad_id=0)
    starts = [form.start(seed=trainer._seed(lesson, "start")) for lesson in lessons]
    trained = trainer.fit()
    stacked = {key: torch.stack([one.weights[key] for one in trained]) for key in trained[0].weights}
    with Lanes(base.model, 1) as lanes:
        passes = Passes(lanes, form, pad_id=0, say=lambda _: None)
        drills = [Drill(slot, row) for slot in range(2) for row in judged]
        ours = passes.losses(stacked, drills)
    loss, trip = 0.0, 0.0
    for number, lesson in enumerate(lessons):
        form.save(trained[number].weights, folder / "ours", base=base.name)
        read = PeftModel.from_pretrained(load_base(base.name).model, folder / "ours").eval()
        trip = max(trip, abs(_own_loss(read, judged) - ours[number]))
        form.save(starts[number], folder / "start", base=base.name)
        theirs = PeftModel.from_pretrained(load_base(base.name).model, folder / "start", is_trainable=True)
        _train_with_peft(theirs.eval(), lesson, settings)
        loss = max(loss, abs(_own_loss(theirs, judged) - ours[number]))
    return {"loss": loss, "round_trip": trip}


def _train_with_peft(model: Any, lesson: Any, settings: Any) -> None:
    """Train PEFT's model the plain way: torch's AdamW on the model's own loss, one padded batch a step."""
    import math

    import torch

    from engine.lm.batches import epoch_batches, schedule
    from engine.lm.forms import seed_of

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps = math.ceil(len(lesson.train) / settings.batch_size) * settings.epochs
    done = 0
    for epoch in range(settings.epochs):
        seed = seed_of(settings.seed, lesson.name, "order", epoch)
        for chosen in epoch_batches([len(row) for row in lesson.train], settings.batch_size, seed=seed):
            optimizer.param_groups[0]["lr"] = settings.learning_rate * schedule(
                done, steps, settings.warmup_share
            )
            loss = model(**_batch([lesson.train[index] for index in chosen])).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
            optimizer.step()
            done += 1


def _own_loss(model: Any, rows: Sequence[Any]) -> float:
    """Return the model's own loss over all reply tokens of some dialogues, one by one."""
    import torch

    total = count = 0.0
    with torch.no_grad():
        for row in rows:
            wanted = sum(row.is_reply[1:])
            total += float(model(**_batch([row])).loss) * wanted
            count += wanted
    return total / count


def _batch(rows: Sequence[Any]) -> dict[str, Any]:
    """Return dialogues as transformers takes them."""
    import torch

    from engine.lm.encode import IGNORED

    width = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels, mask = torch.full_like(ids, IGNORED), torch.zeros_like(ids)
    for index, row in enumerate(rows):
        marks = torch.tensor(row.is_reply)
        ids[index, : len(row)] = torch.tensor(row.ids)
        labels[index, : len(row)] = torch.where(marks, torch.tensor(row.ids), IGNORED)
        mask[index, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _same_texts(base: Any, chats: Sequence[Any]) -> bool:
    """Say whether replies in one batch are those of transformers' generate(), each prompt alone."""
    import torch

    from engine.lm.encode import encode_prompt
    from engine.lm.ends import ends_of
    from engine.lm.generate import generate

    prompts = [encode_prompt(base.tokenizer, chat[: 2 + 2 * (n % 2)]) for n, chat in enumerate(chats[:6])]
    prompts = [prompt for prompt in prompts if len(prompt) < 400]
    ours = generate(base.model, base.tokenizer, prompts, max_new_tokens=_NEW)
    ends = ends_of(base.model, base.tokenizer)
    for prompt, reply in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        own = base.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=_NEW,
            do_sample=False,
            eos_token_id=sorted(ends.ids),
            pad_token_id=min(ends.ids),
        )[0, len(prompt) :].tolist()
        kept = own[: next((place for place, token in enumerate(own) if token in ends.ids), len(own))]
        if reply.text != ends.said(base.tokenizer, kept):
            return False
    return True


def _chats() -> list[list[dict[str, str]]]:
    """Return some dialogues of the `default` world as chats."""
    from engine.core.types import Message
    from engine.data.worlds import draw_world
    from engine.domains.smart_home import SMART_HOME
    from engine.lm.prompts import chat, system_text

    (_, sessions), *_ = draw_world("default", personas=1, dialogues=14, seed=0)
    return [
        chat(
            system_text(SMART_HOME, meta=session.meta),
            [
                message
                for turn in session.turns[:3]
                for message in (Message("user", turn.user), Message("assistant", turn.reply))
            ],
        )
        for session in sessions
    ]


def _looked_at(look: Callable[..., Found], name: str, tokenizer: Any, chats: Sequence[Any]) -> Found:
    """Look at an architecture; whatever breaks is its row, and no other's."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            return look(name, tokenizer, chats, Path(folder))
    except Exception as error:  # noqa: BLE001 - the boundary: a table of many is not lost to one
        traceback.print_exc()
        return Found(name, failed=" ".join(f"{type(error).__name__}: {error}".split())[:200])


def _row(found: Found) -> str:
    if found.failed:
        return f"| {found.architecture} | **failed: {found.failed}** | | | | |"
    if found.refused:
        return f"| {found.architecture} | refused: {found.refused} | | | | |"

    def nats(value: float | None) -> str:
        return "-" if value is None else f"{value:.1e}" + ("" if value <= _TOLERANCE else " **no**")

    changes = "its own" if found.changes_logits else "head"
    same = "same" if found.same_texts else "**no**"
    return (
        f"| {found.architecture} | {changes} | {nats(found.probe)} | {nats(found.loss)} | {same} "
        f"| {nats(found.round_trip)} |"
    )


def main(look: Callable[..., Found] = look_at) -> None:
    made = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    made.add_argument("names", nargs="*", help="Architectures; by default all.")
    made.add_argument("--json", action="store_true", help="Print one JSON object.")
    made.add_argument("--as-on-a-gpu", action="store_true", help="By a GPU's ways, interpreted here.")
    options = made.parse_args()
    if options.as_on_a_gpu:
        os.environ["TRITON_INTERPRET"] = "1"  # before anything loads Triton
    if unknown := set(options.names) - set(ZOO):
        sys.exit(f"There is no architecture {', '.join(sorted(unknown))}. There are: {', '.join(ZOO)}.")

    import torch

    from engine.lm.fused import KERNEL_DEVICES
    from engine.lm.load import load_base

    if options.as_on_a_gpu:
        KERNEL_DEVICES.add("cpu")
    torch.set_num_threads(1)
    tokenizer, chats = load_base("embedded").tokenizer, _chats()
    rows = []
    if not options.json:
        print("| architecture | logits | probe | loss beside PEFT's | text beside generate() | round trip |")
        print("|---|---|---|---|---|---|")
    for name in options.names or ZOO:
        found = _looked_at(look, name, tokenizer, chats)
        rows.append(found)
        if not options.json:
            print(_row(found), flush=True)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    failed = [row.architecture for row in rows if not row.holds]
    if failed:
        sys.exit(f"Not as they should be: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
