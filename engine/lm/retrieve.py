"""Memories: a persona's own earlier interactions nearest to a request, never val, test or another's.

They are her training interactions, and of who is kept out of training those that come before what is judged.

A retriever says what is near: "similarity" of the sentence encoder, "bm25" of the words, or "random", the
same choice each time that a request is asked.

Where a training interaction is itself asked for, only what came before its dialogue may be remembered.

Owns the index and the prompt budget: when memories do not fit, the least similar go first and the request
itself is never cut.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.core.types import Dataset, Example, Message, Splits
from engine.data.dataset import remembered
from engine.lm.bm25 import Bm25
from engine.lm.effects import SIMILARITY, Retriever
from engine.lm.prompts import Memory
from engine.lm.scorer import Embeddings, Scorer


@dataclass(frozen=True, slots=True)
class _History:
    """One persona's earlier interactions, the order of their dialogues, and the embeddings [n, 384] of their
    requests."""

    memories: tuple[Memory, ...]
    orders: tuple[int, ...]
    requests: Embeddings

    def begins(self, dialogues: int | None) -> int:
        """Return the place of the first interaction of the so many most recent dialogues, or of all."""
        owners = [memory.example_id.rpartition("#")[0] for memory in self.memories]
        left = list(dict.fromkeys(owners))[-dialogues:] if dialogues else []
        return 0 if dialogues is None else owners.index(left[0]) if left else len(owners)


@dataclass(frozen=True, slots=True)
class _Wish:
    """How many memories are wanted, what makes one better than another, and before which dialogue's order."""

    k: int
    retriever: Retriever
    recency: float
    history: int | None
    before: int | None


class MemoryIndex:
    """The earlier interactions of every persona, searchable by what was requested."""

    def __init__(
        self,
        scorer: Scorer,
        dataset: Dataset,
        splits: Splits,
        *,
        personas: set[str] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._scorer = scorer
        found = [
            example
            for example in remembered(dataset, splits)
            if personas is None or example.persona_id in personas
        ]
        vectors = scorer.embed([request_of(example) for example in found], on_progress=on_progress)
        rows: dict[str, list[int]] = {}
        for row, example in enumerate(found):
            rows.setdefault(example.persona_id, []).append(row)
        self._order_of = {one.dialogue_id: one.order for one in dataset.dialogues}
        self._histories = {
            persona: _History(
                tuple(_memory(found[row]) for row in chosen),
                tuple(self._order_of[found[row].dialogue_id] for row in chosen),
                vectors[chosen],
            )
            for persona, chosen in rows.items()
        }
        self._words: dict[str, Bm25] = {}

    def nearest(
        self,
        asked: Sequence[Example],
        k: int,
        *,
        retriever: Retriever = SIMILARITY,
        recency: float = 0.0,
        history: int | None = None,
        whose: Sequence[str] | None = None,
        earlier: bool = False,
    ) -> list[list[Memory]]:
        """Return up to `k` memories for each example, the best last; ties go to the earlier one.

        The best are the nearest by `retriever`, or with `recency` r > 0 those with the most of
        (1 - r) * nearness + r * age, age being 0 for the oldest and 1 for the newest of a history. BM25
        counts as a share of its highest.
        `history` leaves only the so many most recent dialogues to choose from. `whose` names for each
        example the persona who remembers, by default its own. `earlier` leaves only what came before the
        example's own dialogue, for examples that are themselves remembered.
        """
        vectors = self._scorer.embed([request_of(example) for example in asked])
        owners = whose if whose is not None else [example.persona_id for example in asked]
        return [
            self._nearest(
                owner,
                request_of(example),
                vector,
                _Wish(
                    k, retriever, recency, history, self._order_of[example.dialogue_id] if earlier else None
                ),
            )
            for owner, example, vector in zip(owners, asked, vectors, strict=True)
        ]

    def _nearest(self, persona_id: str, request: str, vector: Embeddings, wish: _Wish) -> list[Memory]:
        history = self._histories.get(persona_id)
        if history is None or wish.k == 0:
            return []
        first, end = history.begins(wish.history), len(history.memories)
        if wish.before is not None:
            end = bisect_left(history.orders, wish.before)
        if first >= end:
            return []
        likeness = history.requests[first:end] @ vector
        wanted = likeness
        if wish.retriever == "bm25":
            wanted = self._by_words(persona_id).scores(request, first, end)
            wanted = wanted / (wanted.max() or 1.0)
        elif wish.retriever == "random":
            wanted = np.array([_chance(request, one) for one in history.memories[first:end]])
        if wish.recency:
            wanted = (1 - wish.recency) * wanted + wish.recency * np.linspace(0.0, 1.0, len(likeness))
        best = np.argsort(-wanted, kind="stable")[: wish.k][::-1]
        return [
            replace(history.memories[first + row], similarity=round(float(likeness[row]), 4)) for row in best
        ]

    def _by_words(self, persona_id: str) -> Bm25:
        if persona_id not in self._words:
            self._words[persona_id] = Bm25([one.request for one in self._histories[persona_id].memories])
        return self._words[persona_id]


def request_of(example: Example) -> str:
    """Return what the user said last before the reply."""
    return last_request(example.context)


def last_request(messages: Sequence[Message]) -> str:
    """Return the last thing the user said in a conversation, "" when she said nothing."""
    return next((message.text for message in reversed(messages) if message.role == "user"), "")


def fit(
    memories: Sequence[Memory], prompt_tokens: Callable[[Sequence[Memory]], int], budget_tokens: int
) -> list[Memory]:
    """Return the memories without the least similar (first) ones that the token budget has no room for."""
    kept = list(memories)
    while kept and prompt_tokens(kept) > budget_tokens:
        kept.pop(0)
    return kept


def _chance(request: str, memory: Memory) -> float:
    """A number in 0..1 that is the same for the same request and memory."""
    digest = hashlib.sha256(f"{memory.example_id}\n{request}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _memory(example: Example) -> Memory:
    return Memory(request_of(example), example.reference, example.example_id)
