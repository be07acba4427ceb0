"""The chat template of a base that brings none: "User: ...", "Assistant: ...", each reply with its end.

It begins with what the base's tokenizer puts before a text, for a model that has always read that expects it.
A template is the only one who writes it: texts from templates are tokenised without special tokens, so it is
there once.
"""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}:{{ ' ' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def plain_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the plain template for a tokenizer, with the tokens that it would begin a text with."""
    opening = opening_of(tokenizer).replace("\\", "\\\\").replace("'", "\\'")
    return (f"{{{{ '{opening}' }}}}" if opening else "") + PLAIN_TEMPLATE


def opening_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what the tokenizer puts before every text, such as its BOS token; "" for nothing."""
    bare = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("a")["input_ids"])
    places = range(len(whole) - len(bare) + 1)
    start = next((place for place in places if whole[place : place + len(bare)] == bare), 0)
    return "".join(str(token) for token in tokenizer.convert_ids_to_tokens(whole[:start]))
