"""Greedy generation in batches: prompts of like length together, replies in the order of the prompts.

Owns the batch plan (it is part of the protocol, since bf16 text changes with batch shapes). Samples nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH_PLAN = "length-sorted/32"
BATCH_ROWS = 32


@dataclass(frozen=True, slots=True)
class Reply:
    """One generated reply. `seconds` is the row's share of its batch's time."""

    text: str
    prompt_tokens: int
    reply_tokens: int
    seconds: float


def batches(lengths: Sequence[int], rows: int = BATCH_ROWS) -> Iterator[list[int]]:
    """Yield lists of at most `rows` indices, longest prompts first: little padding, memory peaks early."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    for start in range(0, len(order), rows):
        yield order[start : start + rows]


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int = 64,
    rows: int = BATCH_ROWS,
    on_batch: Callable[[list[int], list[Reply]], None] | None = None,
    skip: frozenset[int] = frozenset(),
) -> list[Reply]:
    """Return a greedy reply for each prompt (token ids), in order; those in `skip` are left out.

    `on_batch` is called after every batch with the rows' indices and replies: for progress, checkpoints and
    to stop by raising. A batch is left out only as a whole, so that skipping never changes the other texts.
    """
    replies: list[Reply | None] = [None] * len(prompts)
    for indices in batches([len(prompt) for prompt in prompts], rows):
        if skip.issuperset(indices):
            continue
        done = _generate_batch(model, tokenizer, [prompts[index] for index in indices], max_new_tokens)
        for index, reply in zip(indices, done, strict=True):
            replies[index] = reply
        if on_batch is not None:
            on_batch(indices, done)
    return [reply for reply in replies if reply is not None]


def _generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[Sequence[int]],
    max_new_tokens: int,
) -> list[Reply]:
    started = time.perf_counter()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    seen = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        seen[row, width - len(prompt) :] = 1
    generator: Any = model
    out = generator.generate(
        input_ids=ids.to(model.device),
        attention_mask=seen.to(model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        repetition_penalty=1.0,
        pad_token_id=pad,
        eos_token_id=tokenizer.eos_token_id,
        use_cache=True,
    )[:, width:].tolist()
    share = (time.perf_counter() - started) / len(prompts)
    return [_reply(tokenizer, prompt, new, share) for prompt, new in zip(prompts, out, strict=True)]


def _reply(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int], new: list[int], seconds: float
) -> Reply:
    ended = new.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in new else len(new)
    text = str(tokenizer.decode(new[:ended], skip_special_tokens=True)).strip()
    return Reply(text, len(prompt), ended, seconds)
