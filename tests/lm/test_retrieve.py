"""Memories: own training interactions only, the most similar last, cut to the budget from the front."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.types import Dataset, Dialogue, Message, Persona, Splits
from engine.data.dataset import examples
from engine.lm.effects import Retriever
from engine.lm.prompts import Memory
from engine.lm.retrieve import MemoryIndex, fit, last_request, request_of
from engine.lm.scorer import Scorer

REQUESTS = (
    "Dim the lights.",
    "Make the lights a bit darker.",
    "It's cold in here.",
    "Turn on the heating.",
    "Play some jazz.",
    "Put on music.",
    "Lock the house.",
    "Show me a film.",
)
SPLITS = ("train", "val", "test")

# For each persona a list of dialogues: (split, requests in it).
dialogue_plans = st.tuples(
    st.sampled_from(SPLITS), st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=3)
)
populations = st.lists(st.lists(dialogue_plans, max_size=5), min_size=1, max_size=4)


def build(plans: list[list[tuple[str, list[str]]]]) -> tuple[Dataset, Splits]:
    dialogues, assignment = [], {}
    for number, of_persona in enumerate(plans):
        for order, (split, requests) in enumerate(of_persona):
            name = f"p{number}/{order:04d}"
            messages = [
                Message(role, text)
                for turn, request in enumerate(requests)
                for role, text in (("user", request), ("assistant", f"Reply {turn} of {name}."))
            ]
            dialogues.append(Dialogue(f"p{number}", name, order, tuple(messages)))
            assignment[name] = split
    people = tuple(Persona(f"p{number}") for number in range(len(plans)))
    return Dataset(people, tuple(dialogues)), Splits("by-time", assignment)  # type: ignore[arg-type]


@settings(max_examples=80, deadline=None)
@given(plans=populations, k=st.integers(0, 6))
def test_only_own_training_interactions_come_back_nearest_last(
    scorer: Scorer, plans: list[list[tuple[str, list[str]]]], k: int
) -> None:
    dataset, splits = build(plans)
    index = MemoryIndex(scorer, dataset, splits)
    train = {example.example_id: example for example in examples(dataset, splits, "train")}
    asked = [*examples(dataset, splits, "val"), *examples(dataset, splits, "test")]
    for example, memories in zip(asked, index.nearest(asked, k), strict=True):
        own = [one for one in train.values() if one.persona_id == example.persona_id]
        assert len(memories) == min(k, len(own))
        assert len({memory.example_id for memory in memories}) == len(memories)
        for memory in memories:
            source = train[memory.example_id]
            assert source.persona_id == example.persona_id
            assert (memory.request, memory.reply) == (request_of(source), source.reference)
        shown = [memory.similarity or 0.0 for memory in memories]
        assert shown == sorted(shown)
        every = scorer.similarity([request_of(one) for one in own], [request_of(example)] * len(own))
        assert shown == pytest.approx(sorted(every.tolist())[len(own) - len(memories) :], abs=1e-4)


def test_recency_shifts_the_choice_from_the_likest_to_the_newest(scorer: Scorer) -> None:
    dataset, splits = build([[*(("train", [text]) for text in REQUESTS), ("test", [REQUESTS[0]])]])
    index = MemoryIndex(scorer, dataset, splits)
    asked = examples(dataset, splits, "test")

    def chosen(recency: float) -> list[str]:
        return [memory.request for memory in index.nearest(asked, 3, recency=recency)[0]]

    likeness = scorer.similarity(list(REQUESTS), [REQUESTS[0]] * len(REQUESTS))
    last = len(REQUESTS) - 1
    for recency in (0.0, 0.3, 0.7, 1.0):
        wanted = [(1 - recency) * float(like) + recency * age / last for age, like in enumerate(likeness)]
        best = sorted(range(len(REQUESTS)), key=lambda place: wanted[place])[-3:]
        assert chosen(recency) == [REQUESTS[place] for place in best]
    assert chosen(0.0)[-1] == REQUESTS[0]
    assert chosen(1.0) == list(REQUESTS[-3:])
    (memory, *_) = index.nearest(asked, 8, recency=1.0)[0]
    assert memory.similarity == pytest.approx(1.0, abs=1e-4)  # what is kept is the likeness, not the mix


@settings(max_examples=40, deadline=None)
@given(plans=populations, history=st.integers(0, 4))
def test_of_little_history_only_the_newest_dialogues_are_remembered(
    scorer: Scorer, plans: list[list[tuple[str, list[str]]]], history: int
) -> None:
    """What comes back is what an index over these dialogues alone gives."""
    dataset, splits = build(plans)
    kept: dict[str, list[str]] = {}
    for dialogue in dataset.dialogues:
        if splits.assignment[dialogue.dialogue_id] == "train":
            kept.setdefault(dialogue.persona_id, []).append(dialogue.dialogue_id)
    newest = {one for ids in kept.values() for one in (ids[-history:] if history else [])}
    left = {name: split for name, split in splits.assignment.items() if split != "train" or name in newest}
    asked = examples(dataset, splits, "test")
    found = MemoryIndex(scorer, dataset, splits).nearest(asked, 3, history=history)
    assert found == MemoryIndex(scorer, dataset, Splits(splits.scheme, left)).nearest(asked, 3)


@settings(max_examples=40, deadline=None)
@given(plans=populations, recency=st.sampled_from([0.0, 0.5, 1.0]))
def test_somebody_elses_memories_are_her_training_interactions_only(
    scorer: Scorer, plans: list[list[tuple[str, list[str]]]], recency: float
) -> None:
    dataset, splits = build(plans)
    index = MemoryIndex(scorer, dataset, splits)
    train = {example.example_id: example.persona_id for example in examples(dataset, splits, "train")}
    asked = examples(dataset, splits, "test")
    whose = [f"p{(int(example.persona_id[1:]) + 1) % len(plans)}" for example in asked]
    found = index.nearest(asked, 4, recency=recency, whose=whose)
    for owner, memories in zip(whose, found, strict=True):
        assert {train[memory.example_id] for memory in memories} <= {owner}
        assert len(memories) == min(4, sum(one == owner for one in train.values()))


def test_of_equal_requests_the_earlier_one_counts_as_nearer(scorer: Scorer) -> None:
    plans = [[("train", [REQUESTS[0]]), ("train", [REQUESTS[0], REQUESTS[4]]), ("test", [REQUESTS[0]])]]
    dataset, splits = build(plans)
    index = MemoryIndex(scorer, dataset, splits)
    (memories,) = index.nearest(examples(dataset, splits, "test"), 3)
    assert [memory.example_id for memory in memories] == ["p0/0001#3", "p0/0001#1", "p0/0000#1"]
    assert memories[-1].similarity == pytest.approx(1.0, abs=1e-4)


def test_more_memories_than_there_are_is_all_of_them(scorer: Scorer) -> None:
    dataset, splits = build([[("train", [REQUESTS[2], REQUESTS[3]]), ("test", [REQUESTS[2]])]])
    (memories,) = MemoryIndex(scorer, dataset, splits).nearest(examples(dataset, splits, "test"), 50)
    assert [memory.request for memory in memories] == [REQUESTS[3], REQUESTS[2]]


def test_unseen_personas_have_no_memories(scorer: Scorer) -> None:
    plans = [[("train", [REQUESTS[0]])] * 3, [("val", [REQUESTS[0]])], [("test", [REQUESTS[0]])]]
    dataset, splits = build(plans)
    splits = Splits("by-persona", splits.assignment)
    asked = [*examples(dataset, splits, "val"), *examples(dataset, splits, "test")]
    assert MemoryIndex(scorer, dataset, splits).nearest(asked, 3) == [[], []]


def test_an_index_of_some_personas_holds_no_others(scorer: Scorer) -> None:
    plans = [[("train", [REQUESTS[0]]), ("test", [REQUESTS[1]])]] * 2
    dataset, splits = build(plans)
    index = MemoryIndex(scorer, dataset, splits, personas={"p1"})
    found = index.nearest(examples(dataset, splits, "test"), 1)
    assert [len(memories) for memories in found] == [0, 1]


def test_the_last_thing_the_user_said_is_the_request() -> None:
    said = [
        Message("user", "One."),
        Message("assistant", "Two."),
        Message("user", "Three."),
        Message("system", "Four."),
    ]
    assert last_request(said) == "Three."
    assert last_request(said[1:2]) == ""


@given(st.lists(st.integers(1, 50), max_size=8), st.integers(0, 120), st.integers(0, 300))
def test_the_least_similar_memories_go_first_and_no_more_than_needed(
    sizes: list[int], without: int, budget: int
) -> None:
    memories = [Memory("r", "x" * size) for size in sizes]

    def tokens(shown: object) -> int:
        return without + sum(len(memory.reply) for memory in shown)  # type: ignore[attr-defined]

    kept = fit(memories, tokens, budget)
    assert kept == memories[len(memories) - len(kept) :]
    assert not kept or tokens(kept) <= budget
    if len(kept) < len(memories):
        assert tokens(memories[len(memories) - len(kept) - 1 :]) > budget


def test_bm25_finds_shared_words_and_chance_finds_the_same_again(scorer: Scorer) -> None:
    requests = ["the the the the", "rain in the harbour", "rain again", "the harbour closes early"]
    dataset, splits = build(
        [[*(("train", [text]) for text in requests), ("test", ["who closes the harbour"])]]
    )
    index = MemoryIndex(scorer, dataset, splits)
    asked = examples(dataset, splits, "test")

    def chosen(retriever: Retriever, k: int = 4) -> list[str]:
        return [memory.request for memory in index.nearest(asked, k, retriever=retriever)[0]]

    # Two rare words before one, and one before a word that nearly all have, however often.
    assert chosen("bm25") == [
        "rain again",
        "the the the the",
        "rain in the harbour",
        "the harbour closes early",
    ]
    chinese = ["今晚我做鱼和土豆", "银行关闭了我的账户", "明天会下雨"]
    dataset, splits = build([[*(("train", [text]) for text in chinese), ("test", ["我的银行账户"])]])
    (found,) = MemoryIndex(scorer, dataset, splits).nearest(
        examples(dataset, splits, "test"), 1, retriever="bm25"
    )
    assert [memory.request for memory in found] == [chinese[1]]
    assert chosen("random") == chosen("random")
    assert sorted(chosen("random")) == sorted(requests)
    by_request = {tuple(index.nearest([replace(asked[0], context=(Message("user", f"{n}"),))], 2,
                                      retriever="random")[0]) for n in range(20)}  # fmt: skip
    assert len(by_request) > 5
