"""From chats to token ids: which tokens are the assistant's, and batches padded no longer than needed.

Owns the mapping between a chat template's text and label positions. Works for any fast tokenizer with a
chat template; the assistant's spans are found in the rendered text, so templates need no markers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from engine.core.errors import EngineError
from engine.lm.ends import closed
from engine.lm.turns import Chat, fitted, render, traits, without_last_end

IGNORED = -100
_MARK = "qmarkz"
_TOLD_BY = 8
"""Letters by which the end of a prompt is known again where a reply follows it."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One chat as T token ids and, for each, whether it is the assistant's.

    `whose` is the place of what a network that all share knows of its persona (engine/lm/persona_network.py).
    """

    ids: tuple[int, ...]
    is_reply: tuple[bool, ...]
    whose: int = 0

    def __len__(self) -> int:
        return len(self.ids)


def encode_chat(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> Encoded:
    """Return the chat's ids with all assistant turns marked: one pass trains every turn of a dialogue.

    A reply includes the token that ends it. Raises EngineError when the template does not render a
    chat as a prefix of the longer chat, so that no span could be trusted.
    """
    chat = closed(tokenizer, fitted(tokenizer, chat))
    text = render(tokenizer, chat)
    spans = []
    for index, message in enumerate(chat):
        if message["role"] != "assistant":
            continue
        before = render(tokenizer, chat[:index], add_generation_prompt=True)
        after = without_last_end(tokenizer, render(tokenizer, chat[: index + 1]), text)
        if not (text.startswith(before) and text.startswith(after) and len(before) < len(after)):
            raise EngineError(
                "This model's chat template rewrites earlier turns, so replies cannot be located in it.",
                "Train on each reply by itself, or give it a template that continues the shorter chat.",
            )
        spans.append((len(before), len(after)))
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    is_reply = _inside(spans, [start for start, _ in tokens["offset_mapping"]])
    return Encoded(tuple(tokens["input_ids"]), is_reply)


def encode_dialogue(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> list[Encoded]:
    """Return what a dialogue is trained on: one row with all replies marked, which one pass serves.

    Where the template rewrites earlier turns (a block of thinking that only the newest reply has) each reply
    is a row of its own behind the very prompt that asks for it.
    """
    if traits(tokenizer).extends:
        return [encode_chat(tokenizer, chat)]
    chat = closed(tokenizer, fitted(tokenizer, chat))
    return [
        _only_last(tokenizer, chat[: index + 1])
        for index, one in enumerate(chat)
        if one["role"] == "assistant" and index
    ]


def encode_reply(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> Encoded:
    """Return a chat that ends with the assistant as what `encode_prompt` gives for the turns before, and the
    last reply, which alone is marked."""
    return _only_last(tokenizer, closed(tokenizer, fitted(tokenizer, chat)))


def _only_last(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> Encoded:
    """Return a chat as its prompt and its last reply, which alone is marked.

    The reply is what the template adds to the prompt; where it changes the prompt as well, the reply's own
    text and what stands after it.
    """
    prompt = render(tokenizer, chat[:-1], add_generation_prompt=True)
    whole = render(tokenizer, chat).rstrip()
    if not whole.startswith(prompt):
        marked = render(tokenizer, [*chat[:-1], {"role": "assistant", "content": _MARK}]).rstrip()
        before, _, after = marked.rpartition(_MARK)
        written = before.rstrip()
        space = before[len(written) :] if prompt.endswith(written[-_TOLD_BY:]) else ""
        whole = prompt + space + chat[-1]["content"].strip() + after
    tokens = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    starts = [start for start, _ in tokens["offset_mapping"]]
    return Encoded(tuple(tokens["input_ids"]), _inside([(len(prompt), len(whole))], starts))


def encode_prompt(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> list[int]:
    """Return the ids of a chat that ends with the user, with the header that asks for a reply."""
    text = render(tokenizer, closed(tokenizer, fitted(tokenizer, chat)), add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


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
