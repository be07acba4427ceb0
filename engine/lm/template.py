"""The chat template of a base: its own without today, or a plain one ("User: ...", "Assistant: ...", each
reply with its end) where it brings none.

A template that tells the date would make another prompt of the same chat every day, and no two scores could
be compared: it tells one day, always. The plain one begins with what the base's tokenizer puts before a text,
for a model that has always read that expects it. A template is the only one who writes it: texts from
templates are tokenised without special tokens, so it is there once.
"""

import re
from datetime import datetime
from typing import Final

from transformers import PreTrainedTokenizerBase

TODAY: Final = datetime(2024, 7, 26)
"""The day that templates tell: the one that Llama's own names where it cannot ask for today."""

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}:{{ ' ' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


_ASKED = re.compile(r"strftime_now\(\s*(?P<quote>['\"])(?P<form>[^'\"]*)(?P=quote)\s*\)")


def template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the template that a base's chats are written by; of several by name, the one for chats."""
    held = tokenizer.chat_template
    own = held.get("default") if isinstance(held, dict) else held
    if own is None:
        return plain_template(tokenizer)
    return _ASKED.sub(lambda asked: f"'{TODAY.strftime(asked['form'])}'", own)


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
