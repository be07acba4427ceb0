"""What ends a reply: the tokens a model stops at, and what its chat template closes an assistant's turn with.

The second is found by rendering a turn and looking at what stands behind its text, so it need not be the
end-of-text token, nor a token at all. Where a template closes a turn with nothing to be seen, no reply could
be told from the next turn: then the end-of-text token is put behind every reply, in training and in prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import TemplateError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

_MARK = "Done now."
_LOOKED_BACK = 8
"""Tokens decoded to look for a closing text, beside one for each of its letters."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The tokens that end a reply, and the text that does where no token closes a turn ("" for none)."""

    ids: frozenset[int]
    text: str = ""

    def over(self, tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> bool:
        """Say whether the closing text stands at the end of what has been said."""
        if not self.text or not tokens:
            return False
        last = list(tokens[-(len(self.text) + _LOOKED_BACK) :])
        return self.text in str(tokenizer.decode(last, skip_special_tokens=True))

    def without_a_beginning(self, text: str) -> str:
        """Return what may be shown of a reply under way: not what may turn out to begin its closing text."""
        sizes = range(len(self.text) - 1, 0, -1)
        held = next((size for size in sizes if text.endswith(self.text[:size])), 0)
        return text[: len(text) - held].rstrip() if held else text

    def said(self, tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
        """Return the text of a reply: no special tokens, nothing from its closing text on."""
        text = str(tokenizer.decode(list(tokens), skip_special_tokens=True))
        return (text.split(self.text, 1)[0] if self.text else text).strip()


def ends_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Ends:
    """Return what ends a reply of this model: the tokenizer's end, the model's own, the template's."""
    own = getattr(model.generation_config, "eos_token_id", None)
    named = own if isinstance(own, (list, tuple)) else [own]
    ids = {int(token) for token in (*named, tokenizer.eos_token_id) if token is not None}
    closing = closing_of(tokenizer)
    token = _token_of(tokenizer, closing)
    return Ends(frozenset(ids if token is None else ids | {token}), "" if token is not None else closing)


def closed(tokenizer: PreTrainedTokenizerBase, chat: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the chat with an end behind every reply, where the template itself writes none."""
    if closing_of(tokenizer):
        return [dict(message) for message in chat]
    end = str(tokenizer.eos_token)
    return [
        {**message, "content": message["content"] + end} if message["role"] == "assistant" else dict(message)
        for message in chat
    ]


def closing_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return what the chat template closes an assistant's turn with, without space around it; "" for nothing.

    A template that takes no chat of one question and one reply closes nothing either.
    """
    return _closing(tokenizer, str(tokenizer.chat_template))


@lru_cache(maxsize=16)
def _closing(tokenizer: PreTrainedTokenizerBase, template: str) -> str:
    asks = {"role": "user", "content": "Is it done?"}
    chat = [asks, {"role": "assistant", "content": _MARK}]
    try:
        text, more = (
            str(tokenizer.apply_chat_template(one, tokenize=False, chat_template=template))
            for one in (chat, [*chat, asks])
        )
    except TemplateError:
        return ""
    _, found, closing = text.rpartition(_MARK)
    closing = closing.strip()
    # The end of text behind another end closes the chat, not the turn; so does what no earlier turn has.
    own = closing.removesuffix(str(tokenizer.eos_token)).strip() or closing
    return own if found and more.rpartition(_MARK)[2].lstrip().startswith(own) else ""


def _token_of(tokenizer: PreTrainedTokenizerBase, closing: str) -> int | None:
    """Return the token that a closing begins with, where that token is never part of a text."""
    ids = tokenizer(closing, add_special_tokens=False)["input_ids"] if closing else []
    set_apart = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    return int(ids[0]) if ids and ids[0] in set_apart else None
