"""Where a reply ends: at what the chat template ends a turn with, in training, decoding and streams."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.lm.encode import encode_chat, encode_prompt
from engine.lm.ends import Ends, closed, closing_of, ends_of
from engine.lm.forms import LoraForm
from engine.lm.generate import generate
from engine.lm.load import Base, load_base
from engine.lm.mixture import Strand, answer
from engine.lm.mixture_sweep import Weighed, sweep
from engine.lm.shape import LoraShape
from engine.lm.streaming import Stream
from engine.lm.train import Lesson, Trainer, TrainSettings

CHAT = [
    {"role": "user", "content": "Turn the lights off."},
    {"role": "assistant", "content": "Done now."},
    {"role": "user", "content": "And the tv?"},
    {"role": "assistant", "content": "Done now."},
]
TURN = (
    "{{% for m in messages %}}{{{{ m['role'] + ':' + '\\n' + m['content'] }}}}"
    "{{% if m['role'] == 'assistant' %}}{{{{ '{closing}' }}}}{{% endif %}}{{{{ '\\n' }}}}{{% endfor %}}"
    "{{% if add_generation_prompt %}}{{{{ 'assistant:' + '\\n' }}}}{{% endif %}}"
)


def template(closing: str) -> str:
    return TURN.format(closing=closing)


def with_template(base: Base, closing: str) -> Any:
    """The tiny base's tokenizer, with another end of text and an assistant's turn closed so."""
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.chat_template = template(closing)
    return tokenizer


@pytest.mark.parametrize(
    ("closing", "token", "text"),
    [("<|im_end|>", "<|im_end|>", ""), (" ### ", None, "###"), ("<|endoftext|>", "<|endoftext|>", "")],
)
def test_what_closes_a_turn_is_found_in_the_template(
    base: Base, closing: str, token: str | None, text: str
) -> None:
    tokenizer = with_template(base, closing)
    found = ends_of(base.model, tokenizer)
    assert found.text == text
    assert tokenizer.convert_tokens_to_ids(token or "<|endoftext|>") in found.ids
    assert closing_of(tokenizer) == closing.strip()


def test_a_template_that_closes_nothing_gets_the_end_of_text_behind_each_reply(base: Base) -> None:
    tokenizer = with_template(base, "")
    assert closing_of(tokenizer) == ""
    assert [m["content"] for m in closed(tokenizer, CHAT)][1] == "Done now.<|endoftext|>"
    row = encode_chat(tokenizer, CHAT)
    kept = [token for token, mark in zip(row.ids, row.is_reply, strict=True) if mark]
    assert tokenizer.decode(kept).count("<|endoftext|>") == 2
    prompt = encode_prompt(tokenizer, CHAT[:3])
    assert tuple(prompt) == row.ids[: len(prompt)]


def test_what_closes_a_chat_closes_no_turn(base: Base) -> None:
    tokenizer = with_template(base, "")
    tokenizer.chat_template += "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}"
    assert closing_of(tokenizer) == ""
    row = encode_chat(tokenizer, CHAT)
    replies = [token for token, mark in zip(row.ids, row.is_reply, strict=True) if mark]
    assert replies.count(tokenizer.eos_token_id) >= 2  # each reply has an end to learn


def test_the_models_own_list_of_ends_counts(base: Base, tiny_base: Path) -> None:
    other = load_base(str(tiny_base))
    other.model.generation_config.eos_token_id = [5, 7]
    assert {5, 7, base.tokenizer.eos_token_id} <= ends_of(other.model, other.tokenizer).ids


def test_a_closing_text_is_cut_and_never_shown_half() -> None:
    class Letters:
        def decode(self, tokens: list[int], **_: object) -> str:
            return "".join(map(chr, tokens))

    ends, letters = Ends(frozenset(), "###"), Letters()
    said = list(map(ord, "Done now. ###"))
    assert not ends.over(letters, said[:-1])  # type: ignore[arg-type]
    assert ends.over(letters, said)  # type: ignore[arg-type]
    assert ends.said(letters, said) == "Done now."  # type: ignore[arg-type]
    assert ends.without_a_beginning("Done now. ##") == "Done now."
    assert ends.without_a_beginning("Done now.") == "Done now."


@pytest.mark.parametrize("closing", ["<|im_end|>", " ###", ""], ids=["token", "text", "nothing"])
def test_a_model_that_has_learned_a_reply_says_it_once(tiny_base: Path, closing: str) -> None:
    base = load_base(str(tiny_base))
    tokenizer = with_template(base, closing)
    base = Base(base.model, tokenizer, "tiny")
    form = LoraForm(
        base.model, LoraShape(rank=8, dropout=0.0, target_modules=["q_proj", "v_proj", "down_proj"])
    )
    settings = TrainSettings(epochs=60, learning_rate=0.01, batch_size=2)
    trainer = Trainer(
        base.model, form, settings, [Lesson("one", [encode_chat(tokenizer, CHAT)] * 2)], pad_id=0
    )
    with torch.enable_grad():
        (trained,) = trainer.fit()
    from engine.lm.bank import change_of

    change = change_of([(form.lora(trained.weights), 1.0)])
    prompts = [encode_prompt(tokenizer, CHAT[:size]) for size in (1, 3)]
    expected = ["Done now."] * 2
    alone = generate(base.model, tokenizer, prompts, changes=[change] * 2, max_new_tokens=12)
    assert [reply.text for reply in alone] == expected
    two = [[Strand(ids, change, 0.5), Strand(ids, change, 0.5)] for ids in prompts]
    assert [reply.text for reply in answer(base.model, tokenizer, two, max_new_tokens=12)] == expected
    weighed = [[Weighed(ids, change, (0.3, 0.6)), Weighed(ids, change, (0.7, 0.4))] for ids in prompts]
    assert sweep(base.model, tokenizer, weighed, max_new_tokens=12) == [["Done now."] * 2] * 2
    stream = Stream(base, two, max_new_tokens=12)
    shown = set()
    while not stream.over():
        stream.step()
        shown.add(stream.text(0))
    assert [stream.text(voice) for voice in (0, 1)] == expected
    assert all("Done now.".startswith(text) for text in shown)
    just = Stream(base, two, max_new_tokens=max(len(voice.tokens) for voice in stream.voices))
    while not just.over():
        just.step()
    is_text = bool(closing) and closing != "<|im_end|>"  # an end that is a token comes after the last word
    assert [voice.closed for voice in (*stream.voices, *just.voices)] == [True, True, is_text, is_text]
