"""What a base's chat template takes, found out once, and chats put into a form that it takes.

Owns the fitting: one system message; a system text that the template has no place for goes into the first
user turn; turns of one role in a row are joined where the template wants them to alternate. And the
rendering, which asks for no thinking. Names no model: every trait is tried.
"""

from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from engine.core.errors import EngineError

Chat = list[dict[str, str]]
_KEPT = "_template_traits"
_SYSTEM, _ONE, _TWO, _REPLY, _LAST = "qsysz", "qonez", "qtwoz", "qrepz", "qlastz"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a chat template takes.

    `system`: a system message. `repeats`: two user turns in a row. `extends`: a longer chat is rendered as
    the shorter one and more, so that one pass over a dialogue meets every reply as it was asked for.
    `header` is what opens a reply, where the template leaves it out when a reply is asked for.
    """

    system: bool
    repeats: bool
    extends: bool
    header: str = ""


def traits(tokenizer: PreTrainedTokenizerBase) -> Traits:
    """Return what the tokenizer's chat template takes. Raises EngineError where it renders no chat at all."""
    template = tokenizer.chat_template
    known = tokenizer.__dict__.get(_KEPT)
    if known is None or known[0] != template:
        known = (template, _try(tokenizer))
        tokenizer.__dict__[_KEPT] = known
    return known[1]


def render(tokenizer: PreTrainedTokenizerBase, chat: Chat, **options: Any) -> str:
    """Return the text of a chat that was fitted; raises EngineError with the template's own words."""
    try:
        return _render(tokenizer, chat, traits(tokenizer).header, **options)
    except TemplateError as error:
        raise EngineError(
            f"This model's chat template refuses the chat: {error}",
            "Look at what its template takes: python -m engine base probe BASE",
        ) from error


def fitted(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> Chat:
    """Return a chat as the template takes it. Number and order of replies stay, unless two were in a row."""
    takes = traits(tokenizer)
    system = "\n".join(one["content"] for one in chat if one["role"] == "system")
    turns = [dict(one) for one in chat if one["role"] != "system"]
    begins_with_user = bool(turns) and turns[0]["role"] == "user"
    if system and takes.system and (begins_with_user or takes.repeats):
        return [{"role": "system", "content": system}, *(turns if takes.repeats else _joined(turns))]
    if system and begins_with_user:
        turns[0]["content"] = f"{system}\n\n{turns[0]['content']}"
    elif system:
        turns.insert(0, {"role": "user", "content": system})
    return turns if takes.repeats else _joined(turns)


def _joined(turns: Chat) -> Chat:
    joined: Chat = []
    for one in turns:
        if joined and joined[-1]["role"] == one["role"]:
            joined[-1]["content"] += f"\n{one['content']}"
        else:
            joined.append(dict(one))
    return joined


def without_last_end(tokenizer: PreTrainedTokenizerBase, text: str, whole: str) -> str:
    """Return the text of a chat without the end of text that the template puts behind a chat as such (Phi-3):
    in the longer chat `whole` it stands behind that one alone."""
    text = text.rstrip()
    return text if whole.startswith(text) else text.removesuffix(str(tokenizer.eos_token)).rstrip()


def thinks(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> bool:
    """Say whether the template would ask for a thought, unless it is told not to."""
    asked, told = (
        _render(tokenizer, chat, add_generation_prompt=True, enable_thinking=on) for on in (True, False)
    )
    return asked != told


def _render(tokenizer: PreTrainedTokenizerBase, chat: Chat, header: str = "", **options: Any) -> str:
    told = {"enable_thinking": False, **options}
    text = str(tokenizer.apply_chat_template(chat, tokenize=False, **told))
    return text + header if options.get("add_generation_prompt") else text


def _try(tokenizer: PreTrainedTokenizerBase) -> Traits:
    one, two = {"role": "user", "content": _ONE}, {"role": "user", "content": _TWO}
    try:
        alone = _render(tokenizer, [one], add_generation_prompt=True)
    except TemplateError as error:
        raise _renders_nothing(f": {error}") from error
    if alone.count(_ONE) != 1:
        raise _renders_nothing(".")
    told = {"role": "system", "content": _SYSTEM}
    system = _shows(tokenizer, [told, one], _SYSTEM, _ONE)
    repeats = _shows(tokenizer, [one, two], _ONE, _TWO)
    header = _header(tokenizer, [one], alone)
    return Traits(system, repeats, _extends(tokenizer, [told] if system else [], header), header)


def _header(tokenizer: PreTrainedTokenizerBase, chat: Chat, asked: str) -> str:
    """Return what stands between a chat and its reply; "" where the template writes it when it is asked."""
    try:
        if asked != _render(tokenizer, chat):
            return ""
        whole = _render(tokenizer, [*chat, {"role": "assistant", "content": _REPLY}])
    except TemplateError:
        return ""
    header = whole[len(asked) :].partition(_REPLY)[0] if whole.startswith(asked) else ""
    return header.rstrip(" ") if header.strip() else ""


def _renders_nothing(why: str) -> EngineError:
    return EngineError(
        f"This model's chat template does not render a chat of one message{why}",
        "Choose a base whose chat template works, or mend its chat_template.jinja.",
    )


def _shows(tokenizer: PreTrainedTokenizerBase, chat: Chat, *words: str) -> bool:
    """Say whether a chat is rendered, each of its texts once."""
    try:
        text = _render(tokenizer, chat, add_generation_prompt=True)
    except TemplateError:
        return False
    return all(text.count(word) == 1 for word in words)


def _extends(tokenizer: PreTrainedTokenizerBase, before_all: Chat, header: str) -> bool:
    chat: Chat = [
        *before_all,
        {"role": "user", "content": _ONE},
        {"role": "assistant", "content": _REPLY},
        {"role": "user", "content": _TWO},
        {"role": "assistant", "content": _LAST},
    ]
    try:
        whole = _render(tokenizer, chat)
        for end in (len(chat) - 3, len(chat) - 1):
            before = _render(tokenizer, chat[:end], header, add_generation_prompt=True)
            after = without_last_end(tokenizer, _render(tokenizer, chat[: end + 1]), whole)
            if not (whole.startswith(before) and whole.startswith(after) and len(before) < len(after)):
                return False
    except TemplateError:
        return False
    return True
