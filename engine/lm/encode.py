"""From chats to token ids: which tokens are the assistant's, and batches padded no longer than needed.

Owns the mapping between a chat template's text and label positions. Works for any fast tokenizer with a
chat template; the assistant's spans are found in the rendered text, so templates need no markers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from engine.core.errors import EngineError
from engine.lm.ends import closed

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Encoded:
    """One chat as T token ids and, for each, whether it is the assistant's."""

    ids: tuple[int, ...]
    is_reply: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.ids)


def encode_chat(tokenizer: PreTrainedTokenizerBase, chat: list[dict[str, str]]) -> Encoded:
    """Return the chat's ids with all assistant turns marked: one pass trains every turn of a dialogue.

    A reply includes the token that ends it. Raises EngineError when the template does not render a
    chat as a prefix of the longer chat, so that no span could be trusted.
    """
    chat = closed(tokenizer, chat)
    text = _render(tokenizer, chat)
    spans = []
    for index, message in enumerate(chat):
        if message["role"] != "assistant":
            continue
        before = _render(tokenizer, chat[:index], add_generation_prompt=True)
        after = _render(tokenizer, chat[: index + 1]).rstrip()
        if not (text.startswith(before) and text.startswith(after) and len(before) < len(after)):
            raise EngineError(
                "This model's chat template rewrites earlier turns, so replies cannot be located in it.",
                "Give it a chat template that renders a longer chat as a continuation of the shorter one.",
            )
        spans.append((len(before), len(after)))
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    is_reply = _inside(spans, [start for start, _ in tokens["offset_mapping"]])
    return Encoded(tuple(tokens["input_ids"]), is_reply)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, chat: list[dict[str, str]]) -> list[int]:
    """Return the ids of a chat that ends with the user, with the header that asks for a reply."""
    text = _render(tokenizer, closed(tokenizer, chat), add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _render(tokenizer: PreTrainedTokenizerBase, chat: list[dict[str, str]], **options: Any) -> str:
    try:
        return str(tokenizer.apply_chat_template(chat, tokenize=False, **options))
    except TemplateError as error:
        raise EngineError(
            f"This model's chat template refuses the chat: {error}",
            "Choose a base whose template takes a system message and any order of turns.",
        ) from error


def _inside(spans: Sequence[tuple[int, int]], starts: Sequence[int]) -> tuple[bool, ...]:
    marks, current = [], 0
    for start in starts:
        while current < len(spans) and start >= spans[current][1]:
            current += 1
        marks.append(current < len(spans) and start >= spans[current][0])
    return tuple(marks)


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """`ids` [B, T] right-padded; `targets` [B, T]: the next token where it is a reply's, IGNORED elsewhere.

    Right padding needs no attention mask under causal attention: a real token never sees the padding.
    """

    ids: torch.Tensor
    targets: torch.Tensor

    @property
    def tokens(self) -> int:
        return int(self.ids.numel())


def training_batch(rows: Sequence[Encoded], *, pad_id: int, multiple: int = 8) -> TrainingBatch:
    """Return `rows` padded to the longest one, rounded up to `multiple`."""
    longest = max(len(row) for row in rows)
    width = -(-longest // multiple) * multiple
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    targets = torch.full((len(rows), width), IGNORED, dtype=torch.long)
    for index, row in enumerate(rows):
        tokens = torch.tensor(row.ids)
        ids[index, : len(row)] = tokens
        marks = torch.tensor(row.is_reply[1:])
        targets[index, : len(row) - 1] = torch.where(marks, tokens[1:], IGNORED)
    return TrainingBatch(ids, targets)
