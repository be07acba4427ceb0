"""What a remote model is told: the same words as every variant's prompt, as chat messages.

Finds memories as retrieval does, in the persona's own training interactions; all that are asked for are
shown, since no window is known. Loads the encoder only when there are memories to find.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.core.paths import Workspace
from engine.core.types import Example
from engine.data.dataset import load_dataset, load_splits
from engine.domains.domain import Domain
from engine.domains.registry import domain_of
from engine.lm.effects import Prompt
from engine.lm.prompts import Memory, chat, system_text

if TYPE_CHECKING:
    from engine.lm.scorer import Scorer


@dataclass(frozen=True, slots=True)
class Told:
    """One example as chat messages, and the memories among them."""

    messages: list[dict[str, str]]
    memories: tuple[Memory, ...] = ()

    @property
    def characters(self) -> int:
        return sum(len(message["content"]) for message in self.messages)


def told(
    ws: Workspace,
    examples: Sequence[Example],
    *,
    shown: Prompt,
    whose: str | None = None,
    scorer: "Scorer | None" = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Told]:
    """Return what a remote model is told for each example, in order: `shown` stands before every query.

    `whose` names the persona whose profile and memories are shown, by default each example's own.
    `on_progress` gets (done, total) of the texts embedded; it may raise to stop.
    """
    characters = characters_of(ws) if shown.profile else {}
    owners = [whose or example.persona_id for example in examples]
    memories: Sequence[Sequence[Memory]] = [()] * len(examples)
    if shown.memories and examples:
        from engine.lm.retrieve import MemoryIndex
        from engine.lm.scorer import Scorer

        index = MemoryIndex(
            scorer or Scorer(ws),
            load_dataset(ws),
            load_splits(ws),
            personas=set(owners),
            on_progress=on_progress,
        )
        memories = index.nearest(
            examples,
            shown.memories,
            retriever=shown.retriever,
            recency=shown.recency,
            history=shown.history,
            whose=owners,
        )
    domain = domain_of(ws)
    return [
        tell(domain, example, characters.get(owner), remembered)
        for example, owner, remembered in zip(examples, owners, memories, strict=True)
    ]


def tell(domain: Domain, example: Example, character: str | None, memories: Sequence[Memory] = ()) -> Told:
    """Return the messages for one example."""
    system = system_text(domain, meta=example.meta, character=character, memories=memories)
    return Told(chat(system, example.context), tuple(memories))


def characters_of(ws: Workspace) -> Mapping[str, str | None]:
    """Return persona -> character text."""
    return {persona.persona_id: persona.character for persona in load_dataset(ws).personas}
