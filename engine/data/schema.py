"""What a dialogue, a persona and their parts must look like in JSON, and the words for what is wrong.

Owns the step from JSON values to the engine's records. Every reader takes the place it reads ("messages")
and a list that problems are added to, and returns what could be read; nothing is mended in silence.
"""

import re
from typing import Any

from engine.data.lines import absent_or_kind, kind_of

MAX_ID_LENGTH = 100
# Ids become parts of example ids ("persona/dialogue#turn") and of file names.
BAD_ID = re.compile(r"[/\\#\x00-\x1f\x7f\ud800-\udfff]|^\.|^\s|\s$")


def read_meta(value: Any, problems: list[str]) -> dict[str, Any]:
    """Return what is known of a dialogue's circumstances; absent and null mean nothing is known."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        problems.append(f"meta: must be an object, is {kind_of(value)}")
        return {}
    return value


def read_character(value: Any, problems: list[str]) -> str | None:
    """Return the text that describes a persona, or a list of sentences as one; None where there is none."""
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(sentence, str) for sentence in value):
        value = "\n".join(value)
    if not isinstance(value, str):
        problems.append(f"character: must be text, is {kind_of(value)}")
        return None
    return value.strip() or None


def read_routines(value: Any, problems: list[str]) -> tuple[dict[str, Any], ...]:
    """Return a persona's routines, objects with "triggers" and "actions" (objects both)."""
    if value is None:
        return ()
    if not isinstance(value, list):
        problems.append(f"routines: must be a list, is {kind_of(value)}")
        return ()
    before = len(problems)
    for place, routine in enumerate(value):
        if not isinstance(routine, dict):
            problems.append(f"routines[{place}]: must be an object, is {kind_of(routine)}")
            continue
        for part in ("triggers", "actions"):
            if not isinstance(routine.get(part), dict):
                what = absent_or_kind(routine.get(part))
                problems.append(f"routines[{place}].{part}: must be an object, is {what}")
    return tuple(value) if len(problems) == before else ()


def read_persona_id(value: Any, problems: list[str]) -> str | None:
    """Return a persona's id: text that can be part of an example id and of a file name."""
    if not isinstance(value, str):
        problems.append(f"persona_id: must be text, is {absent_or_kind(value)}")
        return None
    return _checked_id(value, "persona_id", problems)


def read_session_id(value: Any, name: str, problems: list[str]) -> str | None:
    """Return a dialogue's id within its persona: numbers, also as text, are padded to four digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            problems.append(f"{name}: must be 0 or more, is {value}")
            return None
        value = str(value)
    if not isinstance(value, str):
        problems.append(f"{name}: must be a whole number or text, is {absent_or_kind(value)}")
        return None
    found = _checked_id(value, name, problems)
    return found.zfill(4) if found and is_number(found) else found


def is_number(identifier: str) -> bool:
    """Tell whether an id is a whole number written in digits."""
    return identifier.isascii() and identifier.isdigit()


def _checked_id(value: str, name: str, problems: list[str]) -> str | None:
    if not value or BAD_ID.search(value) or len(value.encode("utf-8")) > MAX_ID_LENGTH:
        problems.append(
            f"{name}: {shorten(value)} is not an id (1 to {MAX_ID_LENGTH} bytes, no '/', '\\', '#' or"
            " control or half character, no leading '.', no space at either end)"
        )
        return None
    return value


def shorten(value: Any, length: int = 40) -> str:
    """Return `value` as Python writes it, cut to about `length` characters."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."
