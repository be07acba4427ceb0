"""What a model is told: the one prompt skeleton that all variants of a protocol share.

Owns the order of the system message and its version; what it says of the subject is the domain's. Knows chat
messages only, no tokenizer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.types import Message
from engine.domains.domain import Domain

PROMPT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Memory:
    """One earlier interaction of a persona: what she asked and what was answered."""

    request: str
    reply: str
    example_id: str = ""
    similarity: float | None = None


def system_text(
    domain: Domain,
    *,
    meta: Mapping[str, Any] | None = None,
    character: str | None = None,
    memories: Sequence[Memory] = (),
) -> str:
    """Return the system message: instruction, context, profile and earlier interactions, as far as given.

    Of the metadata only what the domain shows is told.

    Memories are listed in the given order; callers put the most similar one last, next to the request.
    """
    lines = [domain.instruction]
    if context := ", ".join(domain.context(meta or {})):
        lines.append(f"Now: {context}.")
    if character:
        lines.append(f"About the user: {character}")
    if memories:
        lines.append("Earlier:")
        for memory in memories:
            lines += [f"User: {memory.request}", f"You: {memory.reply}"]
    return "\n".join(lines)


def chat(system: str, messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return the messages in the form chat templates take: one system message, the data's own after ours."""
    told = "\n".join([system, *(message.text for message in messages if message.role == "system")])
    turns = ({"role": m.role, "content": m.text} for m in messages if m.role != "system")
    return [{"role": "system", "content": told}, *turns]
