"""Which parts of a reply only ask, and which say that something is NOT done.

Owns the scope of questions, offers and negations over symbols; attributes nothing to devices.
"""

from collections.abc import Iterator

from engine.domains.smart_home.replies.lexicon import MODALS, QUESTION_OPENERS
from engine.domains.smart_home.replies.tokens import Symbol

_NOUN_CHAIN = frozenset({"device", "det", "room", "adverb", "and", "comma", "param", "fan"})
_AUXILIARY_OPENERS = frozenset({"is", "are", "was", "has", "have", "can", "will", "does", "do", "may"})
_BARE_OPENERS = frozenset({"which", "should", "shall", "would"})
_WH = frozenset({"what", "which", "how"})
_VERBAL = frozenset({"verb", "down", "turn", "subject", "power", "arm", "keep"})
_NOT_A_SUBJECT = frozenset({"comma", "and", "break", "subject", "end"})
_OF_A_SUBJECT = frozenset({"cannot", "refuses", "refused", "fails to", "failed to"})
_DOES = frozenset({"verb", "down", "turn", "power", "arm"})
_VALUES = frozenset({"number", "value", "level", "on", "off"})
_KNOWN = _VALUES | _VERBAL | _NOUN_CHAIN - {"det", "room", "adverb"}
_AT_WORK = frozenset({"on", "running", "playing", "active"})
AFTER_STATE = frozenset({"end", "comma", "and", "prep", "adverb", "break", "time", "in"})


def sentences(symbols: list[Symbol]) -> Iterator[tuple[int, int]]:
    """Yield [start, stop) of each sentence, its "end" symbols included."""
    start = 0
    for i, symbol in enumerate(symbols):
        if symbol.kind == "end" and (i + 1 == len(symbols) or symbols[i + 1].kind != "end"):
            yield start, i + 1
            start = i + 1


def question_start(symbols: list[Symbol], start: int, stop: int) -> int:
    """Return where the sentence [start, stop) begins to ask or to offer; `stop` when it only states.

    "I've set the lights to 50%, is that fine?" states up to the comma and asks after it. An offer
    ("let me know if ...", "would you like ...") asks whatever mark follows it.
    """
    asks = any(symbols[i].text == "?" for i in range(stop - 1, start - 1, -1) if symbols[i].kind == "end")
    for i in range(start, stop):
        symbol = symbols[i]
        if symbol.kind == "offer":
            return i
        before = symbols[i - 1] if i > start else None
        if asks and symbol.text in QUESTION_OPENERS and _opens(symbol.text, before):
            return i
        if _asks_unmarked(symbol, before, symbols[i + 1].kind if i + 1 < stop else "end"):
            return i
    return start if asks else stop


def _asks_unmarked(symbol: Symbol, before: Symbol | None, following: str) -> bool:
    """Return whether a question opens here although no question mark need follow ("What volume, then.")."""
    if before is None and (symbol.text in _BARE_OPENERS or (symbol.text == "please" and following in _DOES)):
        return True
    return symbol.text in _WH and following in ("param", "fan") and (before is None or before.kind == "comma")


def _opens(word: str, before: Symbol | None) -> bool:
    if before is None or before.kind in ("comma", "break") or word in _WH:
        return True
    return before.kind == "and" and word not in _AUXILIARY_OPENERS


def ceases(symbols: list[Symbol], i: int) -> bool:
    """Return whether "no longer" at `i` ends a device's work ("is no longer on"), and no more is said."""
    following = [*symbols[i + 1 : i + 3], symbols[-1]]
    return (
        symbols[i].text == "no longer" and following[0].text in _AT_WORK and following[1].kind in AFTER_STATE
    )


