"""Streams: the very texts that are scored, token by token, whoever shares the batch or the model."""

from __future__ import annotations

import pytest
import torch

from engine.core.types import Message
from engine.domains.smart_home import SMART_HOME
from engine.lm.adapters import fresh, targets
from engine.lm.bank import Change, change_of
from engine.lm.encode import encode_prompt
from engine.lm.load import Base
from engine.lm.mixture import Request, Strand, answer
from engine.lm.prompts import chat, system_text
from engine.lm.sampling import Draws, Sampling
from engine.lm.shape import LoraShape
from engine.lm.streaming import Stream

NEW = 24


def change(base: Base, seed: int) -> Change | None:
    modules = targets(base.model, ("q_proj", "v_proj"))
    adapter = fresh(modules, LoraShape(target_modules=("q_proj", "v_proj")), seed=seed)
    torch.manual_seed(seed)
    for _, b in adapter.factors.values():
        b.normal_(std=0.3)
    return change_of([(adapter, 1.0)])


def prompt(base: Base, said: str) -> list[int]:
    return encode_prompt(base.tokenizer, chat(system_text(SMART_HOME), [Message("user", said)]))


@pytest.fixture(scope="module")
def voices(base: Base) -> list[Request]:
    """One without an adapter, two with one, of different lengths, and a mixture."""
    long = "Dim the lights in the bedroom to twenty percent and arm the security system, please."
    first, second = change(base, 1), change(base, 2)
    return [
        (Strand(prompt(base, "Good night.")),),
        (Strand(prompt(base, "Good night."), first),),
        (Strand(prompt(base, long), second),),
        (Strand(prompt(base, long), first, 0.6), Strand(prompt(base, "Good night."), None, 0.4)),
    ]


def run(stream: Stream, count: int) -> list[str]:
    while not stream.over():
        stream.step()
    return [stream.text(voice) for voice in range(count)]


def test_a_stream_says_what_is_scored(base: Base, voices: list[Request]) -> None:
    scored = answer(base.model, base.tokenizer, voices, max_new_tokens=NEW)
    stream = Stream(base, voices, max_new_tokens=NEW)
    assert run(stream, len(voices)) == [reply.text for reply in scored]
    assert [stream.tokens(voice) for voice in range(4)] == [reply.reply_tokens for reply in scored]
    assert len({reply.text for reply in scored}) > 1


def test_two_streams_take_turns_on_one_model(base: Base, voices: list[Request]) -> None:
    alone = [run(Stream(base, [voice], max_new_tokens=NEW), 1)[0] for voice in voices[:3]]
    streams = [Stream(base, [voice], max_new_tokens=NEW) for voice in voices[:3]]
    while not all(stream.over() for stream in streams):
        for stream in streams:
            stream.step()
    assert [stream.text(0) for stream in streams] == alone


def test_every_step_is_one_token_more_and_the_text_only_grows(base: Base, voices: list[Request]) -> None:
    stream = Stream(base, voices[1:3], max_new_tokens=NEW)
    before = ""
    for step in range(1, NEW + 1):
        stream.step()
        assert stream.tokens(0) == step or stream.ended(0)
        text = stream.text(0)
        assert text.startswith(before.rstrip("\N{REPLACEMENT CHARACTER}"))
        before = text
    assert stream.over()
    stream.step()  # of no effect
    assert stream.tokens(0) <= NEW


def test_without_voices_a_stream_is_over(base: Base) -> None:
    stream = Stream(base)
    assert stream.over()
    stream.step()
    assert stream.over()


@pytest.mark.parametrize("late", [1, 5, NEW + 3])
def test_who_joins_later_says_what_she_says_alone(base: Base, voices: list[Request], late: int) -> None:
    scored = answer(base.model, base.tokenizer, voices, max_new_tokens=NEW)
    stream = Stream(base)
    going = [stream.join(voices[0], max_new_tokens=NEW), stream.join(voices[2], max_new_tokens=NEW)]
    for _ in range(late):
        stream.step()
    going += [stream.join(voices[1], max_new_tokens=NEW), stream.join(voices[3], max_new_tokens=NEW)]
    while not stream.over():
        stream.step()
    assert [stream.said(voice) for voice in going] == [scored[place].text for place in (0, 2, 1, 3)]


