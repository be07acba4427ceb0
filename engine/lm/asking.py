"""From a variant and examples to what the model is asked: every side's prompt, adapters and memories.

The one way there, for scoring and for single replies alike. Answers nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from engine.core.paths import Workspace
from engine.core.types import Example
from engine.data.dataset import load_dataset, load_splits
from engine.domains.registry import domain_of
from engine.lm.bank import Change
from engine.lm.effects import Prompt, Recipe
from engine.lm.lengths import TooLong
from engine.lm.load import Base
from engine.lm.mixture import Strand
from engine.lm.prompts import Memory
from engine.lm.recipes import Built, Shelf, Side, build_prompt
from engine.lm.retrieve import MemoryIndex
from engine.lm.scorer import Scorer
from engine.lm.window import prompt_room

_Key = tuple[str, Prompt, str, int]
"""What a prompt depends on: the example's id, what it shows, whose memories and profile that is, and how many
positions a trained prefix takes from the window."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One example as the model is asked it: a row for each side, and the memories that they show."""

    rows: tuple[Strand, ...]
    memories: tuple[Memory, ...] = ()
    memories_cut: int = 0
    turns_cut: int = 0


def strands(
    answering: Sequence[Side], row_of: Callable[[Side], tuple[Sequence[int], Change | None]]
) -> tuple[Strand, ...]:
    """Return the rows of sides that answer together, each with the prompt and the change that it has."""
    sizes = Counter(side.group for side in answering)
    return tuple(
        Strand(
            *row_of(side),
            side.weight,
            side.coefficient,
            None if sizes[side.group] == 1 else side.group,
            side.pool,
            side.power,
        )
        for side in answering
    )


class Asker:
    """Makes asks over one base and workspace; each prompt is made once, and each memory embedded once."""

    def __init__(
        self,
        ws: Workspace,
        base: Base,
        shelf: Shelf,
        *,
        max_new_tokens: int,
        scorer: Scorer | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """`on_progress` gets (done, total) of the texts embedded to find memories; it may raise to stop."""
        self._ws, self._base, self._shelf, self._scorer = ws, base, shelf, scorer
        self._room, self._on_progress = prompt_room(base.model, max_new_tokens), on_progress
        self._domain = domain_of(ws)
        self._characters = {one.persona_id: one.character for one in load_dataset(ws).personas}
        self._prompts: dict[_Key, Built | TooLong] = {}
        self._index: MemoryIndex | None = None
        self._remembered: frozenset[str] = frozenset()

    def covers(self, recipe: Recipe, persona_id: str) -> bool:
        """Say whether the variant exists for a persona."""
        return self._shelf.covers(recipe, persona_id)

    def asks(self, recipe: Recipe, examples: Sequence[Example]) -> list[Ask]:
        """Return what the variant asks the model for each example, in order.

        Raises NotCovered where it does not exist for an example's persona, TooLong where a query does not fit
        into the window, EngineError for a remote model.
        """
        found = self._sides(recipe, examples)
        return [self._ask(example, found[example.persona_id]) for example in examples]

    def forget_prompts(self) -> None:
        """Let go of the prompts made so far: for one who is asked without end."""
        self._prompts.clear()

    def _sides(self, recipe: Recipe, examples: Sequence[Example]) -> dict[str, tuple[Side, ...]]:
        """Return who answers for each persona, their prompts made."""
        people = dict.fromkeys(example.persona_id for example in examples)
        found = {persona: self._shelf.sides(recipe, persona) for persona in people}
        for side in {side for answering in found.values() for side in answering}:
            side.refuse_remote()
        self._build((example, side) for example in examples for side in found[example.persona_id])
        return found

    def fitting(self, recipe: Recipe, examples: Sequence[Example]) -> list[Example]:
        """Return the examples whose query fits into the window, in order; the variant must exist for all."""
        found = self._sides(recipe, examples)
        return [
            example
            for example in examples
            if not any(
                isinstance(self._prompts[self._key(example, side)], TooLong)
                for side in found[example.persona_id]
            )
        ]

    def _ask(self, example: Example, answering: Sequence[Side]) -> Ask:
        prompts = [self._built(example, side) for side in answering]
        of_side = dict(zip(answering, prompts, strict=True))
        rows = strands(answering, lambda side: (of_side[side].ids, self._shelf.change(side.effects)))
        shown = {memory.example_id: memory for prompt in prompts for memory in prompt.memories}
        return Ask(
            rows,
            tuple(shown.values()),
            max(prompt.memories_cut for prompt in prompts),
            max(prompt.turns_cut for prompt in prompts),
        )

    def _built(self, example: Example, side: Side) -> Built:
        found = self._prompts[self._key(example, side)]
        if isinstance(found, TooLong):
            raise found
        return found

    def _build(self, wanted: Iterable[tuple[Example, Side]]) -> None:
        """Make the prompts that are not there yet."""
        new = {self._key(example, side): (example, side) for example, side in wanted}
        new = {key: pair for key, pair in new.items() if key not in self._prompts}
        memories = self._memories(list(new.values()))
        for (key, (example, side)), shown in zip(new.items(), memories, strict=True):
            try:
                self._prompts[key] = build_prompt(
                    self._base,
                    self._domain,
                    example.context,
                    meta=example.meta,
                    character=self._characters.get(side.persona_id) if side.prompt.profile else None,
                    memories=shown,
                    room=self._room - self._prefix(side),
                )
            except TooLong as error:
                self._prompts[key] = error  # it is one example's, and silences no other

    def _memories(self, asked: Sequence[tuple[Example, Side]]) -> list[list[Memory]]:
        found: list[list[Memory]] = [[] for _ in asked]
        kinds: dict[Prompt, list[int]] = {}
        for place, (_, side) in enumerate(asked):
            if side.prompt.memories:
                kinds.setdefault(replace(side.prompt, profile=False), []).append(place)
        remembering = frozenset(asked[place][1].persona_id for places in kinds.values() for place in places)
        for told, places in kinds.items():
            nearest = self._history(remembering).nearest(
                [asked[place][0] for place in places],
                told.memories,
                retriever=told.retriever,
                recency=told.recency,
                history=told.history,
                whose=[asked[place][1].persona_id for place in places],
            )
            for place, memories in zip(places, nearest, strict=True):
                found[place] = memories
        return found

    def _history(self, personas: frozenset[str]) -> MemoryIndex:
        """Return an index that holds these personas' training interactions."""
        if self._index is None or not personas <= self._remembered:
            self._scorer = self._scorer or Scorer(self._ws)
            self._remembered |= personas
            self._index = MemoryIndex(
                self._scorer,
                load_dataset(self._ws),
                load_splits(self._ws),
                personas=set(self._remembered),
                on_progress=self._on_progress,
            )
        return self._index

    def _key(self, example: Example, side: Side) -> _Key:
        # Only memories and profile depend on whose they are; all personas share the prompt without them.
        whose = side.persona_id if side.prompt != Prompt() else ""
        return example.example_id, side.prompt, whose, self._prefix(side)

    def _prefix(self, side: Side) -> int:
        """Return how many positions a trained prefix of a side takes."""
        change = self._shelf.change(side.effects)
        return 0 if change is None or change.prefix is None else len(change.prefix)
