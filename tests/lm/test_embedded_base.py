"""The base that ships: small enough, loadable by the ordinary way, and able to read its prompt."""

from __future__ import annotations

import itertools
import json

import pytest

from engine.core.paths import embedded_base
from engine.data.worlds import draw_world
from engine.lm.load import Base, load_base
from tools.base_corpus import corpus
from tools.base_probe import probe

MOST_BYTES = 16 * 1024 * 1024


@pytest.fixture(scope="module")
def embedded() -> Base:
    return load_base("embedded")


def test_it_is_small_and_holds_nothing_that_could_run() -> None:
    paths = list(embedded_base().iterdir())
    assert sum(path.stat().st_size for path in paths) <= MOST_BYTES
    assert {path.suffix for path in paths} <= {".json", ".safetensors", ".jinja", ".md"}


def test_it_copies_numbers_from_the_request_and_ends_its_replies(embedded: Base) -> None:
    copied = probe(embedded.model, embedded.tokenizer, questions=16)
    assert copied["numbers from request"] >= 0.8
    assert copied["manner from three memories"] > copied["manner from request"]


def test_its_card_states_the_facts_of_its_build() -> None:
    facts = json.loads((embedded_base() / "build.json").read_text())
    text = (embedded_base() / "README.md").read_text()
    copied = [f"| {source} | {share:.0%} |" for source, share in facts["copying"].items()]
    losses = [f"| {name} | {nats:.3f} |" for name, nats in facts["loss_nats_held_out"].items()]
    for stated in (facts["data_hash"][:16], f"{facts['minutes']} minutes", *copied, *losses):
        assert stated in text
    assert facts["parameters"] == sum(p.numel() for p in load_base("embedded").model.parameters())


def test_the_corpus_is_the_same_again_and_another_with_another_seed() -> None:
    def first(seed: int, **more: float) -> list[object]:
        return list(itertools.islice(corpus(seed=seed, **more), 20))  # type: ignore[arg-type]

    assert first(1) == first(1)
    assert first(1) != first(2)
    assert all(dialogue.memories == 0 for dialogue in first(1, memory_share=0.0))  # type: ignore[attr-defined]
    assert all(dialogue.memories > 0 for dialogue in first(1, memory_share=1.0))  # type: ignore[attr-defined]


def test_hardly_a_reply_of_a_world_is_in_the_corpus() -> None:
    replies = {
        turn.reply
        for _, sessions in draw_world("default", personas=10, dialogues=4, seed=0)
        for session in sessions
        for turn in session.turns
    }
    seen = {
        line["content"]
        for dialogue in itertools.islice(corpus(seed=1, memory_share=0.0), 400)
        for line in dialogue.chat
        if line["role"] == "assistant"
    }
    assert len(replies & seen) / len(replies) < 0.1