def test_who_leaves_changes_nothing_for_the_others(base: Base, voices: list[Request]) -> None:
    scored = answer(base.model, base.tokenizer, voices, max_new_tokens=NEW)
    stream = Stream(base)
    going = [stream.join(rows, max_new_tokens=NEW) for rows in voices]
    for _ in range(3):
        stream.step()
    stream.leave(going[2])
    said = stream.said(going[2])
    while not stream.over():
        stream.step()
    assert [stream.said(going[place]) for place in (0, 1, 3)] == [scored[place].text for place in (0, 1, 3)]
    assert stream.said(going[2]) == said
    assert scored[2].text.startswith(said)


def test_what_was_read_before_leaves_room_for_those_who_come(base: Base, voices: list[Request]) -> None:
    """Under steady traffic the batch's cache holds the going rows' tokens, not all that were ever said."""
    stream = Stream(base)
    for _ in range(30):
        stream.join(voices[0], max_new_tokens=4)
        stream.step()
    assert stream.room <= len(voices[0][0].ids) + 3 * NEW


def test_who_has_the_base_alone_says_the_same_and_leaves_it_as_it_was(
    base: Base, voices: list[Request]
) -> None:
    """A caller's change may stay in the weights from reply to reply; others join, leave, take its place."""
    scored = [reply.text for reply in answer(base.model, base.tokenizer, voices, max_new_tokens=NEW)]
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    own = dict(base.model.named_parameters())
    stream = Stream(base, alone=True)
    for places in ([1], [1], [2], [0], [1, 1], [1, 2], [1], [3], [1]):
        going = [stream.join(voices[place], max_new_tokens=NEW) for place in places]
        while not stream.over():
            stream.step()
        assert [stream.said(voice) for voice in going] == [scored[place] for place in places]
    first = stream.join(voices[1], max_new_tokens=NEW)
    stream.step()
    late = stream.join(voices[2], max_new_tokens=NEW)
    while not stream.over():
        stream.step()
    assert [stream.said(first), stream.said(late)] == [scored[1], scored[2]]
    stream.close()
    assert all(weight is own[name] for name, weight in base.model.named_parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in base.model.state_dict().items())
    assert not any(module._forward_hooks for module in base.model.modules())


def test_words_are_drawn_by_a_seed_whoever_shares_the_batch(base: Base, voices: list[Request]) -> None:
    def said(temperature: float, top_p: float, seed: int, rows: list[Request]) -> list[str]:
        return run(
            Stream(base, rows, max_new_tokens=NEW, sampling=Sampling(temperature, top_p, seed)), len(rows)
        )

    greedy = run(Stream(base, voices, max_new_tokens=NEW), len(voices))
    drawn = said(1.5, 1.0, 1, voices)
    assert said(1.5, 1.0, 1, voices) == drawn != greedy
    assert said(1.5, 1.0, 2, voices) != drawn
    assert said(1.5, 1.0, 1, voices[:1]) == drawn[:1]
    assert said(0.001, 1.0, 1, voices) == said(1.5, 1e-9, 1, voices) == said(5e-324, 1.0, 1, voices) == greedy


def test_draws_follow_the_probabilities_of_the_nucleus() -> None:
    shares = torch.tensor([0.1, 0.4, 0.2, 0.3])
    for temperature, top_p, wanted in (
        (1.0, 1.0, [0.1, 0.4, 0.2, 0.3]),
        (0.5, 1.0, [0.01 / 0.3, 0.16 / 0.3, 0.04 / 0.3, 0.09 / 0.3]),
        (1.0, 0.65, [0.0, 4 / 7, 0.0, 3 / 7]),
    ):
        draws = Draws(Sampling(temperature, top_p, 3))
        found = torch.bincount(torch.tensor([draws.token(shares) for _ in range(4000)]), minlength=4) / 4000
        assert torch.allclose(found.double(), torch.tensor(wanted).double(), atol=0.03)
