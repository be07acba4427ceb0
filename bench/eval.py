"""Answering examples with one adapter a persona: this engine beside PEFT's `generate`, greedy.

    .venv/bin/python -m engine bench eval                    the embedded base, 200 adapters x 10 examples
    .venv/bin/python -m engine bench eval --base smollm2     a real model, after make setup-smollm2
    .venv/bin/python -m engine bench eval --base 0.5b        a random Qwen2.5-0.5B shape, a sample of adapters

Ways: ours (rows of many adapters in shared batches, or one adapter written into the weights); (a) PEFT, an
adapter loaded at a time, `generate` with batch 1; (b) the best PEFT can do: batches of 32 sorted by length
with `adapter_names`, or every adapter with a batch of its own prompts.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.ground import Clock, Measured, busy_share, load, parser, peak_gb, run_ways, show

NEW = 32
LAYERS = ("q_proj", "v_proj")
_ON_GPU = 4
"""Repetitions of ours on a GPU: the first captures its steps, the last is watched and not counted."""


def adapters(base: Any, count: int, root: Path) -> list[Path]:
    """Write `count` adapters with small random weights in PEFT's format."""
    import torch

    from engine.lm.adapters import fresh, save_lora, targets
    from engine.lm.shape import LoraShape

    form, modules = LoraShape(target_modules=LAYERS), targets(base.model, LAYERS)
    folders = []
    for number in range(count):
        lora = fresh(modules, form, seed=number)
        random = torch.Generator().manual_seed(number)
        for _, b in lora.factors.values():
            b.normal_(std=0.002, generator=random)
        save_lora(lora, form, root / f"adapter{number}")
        folders.append(root / f"adapter{number}")
    return folders


