"""How a number is written: 21.5, 21,5, -5, 1,000 and 1.000,5 are each one. Owns the pattern and the value.

A comma parts groups of three digits or begins a fraction: `1,000` is a thousand, `21,5` is twenty-one and a
half, `0,500` a half; `20,30,40` are three numbers. A minus belongs to a number only where no word or number
stands right before it: `20-30` and `HDMI-1` hold no negative one.
"""

import re
from typing import Final

_MINUS = r"(?:(?<![^\s(\[{:=,;/|\"'])(?:[-\u2212](?=[0-9])|minus (?=[0-9])))?"
_ENGLISH = r"[1-9][0-9]{0,2}(?:[,\u00a0\u202f][0-9]{3})+(?![0-9])(?:\.[0-9]+)?"  # 1,000 and 1,000.5
_CONTINENTAL = r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:(?<=\.[0-9]{3}\.[0-9]{3})(?![0-9])|,[0-9]+)"  # 1.000,5
_PLAIN = r"[0-9]+(?:\.[0-9]+)?"
_COMMA = r"(?<![0-9],)[0-9]+,[0-9]+(?![0-9]*,[0-9])"  # 21,5
NUMBER: Final = f"{_MINUS}(?:{_ENGLISH}|{_CONTINENTAL}|{_COMMA}|{_PLAIN})"
"""A number in lower-case text, its minus included."""

_WHOLE = re.compile(NUMBER)


def value_of(written: str) -> float:
    """Return the value of what NUMBER matched."""
    digits = re.sub(r"[\u00a0\u202f]", "", written)
    negative = not digits[0].isdigit()
    digits = digits.removeprefix("minus ").lstrip("-\u2212")
    if re.fullmatch(_ENGLISH, digits):
        digits = digits.replace(",", "")
    elif re.fullmatch(_CONTINENTAL, digits):
        digits = digits.replace(".", "")
    value = float(digits.replace(",", "."))
    return -value if negative else value


def whole_number(text: str) -> float | None:
    """Return the number that a text is, None where it is more or less than one."""
    held = text.strip().lower().removesuffix(".")
    return value_of(held) if _WHOLE.fullmatch(held) else None