def denied_spans(symbols: list[Symbol], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the spans [from, to) of the sentence that say something is not done.

    Covers what follows a negation ("without changing the lights"), the subject before it ("the TV won't
    change"), and what is left alone ("leave the speaker as it is").
    """
    denied_to = start
    for i in range(start, stop):
        if i >= denied_to and _denies(symbols, i) and not ceases(symbols, i):
            denied_to = _denial_end(symbols, i + 1, stop)
            impossible = symbols[i].text == "impossible" or "possible" in {
                one.text for one in symbols[i : i + 2]
            }
            yield (_clause_start if impossible else _subject_start)(symbols, start, i), denied_to
        elif symbols[i].kind == "same":
            begin = _unchanged_start(symbols, start, i)
            if begin is not None:
                yield begin, i + 1


def _denies(symbols: list[Symbol], i: int) -> bool:
    """Whether a denial begins at `i`; "no" is one before a thing: "no lights are on"."""
    no_thing = symbols[i].text == "no" and symbols[i + 1].kind in ("device", "room", "param")
    return symbols[i].kind == "neg" or no_thing


def _clause_start(symbols: list[Symbol], start: int, i: int) -> int:
    """Return where the clause begins of which all is denied: "setting the AC to 40 is not possible"."""
    while i > start and symbols[i - 1].kind != "break" and symbols[i - 1].text != ":":
        i -= 1
    return i


def _subject_start(symbols: list[Symbol], start: int, negation: int) -> int:
    """Return where the subject of an auxiliary negation begins; the negation itself for any other kind."""
    before = symbols[negation - 1] if negation > start else None
    if before is None or before.kind in _NOT_A_SUBJECT:
        return negation
    word = symbols[negation].text
    if not (word.endswith("n't") or word in _OF_A_SUBJECT or before.kind == "aux" or before.text in MODALS):
        return negation
    i = negation - 1
    while i >= start and (
        symbols[i].kind in _NOUN_CHAIN or symbols[i].kind == "aux" or symbols[i].text in MODALS
    ):
        i -= 1
    if i >= start and symbols[i].kind in _VALUES:
        commas = [at for at in range(i, negation) if symbols[at].kind == "comma"]
        return commas[-1] + 1 if commas else negation
    opens = i < start or symbols[i].kind in ("break", "word", "offer", "correction") or symbols[i].text == ":"
    return i + 1 if opens else negation


def _denial_end(symbols: list[Symbol], i: int, stop: int) -> int:
    begin = i
    while i < stop:
        kind = symbols[i].kind
        bare = symbols[begin - 1].text == "no" or not any(one.kind in _KNOWN for one in symbols[begin:i])
        if symbols[i].text == ":" and bare:
            return i
        if kind in ("end", "break") or (kind in ("comma", "and") and not _list_goes_on(symbols, i, stop)):
            return i
        i += 1
    return stop


def _list_goes_on(symbols: list[Symbol], i: int, stop: int) -> bool:
    """Return whether the comma or "and" at `i` adds one more thing to what is denied."""
    comma = symbols[i].kind == "comma"
    while i < stop and symbols[i].kind in ("comma", "and", "det", "room", "adverb"):
        if symbols[i].text == "nor":
            return True
        i += 1
    if i >= stop or symbols[i].kind in _VERBAL or symbols[i].kind in ("break", "end"):
        return False
    following = symbols[i + 1].kind if i + 1 < stop else "end"
    if symbols[i].kind in ("device", "param", "fan"):
        if following in ("device", "param"):
            following = symbols[i + 2].kind if i + 2 < stop else "end"
        return following in ("comma", "and", "end", "break", "same", "prep", "in")
    return not comma


def _unchanged_start(symbols: list[Symbol], start: int, same: int) -> int | None:
    for i in range(same - 1, start - 1, -1):
        kind = symbols[i].kind
        if kind == "keep":
            return i
        if kind in ("stay", "aux"):
            return _subject_of(symbols, start, i)
        if kind in ("break", "number", "value", "verb", "turn"):
            return None
    return None


def _subject_of(symbols: list[Symbol], start: int, verb: int) -> int:
    i = verb - 1
    while i >= start and symbols[i].kind in ("device", "det", "room", "adverb", "aux", "param"):
        i -= 1
    return i + 1