def prompts_of(base: Any, personas: int, each: int) -> list[tuple[int, list[int]]]:
    """Return (persona, prompt ids): test-like turns of the `default` world, `each` of a persona."""
    from engine.core.types import Message
    from engine.data.worlds import draw_world
    from engine.domains.smart_home import SMART_HOME
    from engine.lm.encode import encode_prompt
    from engine.lm.prompts import chat, system_text

    found = []
    for number, (_, sessions) in enumerate(
        draw_world("default", personas=personas, dialogues=-(-each // 2), seed=1)
    ):
        mine = []
        for session in sessions:
            for place in (0, len(session.turns) - 1):
                said = [
                    message
                    for turn in session.turns[:place]
                    for message in (Message("user", turn.user), Message("assistant", turn.reply))
                ]
                messages = [*said, Message("user", session.turns[place].user)]
                mine.append(
                    encode_prompt(base.tokenizer, chat(system_text(SMART_HOME, meta=session.meta), messages))
                )
        found += [(number, prompt) for prompt in mine[:each]]
    return found


def ours(options: Any, dtype: str, personas: int) -> Measured:
    """Answer all examples of all adapters in the batches the engine plans."""
    from engine.lm.adapters import load_lora
    from engine.lm.bank import change_of
    from engine.lm.generate import generate
    from engine.lm.kernels import STATIC, measure
    from engine.lm.plan import plan_for

    base, clock = load(options.base, dtype), Clock()
    asked = prompts_of(base, personas, options.examples)
    replies: list[Any] = []
    plan, busy = plan_for(base.model), ""
    kernels = STATIC if plan.static else measure(base).rule()  # measured now, kept nowhere
    on_gpu = base.device == "cuda"
    with tempfile.TemporaryDirectory() as root:
        folders = adapters(base, personas, Path(root))
        for repeat in range(max(options.repeats, _ON_GPU) if on_gpu else options.repeats):
            last = on_gpu and repeat == _ON_GPU - 1
            with busy_share() if last else clock.timed() as share:
                changes = [change_of([(load_lora(folder), 1.0)]) for folder in folders]
                replies = generate(
                    base.model,
                    base.tokenizer,
                    [prompt for _, prompt in asked],
                    changes=[changes[number] for number, _ in asked],
                    max_new_tokens=NEW,
                    kernels=kernels,
                )
            if last and share:
                busy = f"; GPU busy {share[0]:.0%}"
    texts = [reply.text for reply in replies][: options.sample * options.examples]
    way = f"ours, {dtype}, {personas} adapters x {options.examples}"
    note = f"{kernels.policy}; {plan.name}{busy}"
    return Measured(way, clock.seconds, len(asked), peak_gb(), texts, note)


def peft_model(base: Any, folders: list[Path]) -> Any:
    from peft import PeftModel

    model = PeftModel.from_pretrained(base.model, str(folders[0]), adapter_name="adapter0")
    for number, folder in enumerate(folders[1:], start=1):
        model.load_adapter(str(folder), adapter_name=f"adapter{number}")
    return model.eval()


def _ask(model: Any, base: Any, prompts: list[list[int]], **more: Any) -> list[str]:
    import torch

    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    seen = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        seen[row, width - len(prompt) :] = 1
    ids, seen = ids.to(base.model.device), seen.to(base.model.device)
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids, attention_mask=seen, max_new_tokens=NEW, do_sample=False, pad_token_id=0,
            eos_token_id=base.tokenizer.eos_token_id, **more,
        )[:, width:]  # fmt: skip
    return [str(base.tokenizer.decode(row, skip_special_tokens=True)).strip() for row in out]


def one_by_one(options: Any, dtype: str) -> Measured:
    """PEFT the ordinary way: load an adapter, ask its prompts one at a time, unload it."""
    from peft import PeftModel

    base, clock = load(options.base, dtype), Clock()
    asked = prompts_of(base, options.sample, options.examples)
    texts: list[str] = []
    with tempfile.TemporaryDirectory() as root:
        folders = adapters(base, options.sample, Path(root))
        model: Any = base.model
        for _ in range(options.repeats):
            texts = []
            with clock.timed():
                for number, folder in enumerate(folders):
                    wrapped = PeftModel.from_pretrained(model, str(folder)).eval()
                    for persona, prompt in asked:
                        if persona == number:
                            texts += _ask(wrapped, base, [prompt])
                    model = wrapped.unload()
    return Measured(f"(a) PEFT generate, batch 1, {dtype}", clock.seconds, len(asked), peak_gb(), texts)


def batched(options: Any, dtype: str, *, mixed: bool) -> Measured:
    """PEFT at its best: batches of 32 sorted by length with `adapter_names`, or one adapter's prompts."""
    base, clock = load(options.base, dtype), Clock()
    asked = prompts_of(base, options.sample, options.examples)
    texts: list[str] = [""] * len(asked)
    with tempfile.TemporaryDirectory() as root:
        model = peft_model(base, adapters(base, options.sample, Path(root)))
        groups = (
            [sorted(range(len(asked)), key=lambda index: -len(asked[index][1]))]
            if mixed
            else [[i for i, (persona, _) in enumerate(asked) if persona == n] for n in range(options.sample)]
        )
        for _ in range(options.repeats):
            with clock.timed():
                for group in groups:
                    if not mixed:
                        model.set_adapter(f"adapter{asked[group[0]][0]}")
                    for start in range(0, len(group), 32):
                        part = group[start : start + 32]
                        names = {"adapter_names": [f"adapter{asked[i][0]}" for i in part]} if mixed else {}
                        for index, text in zip(
                            part, _ask(model, base, [asked[i][1] for i in part], **names), strict=True
                        ):
                            texts[index] = text
    way = f"(b) PEFT, {'adapter_names, batch 32' if mixed else 'a batch an adapter'}, {dtype}"
    return Measured(way, clock.seconds, len(asked), peak_gb(), texts)


WAYS = {
    "ours": lambda options: ours(options, options.dtype, options.personas),
    "a-fp32": lambda options: one_by_one(options, "fp32"),
    "a-bf16": lambda options: one_by_one(options, "bf16"),
    "b-mixed-fp32": lambda options: batched(options, "fp32", mixed=True),
    "b-mixed-bf16": lambda options: batched(options, "bf16", mixed=True),
    "b-own-fp32": lambda options: batched(options, "fp32", mixed=False),
    "b-own-bf16": lambda options: batched(options, "bf16", mixed=False),
}


def main() -> None:
    """Measure every way and print the ratios."""
    made = parser(__doc__ or "")
    made.add_argument("--personas", type=int, default=None, help="Adapters this engine serves.")
    made.add_argument("--sample", type=int, default=None, help="Adapters for PEFT's ways.")
    made.add_argument("--examples", type=int, default=10, help="Prompts of each adapter.")
    made.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32", help="Of this engine's base.")
    options = made.parse_args()
    small = options.base == "embedded"
    options.personas = options.personas or (200 if small else 2)
    options.sample = options.sample or (10 if small else 2)
    if not small:
        options.repeats = 1
    found = run_ways(__file__, WAYS, options, ("base", "repeats", "personas", "sample", "examples", "dtype"))
    if found is None:
        return
    checks = []
    for other in found[1:]:
        pairs = list(zip(found[0].results, other.results, strict=False))
        same = sum(a == b for a, b in pairs)
        checks.append(f"texts as in {other.way}: {same} of {len(pairs)}")
    show(
        f"Greedy replies of up to {NEW} tokens, {options.base}",
        found,
        unit="reply",
        checks=checks,
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
