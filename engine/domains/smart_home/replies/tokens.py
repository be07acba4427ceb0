"""From a reply to symbols: words joined to known phrases, numbers with their units, ends of sentences.

Owns the reading of characters; decides nothing about what a sentence means.
"""

import re
from dataclasses import dataclass
from typing import Any

from engine.domains.numbers import NUMBER, value_of
from engine.domains.smart_home.replies.lexicon import NUMBER_WORDS, PHRASES, WORDS

_TOKEN = re.compile(
    r"(?P<clock>[0-9]{1,2}:[0-9]{2})"
    rf"|(?P<number>{NUMBER})"
    r"|(?P<word>a/c\b|[ap]\.m\b\.?|disney\+|apple tv\+|o['’]clock|[^\W\d_]+(?:['’][^\W\d_]+)*)"
    r"|(?P<mark>[.!?;,\n%°℃℉:=()&/|—–]|(?<=\s)-(?=\s)|(?<=[0-9])-(?=[0-9]))"
)
_MARKS = {
    ".": "end", "!": "end", "?": "end", ";": "end", "\n": "end",
    ",": "comma", "(": "comma", ")": "comma", "|": "comma", "/": "and", "&": "and",
    ":": "bind", "=": "bind", "—": "break", "–": "break", "-": "break",
}  # fmt: skip
_GLUED_UNITS = frozenset({"c", "f", "percent", "pct", "degrees"})


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and what it was said to count. `spelled` numbers ("one") need more to count as a value."""

    amount: float
    unit: str
    spelled: bool = False


@dataclass(slots=True)
class Symbol:
    """One unit of the grammar: its kind, meaning, words, and the characters [start, end) it covers."""

    kind: str
    value: Any
    text: str
    start: int
    end: int


def read_symbols(text: str) -> list[Symbol]:
    """Return the symbols of `text` in order; a sentence closes with an "end" symbol ("?" kept as text)."""
    tokens = _tokens(text)
    symbols: list[Symbol] = []
    position = 0
    while position < len(tokens):
        symbol, position = _next_symbol(tokens, position)
        symbols.append(symbol)
    if not symbols or symbols[-1].kind != "end":
        symbols.append(Symbol("end", None, ".", len(text), len(text)))
    return symbols


Token = tuple[str, str, int, int]


def _tokens(text: str) -> list[Token]:
    folded = text.lower().replace("’", "'")
    found = []
    for match in _TOKEN.finditer(folded):
        kind, word = str(match.lastgroup), match.group()
        if kind == "word" and word.endswith("'s") and word not in WORDS:
            word = word[:-2]
        found.append((kind, word, match.start(), match.end()))
    return found


def _next_symbol(tokens: list[Token], position: int) -> tuple[Symbol, int]:
    kind, word, start, end = tokens[position]
    if kind == "number":
        return _number(tokens, position, value_of(word), position + 1)
    for words, (meaning, value) in PHRASES.get(word, ()):
        stop = position + len(words)
        if stop <= len(tokens) and all(tokens[position + k][1] == words[k] for k in range(1, len(words))):
            return Symbol(meaning, value, " ".join(words), start, tokens[stop - 1][3]), stop
    if kind == "word":
        one = word == "a" and any(_word_at(tokens, position + 1, next_) for next_ in ("hundred", "degree"))
        if word in NUMBER_WORDS or word == "hundred" or one:
            amount, stop = _spelled(tokens, position)
            return _number(tokens, position, amount, stop)
        known = WORDS.get(word)
        if known is not None:
            return Symbol(known[0], known[1], word, start, end), position + 1
    if kind == "mark":
        if word in "-–" and _is_number(tokens, position - 1) and _is_number(tokens, position + 1):
            return Symbol("bind", None, "~", start, end), position + 1
        known = WORDS.get(word)
        return Symbol(known[0] if known else _MARKS[word], None, word, start, end), position + 1
    return Symbol("time" if kind == "clock" else "word", None, word, start, end), position + 1


def _is_number(tokens: list[Token], position: int) -> bool:
    return 0 <= position < len(tokens) and tokens[position][0] == "number"


def _word_at(tokens: list[Token], position: int, word: str) -> bool:
    return position < len(tokens) and tokens[position][1] == word


def _spelled(tokens: list[Token], position: int) -> tuple[float, int]:
    """Return the value of the number words from `position` ("one hundred", "twenty two"), and their end."""
    amount, stop = 0, position
    if _word_at(tokens, position + 1, "degree") and tokens[position][1] == "a":
        return 1.0, position + 1
    if tokens[position][1] in ("a", "hundred"):
        amount, stop = 100, position + (2 if tokens[position][1] == "a" else 1)
    else:
        amount, stop = NUMBER_WORDS[tokens[position][1]], position + 1
        if _word_at(tokens, stop, "hundred"):
            amount, stop = amount * 100, stop + 1
    if amount >= 20 and amount % 10 == 0 and stop < len(tokens):
        ones = NUMBER_WORDS.get(tokens[stop][1])
        if ones is not None and 0 < ones < 10:
            amount, stop = amount + ones, stop + 1
    return float(amount), stop


def _number(tokens: list[Token], first: int, amount: float, stop: int) -> tuple[Symbol, int]:
    """Return the number from token `first` with the unit that follows at `stop`.

    A number glued to other letters ("4k", "2nd") is a plain word.
    """
    start, end = tokens[first][2], tokens[stop - 1][3]
    spelled = tokens[first][0] == "word"
    unit = ""
    if stop < len(tokens):
        kind, word, unit_start, _ = tokens[stop]
        glued = unit_start == end and kind == "word"
        if glued and word not in _GLUED_UNITS and not spelled:
            return Symbol("word", None, f"{tokens[first][1]}{word}", start, tokens[stop][3]), stop + 1
        if glued and word in ("c", "f"):
            unit, stop = "degrees", stop + 1
        else:
            following, after = _next_symbol(tokens, stop) if word not in NUMBER_WORDS else (None, stop)
            if following is not None and following.kind in ("percent", "degrees"):
                unit, stop = following.kind, after
    quantity = Quantity(amount, unit, spelled)
    return Symbol("number", quantity, tokens[first][1], start, tokens[stop - 1][3]), stop
