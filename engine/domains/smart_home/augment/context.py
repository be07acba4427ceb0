"""Other circumstances for the same dialogue: time, weather, temperature, and facts that go missing.

Owns what may vary. A fact stays as it is
- where the words of the dialogue speak of it (the time of day they name is changed in the words as well);
- where a reply does what one of her routines does without being told: the triggers of that routine stay;
and no dialogue is moved into the triggers of another routine of hers. Facts are only combined as some
training dialogue combines them, so that no snow falls in the heat.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from engine.core.types import Dialogue, Message
from engine.domains.smart_home.actions import extract
from engine.domains.smart_home.augment.grammar import as_order
from engine.domains.smart_home.augment.lexicon import CLUES

# Facts that only make sense together are drawn together.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("time_of_day", "sun_phase"),
    ("weather", "outdoor_temp"),
    ("day_of_week",),
)

_DAY_WORDS = ("morning", "noon", "midday", "afternoon", "evening", "night")
_PATTERNS = {fact: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for fact, words in CLUES.items()}


@dataclass(frozen=True, slots=True)
class SeenContexts:
    """Which values of each group of facts stand together in the training dialogues, sorted."""

    values: Mapping[tuple[str, ...], tuple[tuple[Any, ...], ...]]


def seen_contexts(sources: Iterable[Dialogue]) -> SeenContexts:
    """Return the combinations of facts that the training dialogues hold."""
    metas = [dialogue.meta for dialogue in sources]
    found = {}
    for group in GROUPS:
        values = {tuple(meta.get(fact) for fact in group) for meta in metas}
        complete = [one for one in values if one[0] is not None]
        found[group] = tuple(sorted(complete, key=repr))
    return SeenContexts(found)


def pinned(dialogue: Dialogue, routines: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the facts of a dialogue's context that its words or a routine hold fast."""
    said = " ".join(message.text for message in dialogue.messages)
    held = {fact for fact, pattern in _PATTERNS.items() if pattern.search(said)}
    others = [word for word in _DAY_WORDS if word != str(dialogue.meta.get("time_of_day"))]
    if re.search(rf"\b(?:{'|'.join(others)})\b", said, re.IGNORECASE):
        held.add("time_of_day")
    if _acts_untold(dialogue.messages):
        for routine in routines:
            triggers = _triggers(routine)
            held |= set(triggers) if _holds(triggers, dialogue.meta) else set()
    return frozenset(held)


def vary_context(
    dialogue: Dialogue, rng: Random, *, routines: Sequence[Mapping[str, Any]], seen: SeenContexts
) -> Dialogue | None:
    """Return the dialogue at another time, in other weather; None where nothing may change."""
    held, meta = pinned(dialogue, routines), dict(dialogue.meta)
    for group in GROUPS:
        options = [values for values in seen.values[group] if _may_be(values, group, dialogue.meta, held)]
        if options and rng.random() < 0.9:
            meta |= {
                fact: value for fact, value in zip(group, rng.choice(options), strict=True) if fact in meta
            }
    triggers = [_triggers(routine) for routine in routines]
    enters = any(_holds(one, meta) and not _holds(one, dialogue.meta) for one in triggers)
    if enters or meta == dialogue.meta:
        return None
    before, after = str(dialogue.meta.get("time_of_day")), str(meta.get("time_of_day"))
    messages = tuple(
        replace(message, text=_retimed(message.text, before, after)) for message in dialogue.messages
    )
    return replace(dialogue, meta=meta, messages=messages)


def lose_facts(dialogue: Dialogue, rng: Random, *, routines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the context with one or two facts unknown, as when a sensor is silent; held ones stay."""
    said = " ".join(message.text for message in dialogue.messages).lower()
    held = pinned(dialogue, routines)
    free = [
        fact
        for fact, value in dialogue.meta.items()
        if fact not in held and not re.search(rf"\b{re.escape(str(value).lower())}\b", said)
    ]
    lost = set(rng.sample(free, min(len(free), rng.choice((1, 1, 2)))))
    return {fact: value for fact, value in dialogue.meta.items() if fact not in lost}


def _may_be(
    values: Sequence[Any], group: Sequence[str], meta: Mapping[str, Any], held: frozenset[str]
) -> bool:
    now = [meta.get(fact) for fact in group]
    if now[0] is None or list(values) == now:
        return False
    return all(value == old for fact, value, old in zip(group, values, now, strict=True) if fact in held)


def _triggers(routine: Mapping[str, Any]) -> dict[str, Any]:
    found = routine.get("triggers") or {}
    return {str(fact): value for fact, value in found.items() if value is not None}


def _holds(triggers: Mapping[str, Any], meta: Mapping[str, Any]) -> bool:
    return bool(triggers) and all(meta.get(fact) == value for fact, value in triggers.items())


def _acts_untold(messages: Sequence[Message]) -> bool:
    """Whether a reply sets a value that nobody has said before."""
    said = ""
    for message in messages:
        if message.role == "assistant":
            values = (setting.value for setting in extract(message.text).settings)
            if any(_spelled(value) not in said for value in values if not isinstance(value, bool)):
                return True
        said += f" {message.text.lower()} {' '.join(_values(as_order(message.text)))}"
    return False


def _values(text: str) -> list[str]:
    return [_spelled(setting.value) for setting in extract(text).settings]


def _spelled(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _retimed(text: str, before: str, after: str) -> str:
    """Return a text that names another time of day, with the article that it needs."""
    if before == after or before not in _DAY_WORDS or after not in _DAY_WORDS:
        return text

    def swapped(match: re.Match[str]) -> str:
        article, word = match["article"] or "", match["word"]
        new = after.capitalize() if word[0].isupper() else after
        if article:
            article = article[0] + ("n " if after[0] in "ae" else " ")
        return article + new

    return re.sub(rf"\b(?P<article>[Aa]n? )?(?P<word>{before})\b", swapped, text, flags=re.IGNORECASE)
