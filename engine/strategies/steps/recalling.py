"""What a dialogue is trained on where memories stand in the prompt: a row a reply, as it will be asked for.

Before each reply stand the memories that the run's retriever finds for its request. For a train dialogue they
are of what came before it alone, never of itself, nor of anything later; for a val one they are what it is
scored with. Owns the rows; chooses no dialogues and trains nothing.
"""

from collections.abc import Mapping, Sequence

from engine.core.types import Dialogue, Message
from engine.data.dataset import examples_of, load_dataset, load_splits
from engine.domains.domain import Domain
from engine.lm.effects import Prompt
from engine.lm.encode import Encoded, encode_prompt, encode_reply
from engine.lm.lengths import TooLong
from engine.lm.load import Base
from engine.lm.prompts import Memory, chat, system_text
from engine.lm.recipes import build_prompt
from engine.lm.retrieve import MemoryIndex
from engine.lm.scorer import Scorer
from engine.lm.window import prompt_room, window_of
from engine.runs.context import RunContext
from engine.strategies.retrieval import remembering
from engine.strategies.steps.scoring import embedding_progress

Recalled = Mapping[str, Sequence[Memory]]
"""Example -> the memories that stand before it, the best last."""


def shown(context: RunContext) -> Prompt:
    """Return what stands before every query of the run's variant, at training as when it answers."""
    asked = context.spec.parameters
    if not asked.get("memories"):
        return Prompt()
    return remembering(asked["retriever"], asked["memories"], history=asked["history"])


def recalled(context: RunContext, told: Prompt, wanted: Sequence[tuple[Dialogue, str]]) -> Recalled:
    """Return the memories for every reply of these dialogues, each with its split."""
    scorer = Scorer(context.workspace)
    scorer.keep_in(context.workspace)
    index = MemoryIndex(
        scorer,
        load_dataset(context.workspace),
        load_splits(context.workspace),
        personas={dialogue.persona_id for dialogue, _ in wanted},
        on_progress=embedding_progress(context, "load", unit="memories"),
    )
    found: dict[str, Sequence[Memory]] = {}
    for is_train in (True, False):
        asked = [
            one
            for dialogue, split in wanted
            if (split == "train") is is_train
            for one in examples_of(dialogue)
        ]
        memories = index.nearest(
            asked,
            told.memories,
            retriever=told.retriever,
            recency=told.recency,
            history=told.history,
            earlier=is_train,
        )
        found |= {one.example_id: some for one, some in zip(asked, memories, strict=True)}
    return found


def rows_of(
    base: Base, domain: Domain, dialogue: Dialogue, memories: Recalled, *, max_new_tokens: int
) -> tuple[list[Encoded], bool]:
    """Return a row for each reply that fits, its prompt cut as when it is asked for; and whether any was."""
    rows, was_cut = [], False
    for example in examples_of(dialogue):
        said = [*example.context, Message("assistant", example.reference)]
        try:
            prompt = build_prompt(
                base,
                domain,
                example.context,
                meta=example.meta,
                character=None,
                memories=memories[example.example_id],
                room=min(prompt_room(base.model, max_new_tokens), window_of(base.model) - _taken(base, said)),
            )
        except TooLong:
            was_cut = True
            continue
        was_cut = was_cut or prompt.turns_cut > 0
        system = system_text(domain, meta=example.meta, memories=prompt.memories)
        rows.append(encode_reply(base.tokenizer, chat(system, said[prompt.turns_cut :])))
    return rows, was_cut


def _taken(base: Base, said: Sequence[Message]) -> int:
    """Return how many tokens the last of these messages takes."""
    before = len(encode_prompt(base.tokenizer, chat("", said[:-1])))
    return len(encode_reply(base.tokenizer, chat("", said))) - before
