"""Which parts of a reply only suppose, report or remember a value: their devices are named, nothing is set.

Owns the scope of what could be ("I could set ...", "if it gets colder"), of what the user said or likes, of
quotes, and of what held before ("was 30, now 40"). Attributes nothing to devices.
"""

import re
from collections.abc import Iterator

from engine.domains.smart_home.replies.lexicon import MODALS, PROMISES, REPORTS
from engine.domains.smart_home.replies.tokens import Symbol

Span = tuple[int, int]

KNOWN = frozenset({"device", "param", "fan", "number", "value", "level", "turn", "power", "arm", "on", "off"})
"""Symbols that what is said of a home is made of."""

_ACTS = frozenset({"turn", "power", "arm", "verb", "down"})
_DOES = _ACTS | {"aux", "stay"}
_NOMINAL = frozenset({"det", "room", "adverb", "device", "param", "fan"})
_WAS = frozenset({"was", "were"})
_STARTS = frozenset({"comma", "and", "break", "offer"})
_QUOTE = re.compile('"[^"\n]*"|“[^”\n]*”')


def quoted(text: str, symbols: list[Symbol]) -> Iterator[Span]:
    """Yield the spans of quoted sentences; a name in quotes ("Netflix") is none."""
    for found in _QUOTE.finditer(text):
        inside = [i for i, one in enumerate(symbols) if found.start() <= one.start < found.end()]
        kinds = {symbols[i].kind for i in inside}
        if kinds & _ACTS or ("device" in kinds and kinds & {"on", "off"}):
            yield inside[0], inside[-1] + 1


def supposed_spans(symbols: list[Symbol], start: int, stop: int) -> Iterator[Span]:
    """Yield the spans of the sentence that say what could be, or what the user said and likes.

    A promise before a condition is an offer: "I can set it to 40 if you like" sets nothing, "I've set it to
    40, if that suits you" does.
    """
    if symbols[start].text == "to" and symbols[start + 1].kind in _ACTS:  # "To turn off the TV, say so"
        yield start, next((i for i in range(start, stop) if symbols[i].kind == "comma"), stop)
    for i in range(start, stop):
        one, following = symbols[i], symbols[i + 1] if i + 1 < stop else None
        before = symbols[i - 1] if i > start else None
        if one.kind == "condition":
            promise = _promise_before(symbols, start, i)
            yield (i if promise is None else promise), stop
            return
        if one.kind == "offer":
            promise = _promise_before(symbols, start, i) if one.text.startswith("if") else None
            if promise is not None:
                yield promise, i
            return
        if _is_report(symbols, i):
            yield i, next((at for at in range(i, stop) if symbols[at].kind in _STARTS), stop)
        elif _supposes(one, before, following):
            yield i, clause_end(symbols, i + 1, stop)


def past_spans(symbols: list[Symbol], start: int, stop: int) -> Iterator[Span]:
    """Yield the spans of the sentence that say what held before.

    "was set to 40" tells what was done, so that it counts, unless it is told to be long ago or to be
    otherwise now.
    """
    for begin, end in _clauses(symbols, start, stop):
        if any(symbols[i].kind == "past" for i in range(begin, end)) or _ends_before(symbols, begin, end):
            yield begin, end
            continue
        for i in range(begin, end):
            if _held_before(symbols, i, end) or (
                symbols[i].text in _WAS and _otherwise_now(symbols, end, stop)
            ):
                yield i, end
                break


def _held_before(symbols: list[Symbol], i: int, end: int) -> bool:
    """Whether what follows symbol `i` held before: "used to", "was at 40", "I had the lights at 40"."""
    if symbols[i].text in _WAS:
        return not _done(symbols, i, end)
    at = next((at for at in range(i + 1, end) if symbols[at].kind != "adverb"), i)
    had = symbols[i].text == "had" and (symbols[at].kind in ("det", "device") or symbols[at].text == "been")
    return had or symbols[i].kind == "once"


