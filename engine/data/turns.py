"""What becomes of each turn of a dialogue: one rule for every odd kind of it, and a count of each.

Owns the rules and their words. A turn that a rule covers never loses its dialogue; what no rule covers (a
role nobody knows, a text that is none) is a problem, named by its place.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from unicodedata import category

from engine.core.types import Message, Role
from engine.core.wording import count
from engine.data.lines import absent_or_kind, kind_of

ROLE_KEYS: Final = ("role", "from", "speaker", "author", "sender", "name", "user")
TEXT_KEYS: Final = ("text", "content", "value", "message", "utterance", "body", "clean_text", "dialogue")
ASSISTANTS: Final = ("assistant", "model", "gpt", "chatgpt", "bot", "ai", "bing", "bard", "agent")
USERS: Final = ("user", "human", "person", "customer", "prompter", "client")
SYSTEMS: Final = ("system", "developer")
TOOLS: Final = (
    "tool",
    "function",
    "observation",
    "function_call",
    "function_response",
    "tool_call",
    "tool_response",
    "ipython",
    "environment",
)

_UNSAID = (
    *("reasoning", "function_call", "function_call_output", "tool_call", "tool_result"),
    *("web_search_call", "file_search_call", "computer_call", "code_interpreter_call", "item_reference"),
)  # what OpenAI's newer logs hold beside messages

_NO_SIGNS = ("Cc", "Cf", "Zl", "Zp", "Zs")

RULES: Final[Mapping[str, str]] = {
    "tool": "{} of tools and functions left out",
    "empty": "{} without words left out",
    "parts": "{} that held parts other than text: the text was kept",
    "unchosen": "{} that another reply was chosen over left out",
    "branches": "{} of other branches, or of other people, left out: one branch of a dialogue is followed",
    "unnamed": "{} without a speaker's name: the user and the assistant take turns, the user first",
    "joined": "{} joined to the one before, by the same speaker",
    "system": "{} by the data's own system, kept: they follow the domain's instruction in the prompt",
    "nothing": "{} without a word left out",
    "begun": "{} that another of the same person begins with, and goes on from, left out",
    "windows": "{} that hold the last turns of one before, and go on from them, joined to it",
}
_COUNTED = {"nothing": "dialogue", "begun": "dialogue", "windows": "dialogue"}


@dataclass(frozen=True, slots=True)
class Speech:
    """How the turns of a dialogue are written: the keys of speaker and text, and who is whom.

    With an `assistant` (a speaker's name) everybody else who is no system or tool is the user. `remedy` is
    what to do about a speaker nobody knows.
    """

    role: str = ""
    text: str = ""
    assistant: str = ""
    system: bool = True
    remedy: str = ""


@dataclass(slots=True)
class Turns:
    """Reads turns, and counts what each rule did. `counts` maps a rule's name to the turns it touched.

    What no rule covers (a role nobody knows, a text that is none) is a problem in `odd`: the turn is left out
    of its dialogue, and whoever reads the file reports it.
    """

    speech: Speech = field(default_factory=Speech)
    counts: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)

    def read(self, value: Any, problems: list[str], *, where: str = "messages") -> tuple[Message, ...]:
        """Return the messages of a list of turns; `problems` gets what is wrong with the list as a whole."""
        if not isinstance(value, list):
            problems.append(f"{where}: must be a list, is {absent_or_kind(value)}")
            return ()
        if not value:
            problems.append(f"{where}: empty")
            return ()
        found: list[Message] = []
        if all(isinstance(turn, str) for turn in value):
            self.counts["unnamed"] += len(value)
            said = (self.said("assistant" if place % 2 else "user", text) for place, text in enumerate(value))
            return self.tidied([message for messages in said for message in messages])
        for place, turn in enumerate(value):
            message = self._turn(turn, f"{where}[{place}]", self.odd)
            if message is not None:
                found.append(message)
        return self.tidied(found)

    def taken_odd(self) -> list[str]:
        """Return the problems of turns since the last call."""
        found, self.odd = self.odd, []
        return found

    def tidied(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """Return messages in which nobody but a system speaks twice in a row."""
        made: list[Message] = []
        for message in messages:
            if made and made[-1].role == message.role:
                self.counts["joined"] += 1
                made[-1] = Message(message.role, f"{made[-1].text}\n{message.text}")
            else:
                made.append(message)
        return tuple(made)

    def said(self, role: Role, text: str) -> list[Message]:
        """Return one message, none (counted) where there are no words."""
        if _has_words(text):
            return [Message(role, text.strip())]
        self.counts["empty"] += 1
        return []

    def _turn(self, turn: Any, where: str, problems: list[str]) -> Message | None:
        if not isinstance(turn, dict):
            problems.append(f"{where}: must be an object, is {kind_of(turn)}")
            return None
        if turn.get("role") is None and turn.get("type") in _UNSAID:
            self.counts["tool"] += 1
            return None
        role = self._role(turn, where, problems)
        if role is None:
            return None
        if role == "tool":
            self.counts["tool"] += 1
            return None
        text = self._text(turn, where, problems)
        if text is None:
            return None
        if not _has_words(text):
            self.counts["tool" if turn.get("tool_calls") or turn.get("function_call") else "empty"] += 1
            return None
        if role == "system":
            self.counts["system"] += 1
            if not self.speech.system:
                return None
        return Message(role, text.strip())

    def _role(self, turn: Mapping[str, Any], where: str, problems: list[str]) -> Any:
        key = self.speech.role or next((name for name in ROLE_KEYS if turn.get(name) is not None), "role")
        value = turn.get(key)
        if isinstance(value, dict):  # {"author": {"role": ...}}
            value = value.get("role")
        if not isinstance(value, str):
            problems.append(f"{where}.{key}: must be text, is {absent_or_kind(value)}")
            return None
        role = role_of(value, self.speech.assistant)
        if role is None:
            problems.append(
                f"{where}.{key}: {_shown(value)} is not one of user, assistant, system{self.speech.remedy}"
            )
        return role

    def _text(self, turn: Mapping[str, Any], where: str, problems: list[str]) -> str | None:
        key = self.speech.text or next((name for name in TEXT_KEYS if turn.get(name) is not None), "text")
        value = turn.get(key)
        if value is None:
            return ""
        if isinstance(value, dict) and isinstance(value.get("parts"), list):
            value = value["parts"]
        elif isinstance(value, dict) and _text_of(value) is not None:
            value = [value]
        if isinstance(value, list):
            return self._parts(value)
        if not isinstance(value, str):
            problems.append(f"{where}.{key}: must be text, is {kind_of(value)}")
            return None
        return value

    def _parts(self, parts: Sequence[Any]) -> str:
        texts = [_text_of(part) for part in parts]
        self.counts["parts"] += any(text is None for text in texts)
        return "\n".join(text for text in texts if text)


def role_of(value: str, assistant: str = "") -> Role | str | None:
    """Return the role that a speaker's name stands for ("tool" for one that is left out), None for none."""
    name = value.strip().lower()
    if assistant:
        if name in (assistant.strip().lower(), *(one.strip().lower() for one in assistant.split("+"))):
            return "assistant"
        return "system" if name in SYSTEMS else "tool" if name in TOOLS else "user"
    known = {"user": USERS, "assistant": ASSISTANTS, "system": SYSTEMS, "tool": TOOLS}
    return next((role for role, names in known.items() if name in names), None)


def _has_words(text: str) -> bool:
    """Whether there is anything to read: spaces, marks of order and widthless ones are nothing."""
    return any(category(sign) not in _NO_SIGNS for sign in text)


def _text_of(part: Any) -> str | None:
    """The words of one part of a content: "" for an empty one, None for one that holds no text."""
    if isinstance(part, str):
        return part.strip()
    text = part.get("text") if isinstance(part, dict) else None
    if isinstance(text, dict):
        text = text.get("value")
    return text.strip() if isinstance(text, str) else None


def told(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return one sentence for each rule that did something, in the order of the rules."""
    found = []
    for rule, words in RULES.items():
        if counts.get(rule):
            found.append(f"{words.format(count(counts[rule], _COUNTED.get(rule, 'turn')))}.")
    return tuple(found)


def _shown(value: str) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
