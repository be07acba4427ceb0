"""Mixtures say what plain algebra on PEFT's probabilities says, and at 1 and 0 what one side says alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from engine.lm import mixture
from engine.lm.adapters import load_lora
from engine.lm.bank import Change, change_of
from engine.lm.decode import decode
from engine.lm.encode import encode_prompt
from engine.lm.generate import Decoding, Reply, generate
from engine.lm.kernels import Kernels
from engine.lm.last_layer import key_value_shape
from engine.lm.load import Base, load_base
from engine.lm.mixture import Lockstep, Strand, decode_mixed, summed
from engine.lm.mixture_sweep import Weighed, sweep
from engine.lm.prefix import PrefixStates
from tests.tiny_base import save_adapters

NEW_TOKENS = 12
SHAPES = {"ada": (3, ("q_proj", "v_proj")), "bo": (5, ("v_proj", "up_proj"))}
Chat = list[dict[str, str]]


def greedy(tokens: int) -> Decoding:
    return partial(decode, max_new_tokens=tokens, end_ids=frozenset())


@pytest.fixture(scope="module")
def folders(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two adapters of different rank on different layers, with weights that matter."""
    return save_adapters(tmp_path_factory.mktemp("adapters"), load_base(str(tiny_base)).model, SHAPES)


@pytest.fixture(scope="module")
def changes(folders: dict[str, Path]) -> dict[str, Change | None]:
    return {name: change_of([(load_lora(folder), 1.0)]) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def peft(tiny_base: Path, folders: dict[str, Path]) -> PeftModel:
    model = PeftModel.from_pretrained(load_base(str(tiny_base)).model, folders["ada"], adapter_name="ada")
    model.load_adapter(str(folders["bo"]), adapter_name="bo")
    return model.eval()


@pytest.fixture(scope="module")
def prompts(base: Base, chats: list[Chat]) -> list[tuple[list[int], list[int]]]:
    """For each of eight requests the prompts of two sides: the second one lacks the first message."""

    def ids(chat: Chat) -> list[int]:
        return encode_prompt(base.tokenizer, chat)

    return [(ids(chat[:2]), ids(chat[1:2])) for chat in chats[:8]]


@torch.no_grad()
def by_hand(
    peft: PeftModel, pair: tuple[list[int], list[int]], weight: float, said: list[int]
) -> torch.Tensor:
    """Return the weighted sum of PEFT's probabilities [T, V] before each token said; no cache, no batch."""
    total = torch.zeros(())
    for name, prompt, share in zip(SHAPES, pair, (weight, 1 - weight), strict=True):
        peft.set_adapter(name)
        logits = peft(input_ids=torch.tensor([[*prompt, *said]])).logits[0]
        total = total + share * logits[len(prompt) - 1 : -1].softmax(-1)
    return total


@pytest.mark.parametrize("kernel", ["stacked", "masked"])
@pytest.mark.parametrize("weight", [0.2, 0.6, 0.9])
def test_a_mixture_says_what_the_sum_of_pefts_probabilities_says(
    base: Base,
    peft: PeftModel,
    changes: dict[str, Change | None],
    prompts: list[tuple[list[int], list[int]]],
    monkeypatch: pytest.MonkeyPatch,
    weight: float,
    kernel: str,
) -> None:
    """Every probability of every step agrees to 1e-5, and the token said is the likeliest to 1e-5."""
    seen, real = [], mixture.summed
    monkeypatch.setattr(mixture, "summed", lambda *told: seen.append(real(*told)) or seen[-1])
    requests = [
        (Strand(first, changes["ada"], weight), Strand(second, changes["bo"], 1 - weight))
        for first, second in prompts
    ]
    rule = Kernels(mixed=kernel)  # type: ignore[arg-type]
    tokens = decode_mixed(base.model, requests, greedy(NEW_TOKENS), kernels=rule)
    ours = torch.stack(seen, dim=1)  # requests, steps, vocabulary
    assert ours.shape == (len(prompts), NEW_TOKENS, ours.shape[-1])
    for place, pair in enumerate(prompts):
        theirs = by_hand(peft, pair, weight, tokens[place])
        torch.testing.assert_close(ours[place], theirs, atol=1e-5, rtol=0)
        chosen = theirs.gather(1, torch.tensor(tokens[place])[:, None])[:, 0]
        assert (theirs.max(dim=1).values - chosen).max() < 1e-5
    torch.testing.assert_close(ours.sum(-1), torch.ones(len(prompts), NEW_TOKENS))


def test_the_sum_is_of_probabilities_and_not_of_logits() -> None:
    """One side is sure of token 0, the other of token 1; the mean of their logits likes token 2."""
    logits = torch.tensor([[9.0, -9.0, 6.0, 0.0], [-9.0, 9.0, 6.0, 0.0]])
    both, one = torch.tensor([0, 0]), torch.tensor([0.6, 0.4])
    assert summed(logits, both, one).argmax(dim=-1).tolist() == [0]
    assert summed(logits, both, one.flip(0)).argmax(dim=-1).tolist() == [1]
    assert int((one @ logits).argmax()) == 2
    assert summed(logits, torch.tensor([0, 1]), torch.ones(2)).argmax(dim=-1).tolist() == [0, 1]


@pytest.mark.parametrize("heavy", [0, 1])
def test_at_one_and_at_zero_it_says_what_the_side_alone_says(
    base: Base, changes: dict[str, Change | None], prompts: list[tuple[list[int], list[int]]], heavy: int
) -> None:
    names = list(SHAPES)
    alone = generate(
        base.model,
        base.tokenizer,
        [pair[heavy] for pair in prompts],
        changes=[changes[names[heavy]]] * len(prompts),
        max_new_tokens=NEW_TOKENS,
    )
    requests = [
        tuple(Strand(pair[side], changes[names[side]], float(side == heavy)) for side in (0, 1))
        for pair in prompts
    ]
    mixed = mixture.answer(base.model, base.tokenizer, requests, max_new_tokens=NEW_TOKENS)
    assert [reply.text for reply in mixed] == [reply.text for reply in alone]
    assert [reply.reply_tokens for reply in mixed] == [reply.reply_tokens for reply in alone]
    assert mixed[0].prompt_tokens == sum(len(prompt) for prompt in prompts[0])


def test_requests_of_one_row_are_answered_as_ever_beside_mixed_ones(
    base: Base, changes: dict[str, Change | None], prompts: list[tuple[list[int], list[int]]]
) -> None:
    plain = [(Strand(first, changes["ada"]),) for first, _ in prompts]
    mixed = [(Strand(a, changes["ada"], 0.5), Strand(b, None, 0.3), Strand(a, None, 0.2)) for a, b in prompts]
    both = [request for pair in zip(plain, mixed, strict=True) for request in pair]

    def texts(requests: list, **more: object) -> list[str]:
        made = mixture.answer(base.model, base.tokenizer, requests, max_new_tokens=8, **more)
        return [reply.text for reply in made]

    assert texts(both)[::2] == texts(plain)
    assert texts(both)[1::2] == texts(mixed)
    assert texts(both, rows=4) == texts(both)
    taken: dict[int, Reply] = {}
    texts(both, rows=4, on_batch=lambda rows, made: taken.update(zip(rows, made, strict=True)))
    assert [taken[row].text for row in range(len(both))] == texts(both)
    done = frozenset(range(0, len(both), 2))
    assert texts(both, skip=done) == texts(mixed)


def test_sides_may_have_prefixes_of_different_length(
    base: Base, prompts: list[tuple[list[int], list[int]]]
) -> None:
    layers, heads, size = key_value_shape(base.model)
    torch.manual_seed(3)
    long, short = (PrefixStates(torch.randn(length, layers * 2 * heads * size)) for length in (7, 3))
    ways = [Change({}, long.states), Change({}, short.states)]
    for heavy, way in enumerate(ways):
        alone = generate(
            base.model,
            base.tokenizer,
            [a for a, _ in prompts],
            changes=[way] * len(prompts),
            max_new_tokens=8,
        )
        requests = [
            tuple(Strand(a, one, float(place == heavy)) for place, one in enumerate(ways)) for a, _ in prompts
        ]
        mixed = mixture.answer(base.model, base.tokenizer, requests, max_new_tokens=8)
        assert [reply.text for reply in mixed] == [reply.text for reply in alone]


def test_a_batch_without_room_is_halved(
    base: Base,
    changes: dict[str, Change | None],
    prompts: list[tuple[list[int], list[int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests = [(Strand(a, changes["ada"], 0.6), Strand(b, changes["bo"], 0.4)) for a, b in prompts]
    whole = decode_mixed(base.model, requests, greedy(6))
    sizes, real = [], mixture._decode

    def narrow(model: object, part: list, *rest: object) -> list[list[int]]:
        sizes.append(len(part))
        if len(part) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, part, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(mixture, "_decode", narrow)
    assert decode_mixed(base.model, requests, greedy(6)) == whole
    assert max(sizes) == 8
    assert sizes.count(2) == 4


def test_a_sweep_without_room_is_halved(
    base: Base, changes: dict[str, Change | None], prompts: list[tuple[list[int], list[int]]]
) -> None:
    """Rows part where weights disagree, so a batch may outgrow a card while it answers."""
    weights = (0.0, 0.5, 1.0)
    swept = [
        [Weighed(a, changes["ada"], weights), Weighed(b, changes["bo"], tuple(1 - one for one in weights))]
        for a, b in prompts
    ]
    whole, refused = sweep(base.model, base.tokenizer, swept, max_new_tokens=6), []

    def refuse(_: object, __: object, given: dict[str, torch.Tensor]) -> None:
        if given["input_ids"].shape[0] > 6:
            refused.append(given["input_ids"].shape[0])
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = base.model.get_decoder().register_forward_pre_hook(refuse, with_kwargs=True)
    try:
        assert sweep(base.model, base.tokenizer, swept, max_new_tokens=6) == whole
    finally:
        hook.remove()
    assert refused


def test_no_requests_no_replies(base: Base) -> None:
    assert mixture.answer(base.model, base.tokenizer, []) == []


def test_a_sweep_says_under_each_weight_what_that_mixture_says_alone(
    base: Base, changes: dict[str, Change | None], prompts: list[tuple[list[int], list[int]]]
) -> None:
    weights = (0.0, 0.25, 0.5, 0.6, 1.0)
    swept = [
        [Weighed(a, changes["ada"], weights), Weighed(b, changes["bo"], tuple(1 - one for one in weights))]
        for a, b in prompts
    ]
    for rows in (64, 6):
        told: dict[int, list[str]] = {}
        ours = sweep(
            base.model, base.tokenizer, swept, max_new_tokens=NEW_TOKENS, rows=rows, on_batch=told.update
        )
        assert [told[place] for place in range(len(prompts))] == ours
        for place, weight in enumerate(weights):
            requests = [
                (Strand(a, changes["ada"], weight), Strand(b, changes["bo"], 1 - weight)) for a, b in prompts
            ]
            alone = mixture.answer(base.model, base.tokenizer, requests, max_new_tokens=NEW_TOKENS)
            assert [texts[place] for texts in ours] == [reply.text for reply in alone]
    assert len({texts[0] for texts in ours} | {texts[-1] for texts in ours}) > len(prompts)  # they do part
    assert sweep(base.model, base.tokenizer, []) == []
    again = sweep(
        base.model, base.tokenizer, swept, rows=6, known=told, on_batch=lambda _: pytest.fail("again")
    )
    assert again == ours


@torch.no_grad()
def steered_by_hand(
    peft: PeftModel, pair: tuple[list[int], list[int]], strength: float, said: list[int]
) -> torch.Tensor:
    """Return (1 + strength) a - strength b of PEFT's logits [T, V] before each token said."""
    total = torch.zeros(())
    for name, prompt, share in zip(SHAPES, pair, (1 + strength, -strength), strict=True):
        peft.set_adapter(name)
        logits = peft(input_ids=torch.tensor([[*prompt, *said]])).logits[0]
        total = total + share * logits[len(prompt) - 1 : -1]
    return total


@pytest.mark.parametrize("strength", [-0.3, 0.5, 2.0])
def test_steering_says_what_pefts_logits_put_together_say(
    base: Base,
    peft: PeftModel,
    changes: dict[str, Change | None],
    prompts: list[tuple[list[int], list[int]]],
    strength: float,
) -> None:
    requests = [
        (
            Strand(first, changes["ada"], 1.0, 1 + strength, 0),
            Strand(second, changes["bo"], 1.0, -strength, 0),
        )
        for first, second in prompts
    ]
    tokens = decode_mixed(base.model, requests, greedy(NEW_TOKENS))
    for pair, said in zip(prompts, tokens, strict=True):
        theirs = steered_by_hand(peft, pair, strength, said)
        chosen = theirs.gather(1, torch.tensor(said)[:, None])[:, 0]
        assert (theirs.max(dim=1).values - chosen).max() < 1e-3
    mixed = decode_mixed(
        base.model,
        [(Strand(a, changes["ada"], 0.5), Strand(b, changes["bo"], 0.5)) for a, b in prompts],
        greedy(NEW_TOKENS),
    )
    assert tokens != mixed


def test_a_mixture_of_what_is_steered_is_one_of_probabilities() -> None:
    """Two rows on logits make one group; beside it stands a row of its own."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 4.0]])
    request = (Strand([], None, 0.6, 2.0, 0), Strand([], None, 0.6, -1.0, 0), Strand([], None, 0.4))
    lockstep = Lockstep([request], torch.device("cpu"))
    together = 0.6 * (2 * logits[0] - logits[1]).softmax(-1) + 0.4 * logits[2].softmax(-1)
    assert lockstep.choose(logits, [0, 1, 2]).tolist() == [int(together.argmax())] * 3
    two = Lockstep([(Strand([]),), request], torch.device("cpu"))
    alone = torch.tensor([[0.0, 0.0, 9.0], *logits.tolist()])
    assert two.choose(alone, [0, 1, 2, 3]).tolist() == [2, *[int(together.argmax())] * 3]
    assert two.choose(alone[1:], [1, 2, 3]).tolist() == [int(together.argmax())] * 3