def _supposes(one: Symbol, before: Symbol | None, following: Symbol | None) -> bool:
    """Whether a word opens what could be: "could", "I'd", "maybe"; not "that should do" and "is now able"."""
    kind, word, who = one.kind, one.text, before.text if before else ""
    if following is None or following.text in ("now", "not", "already"):
        return False  # "I'd already set" tells what was done
    if word == "should":
        return who not in ("that", "this", "it", "which", "everything", "all")
    if word == "can":  # said of a thing it tells what is possible, of oneself it promises
        of_a_thing = before is not None and before.kind in ("device", "param", "pronoun")
        acts = following.kind in _ACTS or following.text == "choose"
        of_a_thing = of_a_thing and (following.kind in _DOES or following.text == "reach")
        return of_a_thing or following.text in ("be", "also") or (who == "you" and acts)
    if word.startswith(("try", "tried")):  # "try setting", not "try to relax"
        return following.kind in _DOES or following.kind in _NOMINAL or following.kind == "number"
    if kind == "possible":
        return who not in _WAS  # "was able to" tells what was done
    return word in MODALS or (kind == "nearly" and following.kind in _ACTS)


def _is_report(symbols: list[Symbol], i: int) -> bool:
    """Whether the user's own words or likes are told from `i` on: "you asked for ...", "you usually like"."""
    if symbols[i].text not in ("you", "you've", "you'd"):
        return False
    if symbols[i + 1].kind == "often":
        return True
    at = next(at for at in range(i + 1, len(symbols)) if symbols[at].kind != "adverb")
    return symbols[at].text in REPORTS


def _promise_before(symbols: list[Symbol], start: int, i: int) -> int | None:
    """Return where the clause that ends at `i` promises ("I can", "I'll"), None where it says what is."""
    for at in range(i - 1, start - 1, -1):
        if symbols[at].text in PROMISES:
            return at
        if symbols[at].kind == "break":
            return None
    return None


def clause_end(symbols: list[Symbol], i: int, stop: int) -> int:
    """Return where the clause that holds symbol `i` ends: at a conjunction, or before a new subject."""
    begin = i
    while i < stop:
        kind = symbols[i].kind
        if kind in ("end", "break", "offer", "condition"):
            return i
        if kind in ("comma", "and") and _opens_clause(symbols, i + 1, stop):
            return i
        if symbols[i].text == ":" and not any(symbols[at].kind in KNOWN for at in range(begin, i)):
            return i
        i += 1
    return stop


def _opens_clause(symbols: list[Symbol], i: int, stop: int) -> bool:
    """Whether a subject with a verb of its own begins at `i`: "the AC is", "I've set", "they stay"."""
    while i < stop and symbols[i].kind in ("comma", "and", "adverb"):
        i += 1
    if i >= stop or symbols[i].kind in ("subject", "break", "offer"):
        return True
    if symbols[i].kind == "pronoun":
        return True
    while i < stop and symbols[i].kind in _NOMINAL:
        i += 1
    return i < stop and symbols[i].kind in ("aux", "stay")


def _clauses(symbols: list[Symbol], start: int, stop: int) -> Iterator[Span]:
    begin = start
    for i in range(start, stop):
        joins = symbols[i].kind == "and" and _joins_clauses(symbols, i + 1, stop)
        if symbols[i].kind in ("comma", "break", "end") or joins:
            if i > begin:
                yield begin, i
            begin = i + 1


def _joins_clauses(symbols: list[Symbol], i: int, stop: int) -> bool:
    """Whether what follows "and" is told anew: "and is now 20", "and now they're off", "and I set"."""
    following = symbols[i] if i < stop else None
    if following is None:
        return False
    return (
        following.text == "now"
        or following.kind in ("aux", "verb", "turn")
        or _opens_clause(symbols, i, stop)
    )


def _ends_before(symbols: list[Symbol], begin: int, end: int) -> bool:
    """Whether a clause ends in "before": "30% before", not "louder than before"."""
    return end - begin > 1 and symbols[end - 1].text == "before" and symbols[end - 2].text != "than"


def _done(symbols: list[Symbol], i: int, end: int) -> bool:
    """Whether "was" at `i` tells of something done: "was turned off", "were set"; "was playing" is none."""
    at = i + 1
    while at < end and symbols[at].kind == "adverb":
        at += 1
    if at >= end:
        return False
    one = symbols[at]
    return one.text == "able to" or (
        (one.kind in _ACTS or one.text == "dimmed") and not one.text.endswith("ing")
    )


def _otherwise_now(symbols: list[Symbol], end: int, stop: int) -> bool:
    """Whether the next clause says what holds now of the same: "and now they're off"."""
    following = [symbols[i] for i in range(end, min(stop, end + 4))]
    return any(one.text == "now" for one in following) and any(one.kind == "pronoun" for one in following)
